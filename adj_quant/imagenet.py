"""What a set of images is: its records, its classes, and which output stands for which label.

Records are `tf.train.Example`s with the keys that TF-Slim and the Inception scripts write. Two of
them are needed: `image/encoded` (a JPEG, PNG or still GIF file) and `image/class/label` (one
integer). The others (`image/format`, `image/height`, `image/class/text`, ...) are not read: the
bytes of an image tell its format, and records are often wrong about it.
"""

import json
import os
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.json_checks import TEXT, Rule, check_object, dict_of, whole

IMAGE_KEY = 'image/encoded'
LABEL_KEY = 'image/class/label'
_ENTRY = 'Features.FeatureEntry'  # Of the map of features.
INFO_FILE = 'dataset.json'
_RECORDS = 'records'  # Its key of the numbers of records.
_RULES = {
    'name': TEXT,
    'classes': whole(2, 10**6),
    'first_label': whole(0, 10**6),
    'central_crop': Rule('a number above 0 and up to 1',
                         lambda value: type(value) in (int, float) and 0 < value <= 1),
    _RECORDS: dict_of(whole(1), 'an object with a whole number of at least 1 for each split'),
}
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
  content = _read_info(path, may_lack=('central_crop', _RECORDS))
  content.pop(_RECORDS, None)
  return DatasetInfo(**content)


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
  return _read_info(path, may_lack=True).get(_RECORDS, {})


def _read_info(path, may_lack):
  return check_object(read_json(path, 'data set description'), _RULES,
                      'data set description %s' % path, may_lack)


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

  `tf.parse_single_example` would end the process with a segmentation fault at a record that is no
  Example: TensorFlow 1.13.1 quotes the record in its error message, and bytes that are not UTF-8
  cannot become a Python string. The ops used here quote nothing.

  Args:
    record: string [], any bytes.
    info: `DatasetInfo`; a label outside its range fails the run with InvalidArgumentError.

  Returns:
    (string [], the encoded image; int32 [], the label as the record has it). A record that is no
    Example, or lacks a key with one value, fails the run with InvalidArgumentError or
    DataLossError.
  """
  entries = _fields(tf.reshape(_fields(record, 'Example', 'features')[0], []),
                    'Features', 'feature')[0]
  keys = tf.reshape(_fields(entries, _ENTRY, 'key')[0], [-1])
  label = _single_value(entries, keys, LABEL_KEY, 'int64_list', 'Int64List', tf.int64)
  in_range = tf.logical_and(label >= info.first_label, label <= info.last_label)
  message = 'is the label of a record; allowed are %d to %d' % (info.first_label, info.last_label)
  with tf.control_dependencies([tf.Assert(in_range, [label, message])]):
    label = tf.cast(label, tf.int32)
  return _single_value(entries, keys, IMAGE_KEY, 'bytes_list', 'BytesList', tf.string), label


def _single_value(entries, keys, key, kind, message, dtype):
  """The value [] of a feature: of the last entry with its key, as protocol buffers have it.

  Args:
    entries, keys: string [M], the features of an Example and their keys.
    key: of the feature.
    kind, message: field of `tf.train.Feature` that holds the values, and what it is a message of.
    dtype: of the value.
  """
  entry = entries[tf.where(tf.equal(keys, key))[-1, 0]]
  feature = tf.reshape(_fields(entry, _ENTRY, 'value')[0], [])
  values = tf.reshape(_fields(feature, 'Feature', kind)[0], [])
  values, count = _fields(values, message, 'value', dtype)
  # A field without values reads as one default.
  with tf.control_dependencies([tf.Assert(tf.equal(count[0], 1), [count, 'values of ' + key])]):
    return tf.reshape(values, [])


def _fields(serialized, message, field, dtype=tf.string):
  """One field of serialized protocol buffers; the run fails where they are none of that type.

  It is `tf.io.decode_proto`, which 1.13.1 has only as an op.

  Args:
    serialized: string [] or [M].
    message: name of their type within the package tensorflow.
    field: its name; that of a message is read as string.
    dtype: of the field.

  Returns:
    (values: dtype [V] or [M, V], V the largest number of values and at least 1; their numbers,
    int32 [1] or [M, 1]).
  """
  options = {
      'message_type': tf.AttrValue(s=b'tensorflow.' + message.encode()),
      'field_names': tf.AttrValue(list=tf.AttrValue.ListValue(s=[field.encode()])),
      'output_types': tf.AttrValue(list=tf.AttrValue.ListValue(type=[dtype.as_datatype_enum])),
      'descriptor_source': tf.AttrValue(s=b'local://'),
      'message_format': tf.AttrValue(s=b'binary'),
      'sanitize': tf.AttrValue(b=False)}
  op = tf.get_default_graph().create_op('DecodeProtoV2', [serialized], [tf.int32, dtype],
                                        attrs=options)
  count, values = op.outputs
  return values, count
