"""Makes TFRecords of Fashion-MNIST from its four IDX files.

    python build_fashion_mnist.py --input_directory=fashion_mnist_subset --output_directory=records
"""

import os
import sys
import zlib

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from datasets import converter, fashion_mnist
from datasets.images import encode_grey_png
from datasets.shards import LabelledImage
from scripts.errors import exits_with_status

_DESCRIPTION = '''\
Makes TFRecords of Fashion-MNIST from its four IDX files, plain or gzipped.
Labels are 0 to 9. The grey images are stored losslessly as PNG. dataset.json describes the \
classes and makes evaluation see the whole images. The folder fashion_mnist_subset beside this \
script holds 12,000 of the 70,000 images.'''


def split_images(folder, split):
  """`converter.SplitImages` of the IDX files in `folder`."""
  pixels, labels = fashion_mnist.read_split(folder, split)
  images = [LabelledImage('%s-%05d.png' % (fashion_mnist.PREFIXES[split], index), int(label),
                          fashion_mnist.CLASS_NAMES[label], zlib.crc32(image.tobytes()))
            for index, (image, label) in enumerate(zip(pixels, labels))]
  return converter.SplitImages(images, lambda index: encode_grey_png(pixels[index]))


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('input')
  line.string('input_directory', None,
              'folder with train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz] and the same '
              'of t10k, which becomes the validation split; required')
  converter.define_flags(line, train_shards=8, validation_shards=2)
  return line


@exits_with_status
def main(argv=None):
  """Reads the flags and the files and writes the records."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  converter.check_flags(flags)
  folder = converter.needed(flags, 'input_directory')
  splits = {split: split_images(folder, split) for split in fashion_mnist.PREFIXES}
  converter.convert(flags, splits, fashion_mnist.INFO, fashion_mnist.CLASS_NAMES)


if __name__ == '__main__':
  sys.exit(main())
