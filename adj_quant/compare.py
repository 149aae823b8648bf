"""Compares per-channel with uniform and other bit-widths: `make compare`, or

    python compare.py --dataset DIR --work_dir ../build/compare
"""

import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.errors import ArgumentParser, exits_with_status
from scripts.headline import comparisons, outcome
from scripts.headline.job import add_common_flags, prepare, run

EPOCHS = 1.0


def parse(argv):
  """Flags of the comparison."""
  parser = ArgumentParser(
      'Trains EfficientNet-B0 at uniform bit-widths and at per-channel ones of least expected '
      'loss, on the same photos for the same number of steps, and evaluates all in the same way. '
      'Completed stages are skipped; an interrupted run resumes with the same command.')
  add_common_flags(parser, 'compare')
  parser.add_argument('--epochs', type=float, default=EPOCHS, metavar='E',
                      help='epochs of each training, a multiple of 0.5 (%(default)s)')
  names = [variant.name for variant in comparisons.VARIANTS]
  parser.add_argument('--variants', nargs='+', choices=names, default=names, metavar='NAME',
                      help='which networks, of ' + ', '.join(names) + ' (all)')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Runs the remaining stages; prints, writes and plots the results."""
  prepare_tensorflow()
  args = parse(argv)
  job = prepare(args, ('epochs',), 1.0 / comparisons.MINI_EPOCHS)
  variants = [variant for variant in comparisons.VARIANTS if variant.name in args.variants]
  run(job, *comparisons.stages(job.work, job.dataset, variants, args.epochs,
                               job.decay_over(args.epochs)))
  outcome.finish(job.work, variants, os.path.abspath(args.images_dir or job.work))


if __name__ == '__main__':
  sys.exit(main())
