"""Makes the subset of Fashion-MNIST in fashion_mnist_subset/.

    python make_fashion_mnist_subset.py --input_directory=fashion-mnist --output_directory=subset
"""

import hashlib
import os
import sys

import numpy as np

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from datasets import converter, fashion_mnist, idx
from scripts.errors import UserError, exits_with_status
from scripts.files import check_writable, remove_unfinished, write_file

_DESCRIPTION = '''\
Takes the first images of each class of Fashion-MNIST, in their order, into four smaller IDX files.
The same input gives the same bytes; SHA256SUMS beside the files holds their checksums.'''


def first_of_each_class(labels, number):
  """Sorted indices of the first `number` of each class in labels [N].

  Raises:
    UserError: a class has fewer.
  """
  chosen = []
  for label, name in enumerate(fashion_mnist.CLASS_NAMES):
    places = np.flatnonzero(labels == label)
    if len(places) < number:
      raise UserError('the class %s has %d images, not %d' % (name, len(places), number))
    chosen.append(places[:number])
  return np.sort(np.concatenate(chosen))


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.string('input_directory', None, 'folder with the four files of Fashion-MNIST; needed')
  line.string('output_directory', None, 'folder to write to; needed')
  line.integer('train_per_class', 1000, 'training images of each class', least=1)
  line.integer('validation_per_class', 200, 'images of each class in the files of t10k', least=1)
  return line


@exits_with_status
def main(argv=None):
  """Reads the flags and the files and writes the subset."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  source = converter.needed(flags, 'input_directory')
  target = converter.needed(flags, 'output_directory')
  numbers = {'train': flags.train_per_class, 'validation': flags.validation_per_class}
  check_writable(target)
  remove_unfinished(target)
  sums = []
  for split, number in numbers.items():
    arrays = fashion_mnist.read_split(source, split)
    chosen = first_of_each_class(arrays[1], number)
    for name, array in zip(fashion_mnist.file_names(split), arrays):
      content = idx.compressed_idx(array[chosen])
      write_file(os.path.join(target, name + '.gz'), content)
      sums.append('%s  %s.gz\n' % (hashlib.sha256(content).hexdigest(), name))
    print('%s: %d images' % (split, len(chosen)))
  write_file(os.path.join(target, 'SHA256SUMS'), ''.join(sums))


if __name__ == '__main__':
  sys.exit(main())
