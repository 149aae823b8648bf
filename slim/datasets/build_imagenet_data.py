"""Makes TFRecords of ImageNet (ILSVRC 2012) from its images.

    python build_imagenet_data.py --train_directory=train --validation_directory=val
        --output_directory=records

takes validation images in synset folders. For validation images in one folder add

        --validation_labels=ILSVRC2012_validation_ground_truth.txt --synsets=synsets.txt
"""

import os
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from datasets import converter, imagenet
from datasets.class_folders import class_names, image_files, is_sorted, labelled_images
from datasets.shards import LabelledImage
from scripts.errors import UserError, exits_with_status

_DESCRIPTION = '''\
Makes TFRecords of ImageNet (ILSVRC 2012) from its images, as train.py and TF-Slim read them.
Labels are 1 to 1000 in the alphabetical order of the synsets.
A stopped run resumes when it is started again: finished files are kept. The same images \
and seed give the same files.
''' + converter.STORED_BYTES


def train_classes(folder, allow_fewer):
  """The synsets of the folders in `folder`, sorted.

  Raises:
    UserError: a folder is not named by a synset; there are not 1000, and not 2 or more of them
      with `allow_fewer`.
  """
  names = class_names(folder)
  wrong = [name for name in names if not imagenet.is_synset(name)]
  if wrong:
    raise UserError('%s is not named by a synset like n01440764 (build_image_folder.py takes '
                    'folders of any name)' % os.path.join(folder, wrong[0]))
  classes = imagenet.INFO.classes
  if len(names) != classes and not (allow_fewer and 2 <= len(names) < classes):
    raise UserError('%s holds %d synset folders, not %d (--allow_fewer_classes takes 2 or more)'
                    % (folder, len(names), classes))
  return names


def validation_images(folder, truth_path, synsets_path, labels):
  """The validation images with their labels, which the folders or a file of labels tell.

  Args:
    folder: holds the images, in one folder for each synset or all in one.
    truth_path, synsets_path: as for `imagenet.read_ground_truth`, where all lie in one; else None.
    labels: dict synset -> label of the training images.

  Returns:
    List of `LabelledImage` in the order of the images' names, so both ways give the same records.

  Raises:
    UserError: there are folders and images, or folders and a file of labels, or neither; see also
      `labelled_images` and `imagenet.read_ground_truth`.
  """
  if not is_sorted(folder):
    if not truth_path:
      raise UserError('--validation_labels is needed: the images of %s are not sorted into synset '
                      'folders (see --help)' % folder)
    return _flat_images(folder, truth_path, synsets_path, labels)
  for name, path in (('validation_labels', truth_path), ('synsets', synsets_path)):
    if path:
      raise UserError('--%s is for images in one folder, but those of %s lie in folders, which are '
                      'their labels: leave the flag out' % (name, folder))
  return sorted(labelled_images(folder, labels), key=lambda image: os.path.basename(image.path))


def _flat_images(folder, truth_path, synsets_path, labels):
  files = image_files(folder)
  synsets = imagenet.read_synsets(synsets_path) if synsets_path else None
  truth, kind = imagenet.read_ground_truth(truth_path, synsets)
  if len(truth) != len(files):
    raise UserError('%s has %d lines, but %s has %d images'
                    % (truth_path, len(truth), folder, len(files)))
  unknown = sorted(set(truth).difference(labels))
  if unknown:
    raise UserError('%d synsets of %s have no training images, the first is %s'
                    % (len(unknown), truth_path, unknown[0]))
  print('%s holds %s; the first image, %s, is of %s'
        % (truth_path, kind, os.path.basename(files[0][0]), truth[0]))
  return [LabelledImage(path, labels[synset], synset, size)
          for (path, size), synset in zip(files, truth)]


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('input')
  line.string('train_directory', None,
              'folder with one folder of images per synset (n01440764/*.JPEG); required')
  line.string('validation_directory', None,
              'folder with the validation images, in one folder per synset, or all in one folder '
              'with --validation_labels; without it only the training split is written')
  line.string('validation_labels', None,
              'for validation images in one folder: file with a line per image, in the order of '
              'their sorted names: a synset, or the number of its line in --synsets, from 1. '
              'ILSVRC2012_validation_ground_truth.txt holds such numbers')
  line.string('synsets', None,
              'file with a synset at the start of each line, in the order of the numbers. That '
              'order (ILSVRC2012_ID of the development kit) is not alphabetical')
  line.boolean('allow_fewer_classes', False,
               'accept 2 to 999 synset folders; labels are then 1 to their number, as described '
               'in dataset.json')
  converter.define_flags(line, train_shards=1024, validation_shards=128)
  return line


def _check_flags(flags):
  converter.check_flags(flags)
  for name in ('validation_labels', 'synsets'):
    if getattr(flags, name) and not flags.validation_directory:
      raise UserError('--%s is about the images of --validation_directory, which is not given'
                      % name)


@exits_with_status
def main(argv=None):
  """Reads the flags, lists the images and writes the records."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  _check_flags(flags)
  train_directory = converter.needed(flags, 'train_directory')
  names = train_classes(train_directory, flags.allow_fewer_classes)
  labels = {name: imagenet.INFO.first_label + index for index, name in enumerate(names)}
  splits = {'train': converter.files_of(labelled_images(train_directory, labels))}
  if flags.validation_directory:
    splits['validation'] = converter.files_of(validation_images(
        flags.validation_directory, flags.validation_labels, flags.synsets, labels))
  info = imagenet.INFO
  if len(names) != info.classes:
    info = info._replace(name='imagenet_%d' % len(names), classes=len(names))
  converter.convert(flags, splits, info, names)


if __name__ == '__main__':
  sys.exit(main())
