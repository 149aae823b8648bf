"""Makes TFRecords of images that are sorted into one folder per class.

    python build_image_folder.py --input_directory=flowers --output_directory=records
"""

import os
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from datasets import converter, image_folder
from scripts.errors import exits_with_status

_DESCRIPTION = '''\
Makes TFRecords of JPEG, PNG and still GIF images that are sorted into one folder per class.
The input is either train/CLASS/* and validation/CLASS/*, or CLASS/*, of which a share becomes the \
validation split. Labels are 0, 1, ... in the alphabetical order of the folders; labels.txt lists \
them and dataset.json says how many there are, so every script takes the set from its folder.
''' + converter.STORED_BYTES


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('input')
  line.string('input_directory', None, 'folder with the folders of the classes, or with train and '
                                       'validation above them; required')
  line.number('validation_share', None, 'share of the images for validation if the input is not '
                                        'divided, chosen by a hash of their names (default: %g)'
              % image_folder.VALIDATION_SHARE)
  line.string('name', None, 'name of the set (default: that of the input folder)')
  converter.define_flags(line, train_shards=8, validation_shards=2)
  return line


@exits_with_status
def main(argv=None):
  """Reads the flags, lists the images and writes the records."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  converter.check_flags(flags)
  folder = converter.needed(flags, 'input_directory')
  images, names = image_folder.find_images(folder, flags.validation_share)
  name = converter.printable(flags.name or os.path.basename(os.path.abspath(folder)))
  splits = {split: converter.files_of(images[split]) for split in image_folder.SPLITS}
  converter.convert(flags, splits, image_folder.describe(name, names), names)


if __name__ == '__main__':
  sys.exit(main())
