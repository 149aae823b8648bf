"""Counts parameters and operations of a quantised network from its bits.

    python cost.py quant_info.json [--json] [--model_info model_info.json]
"""

import json
import sys

from scripts import cost
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.model_info import read_model_info
from scripts.quant_info import read_quant_info


def _parse(argv):
  parser = ArgumentParser(
      'Counts the parameters and operations of a quantised network by both sets of rules.')
  parser.add_argument('quant_info', help='bits of every channel, a quant_info.json of eval.py')
  parser.add_argument('--json', action='store_true', help='print one JSON object')
  parser.add_argument('--model_info', metavar='FILE',
                      help='take the layer sizes from this model_info.json, for example of '
                           'another image size, instead of those named in quant_info')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Prints the cost of the network that a quant_info.json describes."""
  args = _parse(argv)
  bits, settings = read_quant_info(args.quant_info)
  architecture = ARCHITECTURES[settings.architecture]
  if args.model_info:
    size = read_model_info(args.model_info, architecture)
    classes = len(bits['output'].weight)
    if size.classes not in (classes, classes + 1):  # One more: with ImageNet's background class.
      raise UserError('layer output has %d channels in %s but %d in %s' % (
          classes, args.quant_info, size.classes, args.model_info))
    if size.classes > classes:
      print('note: %s counts %d classes, %s has %d: counting %d' % (
          args.model_info, size.classes, args.quant_info, classes, classes), file=sys.stderr)
    settings = settings._replace(image_size=size.image_size)
  if args.json:
    print(json.dumps(cost.as_json(bits, settings, architecture), indent=1))
  else:
    print(cost.as_text(bits, settings, architecture))


if __name__ == '__main__':
  sys.exit(main())
