"""What the scripts that make TFRecords have in common: their flags, and writing both splits.

When all is written, `dataset.json` says how many records each split has, so whoever reads them
notices a file that was cut between two of them.
"""

import os
from typing import Callable, NamedTuple

import imagenet
from datasets import shards
from datasets.class_folders import read_image
from scripts.errors import UserError
from scripts.files import read_file, write_file

LABELS_FILE = 'labels.txt'
_MOST_BYTES = 2 ** 26  # Of such a file.
# For the help of the scripts that read files of images.
STORED_BYTES = '''\
Records keep the bytes of the files, with two exceptions. An image with an EXIF orientation, such \
as a photo taken with the phone on its side, is stored upright and without EXIF data, because \
TensorFlow ignores them (a JPEG is re-encoded at quality 95, a PNG stays lossless). A \
still GIF is stored as a PNG of the same pixels; an animated one counts as an image that cannot \
be read.'''


class SplitImages(NamedTuple):
  """The images of one split."""
  images: list  # Of `shards.LabelledImage`.
  read: Callable  # index -> bytes, as for `shards.write_split`.


def files_of(images):
  """`SplitImages` of images whose bytes are those of their files."""
  return SplitImages(images, lambda index: read_image(images[index].path))


def define_flags(line, train_shards, validation_shards):
  """Defines the flags on the output; the numbers of files are those of the set."""
  line.section('output')
  line.string('output_directory', None, 'folder to write the records to; required')
  line.integer('train_shards', train_shards, 'number of files of the training split', least=1)
  line.integer('validation_shards', validation_shards, 'number of files of the validation split',
               least=1)
  line.integer('num_threads', os.cpu_count(), 'files written in parallel', least=1)
  line.integer('seed', 0, 'seed of the order of the training images; validation keeps its own')
  line.boolean('skip_bad', False, 'skip and list images that cannot be read; without it the first '
                                  'one ends the run')
  line.boolean('overwrite', False, 'replace records of other images or flags and the description '
                                   'of another set, which are refused otherwise. Finished files of '
                                   'the same images and flags are kept')


def needed(flags, name):
  """The value of a flag that must be given."""
  value = getattr(flags, name)
  if not value:
    raise UserError('--%s is needed (see --help)' % name)
  return value


def check_flags(flags):
  """Refuses values that no image has to be read for."""
  needed(flags, 'output_directory')
  if not 0 <= flags.seed < 2 ** 32:
    raise UserError('--seed must be 0 to %d, not %d' % (2 ** 32 - 1, flags.seed))


def convert(flags, splits, info, class_names):
  """Writes the records of a set and what describes them, and prints what it wrote.

  Args:
    flags: values of the flags of `define_flags`.
    splits: dict 'train' or 'validation' -> `SplitImages`.
    info: `imagenet.DatasetInfo`; written to `dataset.json` with the numbers of records.
    class_names: names of the classes in the order of their labels; written to LABELS_FILE.

  Raises:
    UserError: see `shards.write_split`; or the folder describes another set. What can be refused
      without reading an image is so before anything in the folder is removed or changed.
  """
  check_flags(flags)
  _refuse_unreadable(flags, splits)
  folder, names = flags.output_directory, _class_lines(info, class_names)
  options = {split: _options(flags, split) for split in splits}
  counts = _prepare(folder, splits, options, info, names)
  for split, content in splits.items():
    counts[split] = _write(folder, split, content, options[split], counts.get(split))
  _describe(folder, info, names, counts)
  print('%s: %d classes, labels %d to %d, "%s"' % (folder, info.classes, info.first_label,
                                                   info.last_label, info.name))


def _prepare(folder, splits, options, info, names):
  """Checks all and writes the descriptions; returns the numbers of records that stay, a dict."""
  renewed = [split for split, content in splits.items()
             if shards.check(folder, split, content.images, options[split])]
  if not any(option.overwrite for option in options.values()):
    _check_description(folder, info, names)
  counts = {split: count for split, count in imagenet.record_counts(folder).items()
            if split not in renewed}
  for split, content in splits.items():  # Before a description changes that belongs to them.
    shards.prepare(folder, split, content.images, options[split])
  _describe(folder, info, names, counts)
  return counts


def _write(folder, split, content, options, before):
  """Writes a split and returns its number of records, which is `before` if that is not None."""
  written = shards.write_split(folder, split, content.images, content.read, options)
  if before not in (None, written):
    raise UserError('%s had %d records of %s when it was made: remove the files %s-* and start '
                    'again' % (folder, before, split, split))
  left_out = len(content.images) - written
  print('%s: %d images in %d files%s' % (split, written, options.shards,
                                         ', %d left out' % left_out if left_out else ''))
  return written


def _options(flags, split):
  is_train = split == 'train'
  return shards.Options(flags.train_shards if is_train else flags.validation_shards,
                        flags.num_threads, flags.seed if is_train else None, flags.skip_bad,
                        flags.overwrite)


def _refuse_unreadable(flags, splits):
  """Refuses images that are known to be unreadable, unless --skip_bad is given."""
  for content in splits.values() if not flags.skip_bad else ():
    for index, image in enumerate(content.images):
      if image.stamp == shards.UNREADABLE:
        try:
          content.read(index)
        except UserError as error:
          raise UserError('%s (--skip_bad skips such images)' % error)


def printable(name):
  """The name of a file or folder as a line of UTF-8; bytes that are none become \\xe9 and so on."""
  text = name.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')
  return text.replace('\n', '\\n')


def _class_lines(info, class_names):
  """bytes of LABELS_FILE."""
  return ''.join('%d:%s\n' % (info.first_label + index, printable(name))
                 for index, name in enumerate(class_names)).encode('utf-8')


def _check_description(folder, info, names):
  """Refuses a folder that describes another set; `names`: bytes of LABELS_FILE."""
  path = os.path.join(folder, imagenet.INFO_FILE)
  other = '%s is of another set than "%s": write to another folder, or replace it with --overwrite'
  if os.path.lexists(path) and imagenet.dataset_info(folder) != info:
    raise UserError(other % (path, info.name))
  path = os.path.join(folder, LABELS_FILE)
  if os.path.lexists(path) and read_file(path, 'list of classes', _MOST_BYTES) != names:
    raise UserError(other % (path, info.name))


def _describe(folder, info, names, records):
  """Writes the `dataset.json` and the names of the classes."""
  imagenet.write_info(folder, info, records)
  write_file(os.path.join(folder, LABELS_FILE), names)
