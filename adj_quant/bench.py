"""Measures training and evaluation relative to the float network: `make bench`, or

    python bench.py --out ../build
"""

import json
import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.bench import measurement, picture, programs, summary
from scripts.bench import workloads
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_writable, write_file
from scripts.paths import BUILD
from scripts.reporting import drawing


def parse(argv):
  """Flags of a benchmark."""
  parser = ArgumentParser(
      'Measures steps and forward passes of the float and the quantised network in turns on the '
      'same random images, and the start-up time and memory of training. The machine should be '
      'otherwise idle.')
  parser.add_argument('--out', default=BUILD, metavar='DIR',
                      help='folder for bench.json and bench.png (build)')
  parser.add_argument('--rounds', type=int, metavar='N',
                      help='number of measurements of each (%d; with --quick %d)'
                           % (workloads.Plan().rounds, workloads.QUICK.rounds))
  parser.add_argument('--quick', action='store_true',
                      help='smoke test: few rounds at 32 px only, no start-up and no memory')
  parser.add_argument('--profile', action='store_true',
                      help='also print the time of each type of op in a step')
  return parser.parse_args(argv)


def plan_of(args):
  """The checked `workloads.Plan` of parsed flags."""
  plan = workloads.QUICK if args.quick else workloads.Plan()
  if args.rounds is not None:
    if args.rounds < 1:
      raise UserError('--rounds %d: must be 1 or more' % args.rounds)
    plan = plan._replace(rounds=args.rounds)
  return plan._replace(profile=args.profile)


@exits_with_status
def main(argv=None):
  """Measures, writes bench.json and bench.png, prints the table."""
  prepare_tensorflow()
  args = parse(argv)
  plan = plan_of(args)
  check_writable(args.out)
  measured = measurement.run(plan, programs.shipped_networks())
  paths = [os.path.join(args.out, name) for name in ('bench.json', 'bench.png')]
  write_file(paths[0], json.dumps(summary.as_json(measured), indent=1) + '\n')
  write_file(paths[1], drawing.as_png(picture.growth_chart(measured.growth, plan)))
  print('\n%s\n\n%s' % (summary.as_markdown(measured), '\n'.join(paths)))


if __name__ == '__main__':
  sys.exit(main())
