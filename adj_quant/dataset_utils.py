"""Splits of a set of images: which files, how many records, and what is wrong with them.

A TFRecord file is a chain of records: length (8 bytes, little endian), its checksum (4 bytes), the
data, their checksum (4 bytes). Hopping from length to length counts a file without reading it.
"""

import itertools
import os
import re
from concurrent import futures
from typing import NamedTuple, Tuple

from google.protobuf.message import DecodeError
import tensorflow.compat.v1 as tf

import imagenet
from scripts.errors import UserError
from scripts.runtime import new_session

_HEADER = 12  # Bytes before the data of a record.
_FOOTER = 4  # Bytes after them.
FAULT = '%s: record %d (byte %d) %s'  # File, number from 0, offset, what is wrong.


class Split(NamedTuple):
  """The images of 'train' or 'validation': every `stride`-th record, `count` of them."""
  name: str
  files: Tuple[str, ...]  # In the order they are read.
  count: int  # Images.
  info: imagenet.DatasetInfo
  stride: int = 1


def find_split(folder, split, limit=0):
  """Finds and counts the records of a split; only their lengths are read, not the images.

  Args:
    folder: holds the files `<split>-*` and perhaps a `dataset.json`.
    split: 'train', 'validation' or any other prefix of files.
    limit: use no more images than this, 0 for all. As records may be sorted by class, they are
      every k-th record with k = count // limit, which spreads them over the whole split.

  Returns:
    A `Split`.

  Raises:
    UserError: no such folder or files; a shard is missing, empty, unreadable or cut off; the first
      record is not one of a labelled image.
  """
  if limit < 0:
    raise UserError('the limit of images must be 0 (all) or more, not %d' % limit)
  files = split_files(folder, split)
  # The disk, not Python, is what a million short reads wait for, so they go in parallel.
  with futures.ThreadPoolExecutor(16) as pool:
    count = sum(pool.map(count_records, files))
  info = imagenet.dataset_info(folder)
  _check_first_record(files[0], info)
  if 0 < limit < count:
    return Split(split, files, limit, info, stride=count // limit)
  return Split(split, files, count, info)


def split_files(folder, split):
  """Paths of the split, sorted: its numbered shards if it has such, else all files `<split>-*`."""
  try:
    names = sorted(name for name in os.listdir(folder) if name.startswith(split + '-'))
  except OSError as error:
    raise UserError('cannot read the data folder %s: %s' % (folder, error.strerror))
  if not names:
    raise UserError('no files %s-* in %s: it must hold TFRecords of images' % (split, folder))
  pattern = re.compile(re.escape(split) + r'-\d+-of-(?P<total>\d+)(?P<suffix>(\.tfrecords?)?)$')
  shards = [match for match in map(pattern.match, names) if match]
  if shards:
    names = _complete_shards(folder, split, shards)
  return tuple(os.path.join(folder, name) for name in names)


def _complete_shards(folder, split, shards):
  """Names of the shards, of which the first says how many there are; none may lack or be odd."""
  total, suffix = shards[0].group('total', 'suffix')
  expected = ['%s-%0*d-of-%s%s' % (split, len(total), index, total, suffix)
              for index in range(int(total))]
  found = {match.group() for match in shards}
  missing = [name for name in expected if name not in found]
  if missing:
    raise UserError('%d of the %s files of %s are missing in %s, the first is %s'
                    % (len(missing), total, split, folder, missing[0]))
  odd = sorted(found.difference(expected))
  if odd:
    raise UserError('%s in %s is none of the %s files of %s: remove it'
                    % (odd[0], folder, total, split))
  return expected


def _check_first_record(path, info):
  """Refuses files of another kind before TensorFlow 1.13.1 reads them.

  It would die of a segmentation fault: its error message quotes the record, and bytes that are not
  UTF-8 cannot become a Python string.
  """
  start, data = _read_record(path, 0)
  fault = describe_content(data, info)
  if fault:
    raise UserError(FAULT % (path, 0, start, fault))


def record_spans(path):
  """Yields (start, end) of the data of each record of a TFRecord file, in bytes.

  Raises:
    UserError: the file cannot be read, or a record is empty or reaches beyond the file's end.
  """
  try:
    with open(path, 'rb', buffering=0) as stream:
      size = os.fstat(stream.fileno()).st_size
      offset = 0
      while offset < size:
        header = os.pread(stream.fileno(), _HEADER, offset)
        start = offset + _HEADER
        end = start + int.from_bytes(header[:8], 'little')
        if end == start or end + _FOOTER > size:
          raise UserError('%s: the record at byte %d is cut off or this is no TFRecord file: '
                          'copy or make the file again' % (path, offset))
        yield start, end
        offset = end + _FOOTER
  except OSError as error:
    raise UserError('cannot read %s: %s' % (path, error.strerror))


def stored_records(path):
  """Yields every record of a TFRecord file as it is stored; errors as `record_spans`."""
  with open(path, 'rb') as stream:
    for start, end in record_spans(path):
      stream.seek(start - _HEADER)
      yield stream.read(end + _FOOTER - start + _HEADER)


def count_records(path):
  """Number of records in a TFRecord file, at least 1; errors as `record_spans`."""
  count = sum(1 for _ in record_spans(path))
  if not count:
    raise UserError('%s is empty: copy or make the file again' % path)
  return count


def diagnose(split):
  """Reads and decodes every record of the split's files; slow, for use after an error only.

  Returns:
    One line about the first bad record: its file, number (from 0), byte offset and what is wrong
    (checksum, not a tf.train.Example, missing key, label, image); None when all are good.
  """
  # A training session may hold the memory of a GPU.
  with tf.Graph().as_default(), new_session(use_gpu=False) as session:
    path = tf.placeholder(tf.string, [])
    checked = tf.data.TFRecordDataset(path).map(
        lambda record: _check_record(record, split.info), num_parallel_calls=os.cpu_count())
    iterator = tf.data.make_initializable_iterator(checked)
    following = iterator.get_next()
    for name in split.files:
      good = 0
      try:
        session.run(iterator.initializer, {path: name})
        while True:
          session.run(following)
          good += 1
      except tf.errors.OutOfRangeError:
        continue
      except tf.errors.OpError as error:
        return _describe_fault(name, good, split.info, error)
  return None


def _check_record(record, info):
  """Label and shape of a record's image; fails wherever reading the record for training would."""
  encoded, label = imagenet.parse_record(record, info)
  return label, tf.shape(tf.image.decode_png(encoded, channels=3))  # Decodes JPEG as well.


def _describe_fault(path, index, info, error):
  """One line on record `index` of the file at `path`, for which TensorFlow raised `error`."""
  try:
    start, data = _read_record(path, index)
  except UserError as fault:
    return str(fault)
  if isinstance(error, tf.errors.DataLossError):
    fault = 'fails its checksum, copy or make the file again'
  else:
    fault = describe_content(data, info) or (
        'holds an image that cannot be decoded as JPEG or PNG, make it again or remove it')
  return FAULT % (path, index, start, fault)


def _read_record(path, index):
  """(offset in the file, data) of record `index`, counted from 0; errors as `record_spans`."""
  start, end = next(itertools.islice(record_spans(path), index, None))
  with open(path, 'rb') as stream:
    stream.seek(start)
    return start - _HEADER, stream.read(end - start)


def describe_content(data, info):
  """What is wrong with the bytes of a record, apart from its image; None if nothing is."""
  try:
    features = tf.train.Example.FromString(data).features.feature
  except DecodeError:
    return 'is not a tf.train.Example'
  for key, kind in ((imagenet.IMAGE_KEY, 'bytes_list'), (imagenet.LABEL_KEY, 'int64_list')):
    if key not in features or len(getattr(features[key], kind).value) != 1:
      return 'lacks the key %s (%s with one value)' % (key, kind)
  label = features[imagenet.LABEL_KEY].int64_list.value[0]
  if not info.first_label <= label <= info.last_label:
    return 'has the label %d, outside %d to %d of the data set "%s"' % (
        label, info.first_label, info.last_label, info.name)
  return None
