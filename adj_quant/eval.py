"""Evaluates a quantised EfficientNet: accuracy, both metrics, bits of every channel.

    python eval.py --dataset DIR --ckpt_path best_ckpt/ckpt_metric_0.182997 --tfs
"""

import json
import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts import paths, stack
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_result, write_file
from scripts.quant_info import read_quant_info, write_quant_info
from scripts.trainer import evaluation, flags, loading

QUANT_INFO = os.path.join(paths.ADJ_QUANT, 'quant_info.json')


def parse(argv):
  """Flags of an evaluation."""
  parser = ArgumentParser(
      'Evaluates a quantised EfficientNet: a checkpoint, or without --ckpt_path the untrained '
      'network at the precision of the flags.')
  flags.add_data_flags(parser, 50, 'the original recipe\'s')
  flags.add_model_flags(parser)
  group = parser.add_argument_group('evaluation')
  group.add_argument('--tfs', action='store_true',
                     help='report the float network on the same images as well')
  flags.add_teacher_flags(group)
  group.add_argument('--quant_info', default=QUANT_INFO, metavar='FILE',
                     help='where the bits of every channel are written (quant_info.json)')
  group.add_argument('--json_out', metavar='FILE', help='write the results as JSON')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Evaluates once, prints, writes quant_info.json."""
  prepare_tensorflow()
  args = parse(argv)
  data_options, options = flags.data_options(args), flags.model_options(args)
  stack.allow_tf32(bool(args.tf32))
  check_result(args.quant_info, read_quant_info, args.overwrite or args.quant_info == QUANT_INFO)
  if args.json_out:
    check_result(args.json_out, evaluation.read_result, args.overwrite)
  if args.json_out and os.path.realpath(args.json_out) == os.path.realpath(args.quant_info):
    raise UserError('--json_out and --quant_info name one file, %s: choose two' % args.json_out)
  network = loading.load_network(options, data_options)
  teacher = loading.load_teacher(args.teacher_path, args.tea_model,
                                 network.spec.classes) if args.tfs else None
  report = evaluation.validate_network(network, teacher, data_options, options)
  write_quant_info(args.quant_info, report.cost.bits, report.cost.settings)
  evaluation.print_report(report)
  print('bits of every channel -> %s' % args.quant_info)
  if args.json_out:
    write_file(args.json_out, json.dumps(evaluation.as_json(report), indent=1) + '\n')


if __name__ == '__main__':
  sys.exit(main())
