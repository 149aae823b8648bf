"""What a set of images is: its records, its classes, and which output stands for which label.

Records are `tf.train.Example`s with the keys that TF-Slim and the Inception scripts write. Two of
them are needed: `image/encoded` (a JPEG or PNG file) and `image/class/label` (one integer). The
others (`image/format`, `image/height`, `image/class/text`, ...) are not read: the bytes of an image
tell its format, and records are often wrong about it.
"""

import json
import os
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.files import read_json, write_file

IMAGE_KEY = 'image/encoded'
LABEL_KEY = 'image/class/label'
INFO_FILE = 'dataset.json'
_RECORDS = 'records'  # Its key of the numbers of records.
_CROP_PADDING = 32  # Pixels around a central crop of the network's image size.


class DatasetInfo(NamedTuple):
  """The classes of a set: labels `first_label` .. `first_label + classes - 1`."""
  name: str
  classes: int
  first_label: int
  central_crop: Optional[float] = None  # See `central_share`.

  @property
  def last_label(self):
    """The largest label a record may carry."""
    return self.first_label + self.classes - 1

  def central_share(self, image_size):
    """Share of the shorter side, in (0, 1], that the central crop of an evaluation shows.

    Without a `central_crop` of the set it is that of EfficientNet's published evaluation at
    `image_size` pixels a side: S / (S + 32).
    """
    return self.central_crop or image_size / (image_size + _CROP_PADDING)


IMAGENET = DatasetInfo('imagenet', classes=1000, first_label=1)  # Label 0 would be background.


def dataset_info(folder):
  """The classes of the set in `folder`: those of its `dataset.json`, ImageNet's without that file.

  Raises:
    UserError: the file is not JSON, lacks a key, has one too many or a value out of range.
  """
  path = os.path.join(folder, INFO_FILE)
  if not os.path.lexists(path):
    return IMAGENET
  content = read_json(path, 'data set description')
  content.pop(_RECORDS, None)
  optional = set(DatasetInfo._field_defaults)
  if set(content) | optional != set(DatasetInfo._fields):
    raise UserError('%s must hold the keys %s, may hold %s and no others, it has: %s'
                    % (path, ', '.join(key for key in DatasetInfo._fields if key not in optional),
                       ', '.join(sorted(optional) + [_RECORDS]), ', '.join(sorted(content))))
  info = DatasetInfo(**content)
  if not isinstance(info.name, str) or not info.name:
    raise UserError('%s: "name" must be a text, not %r' % (path, info.name))
  for key, smallest in (('classes', 2), ('first_label', 0)):
    value = content[key]
    if type(value) is not int or value < smallest:  # A bool is an int to isinstance.
      raise UserError('%s: "%s" must be a whole number of at least %d, not %r'
                      % (path, key, smallest, value))
  crop = info.central_crop
  if 'central_crop' in content and not (type(crop) in (int, float) and 0 < crop <= 1):
    raise UserError('%s: "central_crop" must be a number above 0 and up to 1, not %r'
                    % (path, crop))
  return info


def record_counts(folder):
  """How many records a set has, as far as its `dataset.json` says; what is there may be less.

  Returns:
    Dict split -> number, without the splits that it says nothing about.

  Raises:
    UserError: the file is not JSON, or these are not numbers above 0.
  """
  path = os.path.join(folder, INFO_FILE)
  if not os.path.lexists(path):
    return {}
  counts = read_json(path, 'data set description').get(_RECORDS, {})
  if not isinstance(counts, dict) or any(
      type(count) is not int or count < 1 for count in counts.values()):
    raise UserError('%s: "%s" must give a whole number of at least 1 for each split, not %r'
                    % (path, _RECORDS, counts))
  return counts


def write_info(folder, info, records=None):
  """Writes the `dataset.json` of a set.

  Args:
    folder: holds the records.
    info: `DatasetInfo`, which `dataset_info` reads.
    records: dict split -> number of its records, which `record_counts` reads.

  Raises:
    UserError: the file cannot be written.
  """
  content = {key: value for key, value in info._asdict().items() if value is not None}
  if records:
    content[_RECORDS] = records
  write_file(os.path.join(folder, INFO_FILE), json.dumps(content, indent=2) + '\n')


def label_offset(outputs, info):
  """What is subtracted from a record's label to give the index of the network's output.

  Args:
    outputs: number of outputs of the network's head.
    info: the `DatasetInfo` of the records.

  Returns:
    `first_label` where each class has one output; 0 where labels start at 1 and output 0 is an
    additional background class, which no record carries.

  Raises:
    UserError: the head fits neither.
  """
  if outputs == info.classes:
    return info.first_label
  if outputs == info.classes + 1 and info.first_label == 1:
    return 0
  raise UserError(
      'the network has %d outputs, but the data set "%s" has %d classes (labels %d to %d): '
      'choose weights and data that belong together, or describe the data in %s'
      % (outputs, info.name, info.classes, info.first_label, info.last_label, INFO_FILE))


def describe_labels(outputs, info):
  """`label_offset` in words, for the log: '1000 outputs: label - 1'."""
  offset = label_offset(outputs, info)
  background = ', output 0 is background' if outputs > info.classes else ''
  return '%d outputs: label%s%s' % (outputs, ' - %d' % offset if offset else '', background)


def parse_record(record, info):
  """Takes a serialized `tf.train.Example` apart.

  Args:
    record: string [].
    info: `DatasetInfo`; a label outside its range fails the run with InvalidArgumentError.

  Returns:
    (string [], the encoded image; int32 [], the label as the record has it).
  """
  features = tf.parse_single_example(record, {
      IMAGE_KEY: tf.FixedLenFeature([], tf.string),
      LABEL_KEY: tf.FixedLenFeature([], tf.int64)})
  label = features[LABEL_KEY]
  in_range = tf.logical_and(label >= info.first_label, label <= info.last_label)
  message = 'is the label of a record; allowed are %d to %d' % (info.first_label, info.last_label)
  with tf.control_dependencies([tf.Assert(in_range, [label, message])]):
    label = tf.cast(label, tf.int32)
  return features[IMAGE_KEY], label
