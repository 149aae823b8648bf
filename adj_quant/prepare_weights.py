"""Extracts the weights of a frozen TF-Slim EfficientNet, batch norm folded.

    python prepare_weights.py FROZEN.pb        # writes FROZEN_weights.pickle beside it

Where the weights file that this repository ships has that name, it is kept under another one.
Another file of that name is replaced only with --overwrite.
"""

import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.frozen_graph import extract_weights, read_constants
from scripts.effnetb0.weights import is_listed, weights_bytes
from scripts.errors import ArgumentParser, exits_with_status
from scripts.files import check_file, read_file, write_new_file


@exits_with_status
def main(argv=None):
  """Writes the pickle beside the frozen graph."""
  prepare_tensorflow()
  parser = ArgumentParser('Extracts a weights pickle for adj_quant from a frozen TF-Slim graph.')
  parser.add_argument('frozen', metavar='FROZEN.pb', help='binary GraphDef of freeze_graph.py')
  parser.add_argument('--model', choices=sorted(ARCHITECTURES), default='eff_b0',
                      help='architecture (%(default)s)')
  parser.add_argument('--overwrite', action='store_true',
                      help='replace a FROZEN_weights.pickle of other content')
  args = parser.parse_args(argv)
  target = os.path.splitext(args.frozen)[0] + '_weights.pickle'
  check_file(target)
  weights = extract_weights(read_constants(args.frozen), ARCHITECTURES[args.model], args.frozen)
  content = weights_bytes(weights)
  kept = _keep_shipped(target, content)
  is_new = write_new_file(target, content, args.overwrite or bool(kept))
  if kept:
    print('note: the shipped weights, which had this name, are kept as %s' % kept)
  print('%d layers, %d values -> %s%s' % (
      len(weights), sum(w.weights.size + w.bias.size for w in weights.values()), target,
      '' if is_new else ' (unchanged: the file has this content already)'))


def _keep_shipped(path, content):
  """Copies the shipped weights at `path` beside it, where `content` is to replace them.

  Returns:
    Path of the copy, None where there is nothing to keep.
  """
  if not os.path.isfile(path):
    return None
  old = read_file(path, 'weights file', sys.maxsize)
  if old == content or not is_listed(path, old):
    return None
  kept = '%s.shipped%s' % os.path.splitext(path)
  write_new_file(kept, old)
  return kept


if __name__ == '__main__':
  sys.exit(main())
