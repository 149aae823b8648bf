"""Reads a complete set of records and lists all of its faults."""

import hashlib
import os
import tempfile
import threading
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

import dataset_utils
import imagenet
from record_names import present_files, split_files, split_names
from scripts.errors import UserError

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
  """Reads every record of every split; continues after a fault.

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
  # A link may point nowhere.
  total = sum(os.path.getsize(path) for name in names for path in paths[name]
              if os.path.exists(path))
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
  counts = (dataset_utils.describe_count(folder, name, splits[name].records) for name in names)
  faults.extend(filter(None, counts))
  return Report(info, splits, faults, _find_duplicates(results))


def _split_files(folder, split, faults):
  """Paths of a split; those that are there and a line in `faults` if some are missing."""
  try:
    return split_files(folder, split)
  except UserError as error:
    faults.append(str(error))
    return present_files(folder, split)


def check_file(path, info, checker, advance):
  """Reads the records of a file.

  Args:
    path: the TFRecord file.
    info: `imagenet.DatasetInfo` with the valid labels.
    checker: as for `check_folder`.
    advance: function called with the bytes of each record once it is checked.

  Returns:
    `_FileReport`.
  """
  report = _FileReport(path, 0, [], [], [])
  number = -1
  try:
    with open(path, 'rb') as stream:
      intact = dataset_utils.intact_records(path)
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
  except OSError as error:
    report.faults.append('cannot read %s: %s' % (path, error.strerror))
  except UserError as error:  # Where the next record would start is not known.
    report.faults.append(str(error))
  return report._replace(records=number + 1)


def _read_frame(stream, start, end):
  """bytes of a record with its length and checksums; its data are at start..end of the file."""
  stream.seek(start - _FRAME[0])
  return stream.read(end - start + sum(_FRAME))


def _checksums_hold(frame):
  """True where TensorFlow's reader, which ends at the first fault, takes this record alone."""
  with tempfile.NamedTemporaryFile() as copy:
    copy.write(frame)
    copy.flush()
    return dataset_utils.intact_records(copy.name) == 1


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
