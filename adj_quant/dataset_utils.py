"""Splits of a set of images: which files, how many records, and what is wrong with them.

A TFRecord file is a chain of records: length (8 bytes, little endian), its checksum (4 bytes), the
data, their checksum (4 bytes). Hopping from length to length counts a file without reading it.
"""

import bisect
import itertools
import os
import threading
import warnings
import zlib
from concurrent import futures
from typing import NamedTuple, Optional, Tuple

from google.protobuf.message import DecodeError
import tensorflow.compat.v1 as tf

import imagenet
from record_names import split_files
from scripts.errors import UserError
from scripts.runtime import new_session

_HEADER = 12  # Bytes before the data of a record.
_FOOTER = 4  # Bytes after them.
_PROBE = 2 ** 16  # Bytes of a file that tell whether it is compressed.
_WARNINGS = threading.Lock()  # Catching them concerns all threads.
FAULT = '%s: record %d (byte %d) %s'  # File, number from 0, offset, what is wrong.


class Span(NamedTuple):
  """Successive records of a split, as an evaluation by several workers has them."""
  start: int  # The first of them in the files of this part.
  stop: int
  number: int  # Of the first of them in the whole split.
  limit: int  # Images of the whole split.
  records: int  # Of the whole split.


class Split(NamedTuple):
  """The images of 'train' or 'validation': the records that `is_chosen` takes."""
  name: str
  files: Tuple[str, ...]  # In the order they are read.
  count: int  # Images.
  info: imagenet.DatasetInfo
  records: int  # That they are chosen from: those of the files, or this part's share of them.
  by_file: Tuple[int, ...] = ()  # Records in each file.
  share: Tuple[int, int] = (0, 1)  # (i, n): of the files' records every n-th, from the i-th on.
  span: Optional[Span] = None  # Of the records; None: all.


def find_split(folder, split, limit=0):
  """Finds and counts the records of a split; only their lengths are read, not the images.

  Args:
    folder: holds the files, see `record_names`, and perhaps a `dataset.json`.
    split: 'train', 'validation' or any other name.
    limit: see `limited`.

  Returns:
    A `Split`.

  Raises:
    UserError: no such folder or files; a shard is missing, empty, unreadable, compressed or cut
      off; there are not as many records as `dataset.json` says; the first record is not one of a
      labelled image.
  """
  if limit < 0:
    raise UserError('the limit of images must be 0 (all) or more, not %d' % limit)
  files = split_files(folder, split)
  # The disk, not Python, is what a million short reads wait for, so they go in parallel.
  with futures.ThreadPoolExecutor(16) as pool:
    by_file = tuple(pool.map(count_records, files))
  count = sum(by_file)
  fault = describe_count(folder, split, count)
  if fault:
    raise UserError(fault)
  info = imagenet.dataset_info(folder)
  _check_first_record(files[0], info)
  return limited(Split(split, files, count, info, count, by_file), limit)


def limited(split, limit):
  """The `Split` with no more than `limit` images, spread evenly over its records; 0 for all."""
  return split._replace(count=min(split.count, limit or split.count))


def part_of(split, index, parts):
  """The part of a split that one of several replicas trains on; the parts have no image in common.

  Files are dealt out in turn. Where there are fewer files than parts, a file goes to several of
  them, each of which reads it and takes every n-th record.

  Args:
    split: `Split`.
    index: of the part, from 0.
    parts: their number.

  Returns:
    A `Split`. Of a limited one, each part has images in proportion to its records.

  Raises:
    UserError: there is no image for this part.
  """
  if parts == 1:
    return split
  files = len(split.files)
  own = slice(index, None, parts) if files >= parts else slice(index % files, index % files + 1)
  sharers = len(range(index % files, parts, files)) if files < parts else 1
  share = (index // files if files < parts else 0, sharers)
  records = len(range(share[0], sum(split.by_file[own]), sharers))
  count = split.count * records // split.records
  if not count:
    raise UserError('%d images of %s are too few for %d workers and towers: use fewer of them'
                    % (split.count, split.name, parts))
  return split._replace(files=split.files[own], by_file=split.by_file[own], records=records,
                        count=count, share=share)


def slice_of(split, index, slices):
  """One of several slices of a split: one after the other they are its images in their order.

  Args:
    split: `Split`.
    index: of the slice, from 0.
    slices: their number.

  Returns:
    A `Split`, perhaps of 0 images.
  """
  if slices == 1:
    return split
  start, stop = (split.records * i // slices for i in (index, index + 1))
  ends = list(itertools.accumulate(split.by_file))
  first = bisect.bisect_right(ends, start)
  own = slice(first, max(first, bisect.bisect_left(ends, stop)) + 1)
  before = ends[first - 1] if first else 0
  return split._replace(
      files=split.files[own], by_file=split.by_file[own],
      count=stop * split.count // split.records - start * split.count // split.records,
      span=Span(start - before, stop - before, start, split.count, split.records))


def is_chosen(number, count, records):
  """Whether a record is among the `count` that stand for all `records` of a split.

  As records may be sorted by class, those chosen are spread over the split as evenly as whole
  numbers allow: j is taken where floor((j + 1) * count / records) > floor(j * count / records).

  Args:
    number: j, of the record, from 0 on; a number or int64 [].
    count, records: whole numbers, 0 < count <= records.
  """
  return (number + 1) * count // records > number * count // records


def describe_count(folder, split, count):
  """What is wrong with the number of records of a split, None if nothing is known to be."""
  expected = imagenet.record_counts(folder).get(split, count)
  if count == expected:
    return None
  return ('%s holds %d records of %s, but its %s says %d: copy or make the files again'
          % (folder, count, split, imagenet.INFO_FILE, expected))


def _check_first_record(path, info):
  """Tells at once what would else end the run at its first batch: records of another kind."""
  start, data = _read_record(path, 0)
  fault = describe_content(data, info)
  if fault:
    raise UserError(FAULT % (path, 0, start, fault))


def record_spans(path):
  """Yields (start, end) of the data of each record of a TFRecord file, in bytes.

  Raises:
    UserError: the file cannot be read or is compressed, or a record is empty or reaches beyond the
      file's end.
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
          _refuse_compressed(path, os.pread(stream.fileno(), _PROBE, 0))
          raise UserError('%s: the record at byte %d is truncated or this is not a TFRecord file: '
                          'copy or make the file again' % (path, offset))
        yield start, end
        offset = end + _FOOTER
  except OSError as error:
    raise UserError('cannot read %s: %s' % (path, error.strerror))


def _refuse_compressed(path, beginning):
  """Raises UserError for a file that begins with these bytes as GZIP and ZLIB files do."""
  try:
    zlib.decompressobj(zlib.MAX_WBITS + 32).decompress(beginning)  # 32: either of them.
  except zlib.error:
    return
  kind, command = 'GZIP', 'gzip -dc'
  if not beginning.startswith(b'\x1f\x8b'):
    kind, command = 'ZLIB', ('python3 -c "import sys, zlib; sys.stdout.buffer.write('
                             'zlib.decompress(sys.stdin.buffer.read()))"')
  raise UserError('%s is compressed with %s: decompress all such files into another folder, each '
                  'with: %s < FILE > FOLDER/FILE' % (path, kind, command))


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


def intact_records(path):
  """Number of the records before the first one that cannot be read or fails its checksum."""
  count = 0
  try:
    # TensorFlow would encode the path as strict UTF-8.
    for _ in tf.python_io.tf_record_iterator(os.fsencode(path)):
      count += 1
  except tf.errors.OpError:
    pass
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
        count_records(name)
        session.run(iterator.initializer, {path: os.fsencode(name)})
        while True:
          session.run(following)
          good += 1
      except tf.errors.OutOfRangeError:
        continue
      except UserError as error:
        return str(error)
      except tf.errors.OpError:
        return _describe_fault(name, good, split.info)
  return None


def _check_record(record, info):
  """Label and shape of a record's image; fails wherever reading the record for training would."""
  encoded, label = imagenet.parse_record(record, info)
  return label, tf.shape(tf.image.decode_png(encoded, channels=3))  # JPEG and still GIF as well.


def _describe_fault(path, index, info):
  """One line on record `index` of the file at `path`, which TensorFlow cannot read."""
  start, data = _read_record(path, index)
  if intact_records(path) <= index:
    fault = 'fails its checksum, copy or make the file again'
  else:
    fault = describe_content(data, info) or (
        'holds an image that cannot be decoded as JPEG, PNG or still GIF, make it again or remove '
        'it')
  return FAULT % (path, index, start, fault)


def _read_record(path, index):
  """(offset in the file, data) of record `index`, counted from 0; errors as `record_spans`."""
  start, end = next(itertools.islice(record_spans(path), index, None))
  with open(path, 'rb') as stream:
    stream.seek(start)
    return start - _HEADER, stream.read(end - start)


def describe_content(data, info):
  """What is wrong with the bytes of a record, apart from its image; None if nothing is."""
  features = _features(data)
  if features is None:
    return 'is not a tf.train.Example'
  for key, kind in ((imagenet.IMAGE_KEY, 'bytes_list'), (imagenet.LABEL_KEY, 'int64_list')):
    if key not in features or len(getattr(features[key], kind).value) != 1:
      return 'lacks the key %s (%s with one value)' % (key, kind)
  label = features[imagenet.LABEL_KEY].int64_list.value[0]
  if not info.first_label <= label <= info.last_label:
    return 'has the label %d, outside %d to %d of the data set "%s"' % (
        label, info.first_label, info.last_label, info.name)
  return None


def _features(data):
  """The map of features of a serialized `tf.train.Example`, None for any other bytes."""
  with _WARNINGS, warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    try:
      features = tf.train.Example.FromString(data).features.feature
    except DecodeError:
      return None
  return None if caught else features  # Bytes after an "unexpected end-group tag" are not read.
