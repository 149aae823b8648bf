"""Reads a set of records as a whole and finds everything that is wrong with it."""

import hashlib
import os
import re
import tempfile
import threading
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

import dataset_utils
import imagenet
from scripts.errors import UserError

_SHARD = re.compile(r'(?P<split>.+?)-\d+-of-\d+(\.tfrecords?)?$')
_PLAIN_SPLITS = ('train', 'validation')  # Whose files may have other names.
_FRAME = 12, 4  # Bytes of a record before and after its data.


class SplitReport(NamedTuple):
  """What one split holds."""
  files: int
  records: int  # Those with a fault among them.
  class_counts: np.ndarray  # int [classes], images without a fault.


class Report(NamedTuple):
  """What a folder holds."""
  info: imagenet.DatasetInfo
  splits: dict  # Name -> SplitReport.
  faults: list  # Lines, each naming its file.
  duplicates: dict  # 'within splits' and 'across splits' -> lines on two records of one image.


class _FileReport(NamedTuple):
  path: str
  records: int
  labels: list  # Of the images without a fault,
  digests: list  # their (number of the record, hash).
  faults: list


def check_folder(folder, checker=None, threads=1):
  """Reads every record of every split; goes on after a fault.

  Args:
    folder: holds the records and perhaps a `dataset.json`.
    checker: `images.ImageChecker` to decode all images with; None leaves them encoded.
    threads: files read at the same time.

  Returns:
    `Report`.

  Raises:
    UserError: no records in the folder, or a damaged `dataset.json`.
  """
  info = imagenet.dataset_info(folder)
  names, faults = split_names(folder), []
  paths = {name: _split_files(folder, name, faults) for name in names}
  total = sum(os.path.getsize(path) for name in names for path in paths[name])
  lock = threading.Lock()
  with tqdm.tqdm(total=total, desc='records', unit='B', unit_scale=True, leave=False,
                 mininterval=1.0) as progress, futures.ThreadPoolExecutor(threads) as pool:
    def advance(size):
      with lock:
        progress.update(size)

    def check(path):
      return check_file(path, info, checker, advance)

    results = {name: list(pool.map(check, paths[name])) for name in names}
  faults.extend(fault for name in names for file in results[name] for fault in file.faults)
  splits = {name: _summary(results[name], info) for name in names}
  return Report(info, splits, faults, _find_duplicates(results))


def split_names(folder):
  """Sorted names of the splits that have records in `folder`; UserError if there are none."""
  try:
    files = os.listdir(folder)
  except OSError as error:
    raise UserError('cannot read the data folder %s: %s' % (folder, error.strerror))
  names = {match.group('split') for match in map(_SHARD.match, files) if match}
  names.update(split for split in _PLAIN_SPLITS
               if any(name.startswith(split + '-') for name in files))
  if not names:
    raise UserError('no files train-00000-of-00008 or the like in %s: it must hold TFRecords of '
                    'images' % folder)
  return sorted(names)


def _split_files(folder, split, faults):
  """Paths of a split; those that are there and a line in `faults` if some are missing."""
  try:
    return dataset_utils.split_files(folder, split)
  except UserError as error:
    faults.append(str(error))
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if _SHARD.match(name) and name.startswith(split + '-'))


def check_file(path, info, checker, advance):
  """Reads the records of a file.

  Args:
    path: the TFRecord file.
    info: `imagenet.DatasetInfo` with the labels that are right.
    checker: as for `check_folder`.
    advance: function called with the bytes of each record once it is checked.

  Returns:
    `_FileReport`.
  """
  report = _FileReport(path, 0, [], [], [])
  number, intact = -1, _intact_records(path)
  try:
    with open(path, 'rb') as stream:
      for number, (start, end) in enumerate(dataset_utils.record_spans(path)):
        frame = _read_frame(stream, start, end)
        data = frame[_FRAME[0]:-_FRAME[1]]
        if number >= intact and not _checksums_hold(frame):
          fault = 'fails its checksum'
        else:
          fault = _describe_fault(data, info, checker)
        if fault:
          report.faults.append(dataset_utils.FAULT % (path, number, start - _FRAME[0], fault))
        else:
          encoded, label = _image_and_label(data)
          report.labels.append(label)
          report.digests.append((number, hashlib.sha256(encoded).digest()[:16]))
        advance(len(frame))
    if number < 0:
      report.faults.append('%s is empty' % path)
  except (UserError, OSError) as error:  # Where the next record would start is not known.
    report.faults.append(str(error))
  return report._replace(records=number + 1)


def _read_frame(stream, start, end):
  """bytes of a record with its length and checksums; its data are at start..end of the file."""
  stream.seek(start - _FRAME[0])
  return stream.read(end - start + sum(_FRAME))


def _intact_records(path):
  """Number of the records before the first one that cannot be read or fails its checksum."""
  count = 0
  try:
    for _ in tf.python_io.tf_record_iterator(path):
      count += 1
  except tf.errors.OpError:
    pass
  return count


def _checksums_hold(frame):
  """True where TensorFlow's reader, which ends at the first fault, takes this record alone."""
  with tempfile.NamedTemporaryFile() as copy:
    copy.write(frame)
    copy.flush()
    return _intact_records(copy.name) == 1


def _describe_fault(data, info, checker):
  """What is wrong with the content of a record, None if nothing is."""
  fault = dataset_utils.describe_content(data, info)
  if fault is None and checker is not None:
    try:
      checker.describe(_image_and_label(data)[0])
    except ValueError as error:
      fault = 'holds an image that %s' % error
  return fault


def _image_and_label(data):
  features = tf.train.Example.FromString(data).features.feature
  return (features[imagenet.IMAGE_KEY].bytes_list.value[0],
          features[imagenet.LABEL_KEY].int64_list.value[0])


def _summary(files, info):
  labels = np.array([label for file in files for label in file.labels], int)
  return SplitReport(len(files), sum(file.records for file in files),
                     np.bincount(labels - info.first_label, minlength=info.classes))


def _find_duplicates(results):
  """Lines on the records whose image has the bytes of one before it; `results`: split -> files."""
  duplicates = {'within splits': [], 'across splits': []}
  first = {}
  for split, files in results.items():
    for path, number, digest in ((file.path, *entry) for file in files for entry in file.digests):
      before = first.setdefault(digest, (split, path, number))
      if before != (split, path, number):
        kind = 'within splits' if before[0] == split else 'across splits'
        duplicates[kind].append('%s record %d and %s record %d' % (before[1:] + (path, number)))
  return duplicates
