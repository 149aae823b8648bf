"""Takes the weights of a frozen TF-Slim EfficientNet out of its graph, batch norm folded.

    python prepare_weights.py FROZEN.pb        # writes FROZEN_weights.pickle beside it
"""

import os
import sys

from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.frozen_graph import extract_weights, read_constants
from scripts.effnetb0.weights import save_weights
from scripts.errors import ArgumentParser, exits_with_status
from scripts.files import check_file
from scripts.runtime import prepare_tensorflow


@exits_with_status
def main(argv=None):
  """Writes the pickle beside the frozen graph."""
  prepare_tensorflow()
  parser = ArgumentParser('Makes the weights pickle of adj_quant out of a frozen TF-Slim graph.')
  parser.add_argument('frozen', metavar='FROZEN.pb', help='binary GraphDef of freeze_graph.py')
  parser.add_argument('--model', choices=sorted(ARCHITECTURES), default='eff_b0',
                      help='architecture (%(default)s)')
  args = parser.parse_args(argv)
  target = os.path.splitext(args.frozen)[0] + '_weights.pickle'
  check_file(target)
  weights = extract_weights(read_constants(args.frozen), ARCHITECTURES[args.model], args.frozen)
  save_weights(target, weights)
  print('%d layers, %d values -> %s'
        % (len(weights), sum(w.weights.size + w.bias.size for w in weights.values()), target))


if __name__ == '__main__':
  sys.exit(main())
