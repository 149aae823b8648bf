"""Writes labelled images into the shards of a split, in parallel and restartable.

A shard is written under another name and renamed when it is whole, so a shard that is there is
finished; one that has lost records since is made again. The manifest, `<split>.manifest.json`, says
from which images and with which options the shards were made; shards of the same manifest are kept
when a stopped run is started again. The same images and options give the same bytes, whatever the
number of threads.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
import threading
from concurrent import futures
from typing import NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

import imagenet
from dataset_utils import count_records
from datasets.images import ImageChecker
from scripts.errors import UserError
from scripts.files import UNFINISHED, check_writable, read_json, remove_unfinished, write_file

UNREADABLE = -1  # Stamp of an image whose file cannot be read.


class LabelledImage(NamedTuple):
  """One image of a split."""
  path: str  # Its file; the record keeps the last part.
  label: int
  text: str  # Name of its class.
  stamp: int  # Changes with the content: the size of the file or a checksum; or UNREADABLE.


class Options(NamedTuple):
  """How a split is written."""
  shards: int
  threads: int
  seed: Optional[int] = None  # Of the order of the images; None keeps theirs.
  skip_bad: bool = False  # Leave out images that cannot be read, and say so.
  overwrite: bool = False  # Make shards of other images or options anew.


class _Stopped(Exception):
  """Another thread has failed."""


def write_split(folder, split, images, read, options):
  """Writes the images of a split to `<split>-00000-of-<shards>` and so on in `folder`.

  Args:
    folder: made if there is none.
    split: 'train' or 'validation'.
    images: list of `LabelledImage`.
    read: function of an index of `images` that gives the bytes of a JPEG, PNG or GIF file; called
      by several threads. Records hold what `ImageChecker.prepare` makes of them.
    options: `Options`.

  Returns:
    Number of images written.

  Raises:
    UserError: an image cannot be read or decoded, the folder cannot be written, the disk is full,
      or there are shards of other images or options.
  """
  prepare(folder, split, images, options)
  order = np.arange(len(images))
  if options.seed is not None:
    order = np.random.RandomState(options.seed).permutation(len(images))
  parts = np.array_split(order, options.shards)
  paths = shard_paths(folder, split, options.shards)
  missing = [(path, part) for path, part in zip(paths, parts)
             if not _is_finished(path, len(part), options.skip_bad)]
  total = sum(len(part) for _, part in missing)
  if missing:
    with ImageChecker() as checker, tqdm.tqdm(
        total=total, desc=split, unit='image', leave=False, mininterval=1.0) as progress:
      _run_threads(_ShardWriter(images, read, checker, progress, options.skip_bad), missing,
                   options.threads)
  return sum(count_records(path) for path in paths)


def shard_paths(folder, split, shards):
  """Paths of the files of a split."""
  return [os.path.join(folder, '%s-%05d-of-%05d' % (split, shard, shards))
          for shard in range(shards)]


def _is_finished(path, images, skip_bad):
  """True where the shard at `path` holds all of its images, or with skip_bad any number of them."""
  try:
    records = count_records(path)
  except UserError:  # Not there, or damaged.
    return False
  return records == images or (skip_bad and records < images)


def check(folder, split, images, options):
  """Makes the folder and refuses what `write_split` refuses before it reads an image.

  Nothing is removed, so all splits of a set can be checked before the first one is touched.

  Args:
    folder, split, images, options: as for `write_split`.

  Returns:
    The manifest to write, a dict; None where the one that is there says the same.

  Raises:
    UserError: the folder cannot be written, or see `Options`.
  """
  if not 1 <= options.shards <= len(images):
    raise UserError('%d images of %s cannot fill %d files: choose 1 to %d'
                    % (len(images), split, options.shards, len(images)))
  check_writable(folder)
  path = _manifest_path(folder, split)
  manifest = _manifest(images, options)
  old = read_json(path, 'manifest') if os.path.exists(path) else {}
  if old == manifest:
    return None
  if _files_of(folder, split) and not options.overwrite:
    differing = ', '.join('%s %s, now %s' % (key, old.get(key), value)
                          for key, value in manifest.items() if old.get(key) != value)
    raise UserError('%s holds files of %s made of other images or with other options (%s): write '
                    'to another folder, or remake them with --overwrite'
                    % (folder, split, differing if old else 'without a manifest'))
  return manifest


def prepare(folder, split, images, options):
  """Removes what killed runs left and shards of other images or options; writes the manifest.

  `write_split` does so itself. Arguments and errors are those of `check`, which is called first.
  """
  manifest = check(folder, split, images, options)
  remove_unfinished(folder)
  if manifest is not None:
    for path in _files_of(folder, split):
      os.remove(path)
    write_file(_manifest_path(folder, split), json.dumps(manifest, indent=2) + '\n')


def _manifest_path(folder, split):
  return os.path.join(folder, split + '.manifest.json')


def _files_of(folder, split):
  """Paths of all shards of a split, whatever their number."""
  pattern = re.compile(r'%s-\d{5}-of-\d{5}$' % re.escape(split))
  return [os.path.join(folder, name) for name in os.listdir(folder) if pattern.match(name)]


def _manifest(images, options):
  """What the bytes of the shards follow from."""
  digest = hashlib.sha256()
  for image in images:
    fields = (os.path.basename(image.path), image.label, image.text, image.stamp)
    digest.update(('%s\t%d\t%s\t%d\n' % fields).encode('utf-8', 'surrogateescape'))
  return {'images': len(images), 'inputs_sha256': digest.hexdigest(), 'shards': options.shards,
          'seed': options.seed, 'skip_bad': options.skip_bad,
          'upright': True}  # Shards of versions that stored photos on their side say nothing.


def _run_threads(writer, missing, threads):
  """Writes all `missing` (path, part); the first error or Ctrl-C stops every thread."""
  with futures.ThreadPoolExecutor(threads) as pool:
    jobs = [pool.submit(writer.write, path, part) for path, part in missing]
    try:
      for job in futures.as_completed(jobs):
        job.result()
    finally:
      writer.stopped.set()
      for job in jobs:
        job.cancel()


class _ShardWriter:
  """What the threads share."""

  def __init__(self, images, read, checker, progress, skip_bad):
    self._images, self._read, self._checker = images, read, checker
    self._progress, self._skip_bad = progress, skip_bad
    self._lock = threading.Lock()  # Of the progress line.
    self.stopped = threading.Event()

  def write(self, path, part):
    """Writes the images with the indices `part` to a file at `path`."""
    temporary = os.path.join(os.path.dirname(path), UNFINISHED + os.path.basename(path))
    try:
      # TensorFlow would encode the path as strict UTF-8.
      with tf.python_io.TFRecordWriter(os.fsencode(temporary)) as stream:
        written = sum(self._write_image(stream, index) for index in part)
      if not written:
        raise UserError('no image of %s can be read: choose fewer files' % path)
      os.replace(temporary, path)
    except tf.errors.OpError as error:
      raise UserError('cannot write %s: %s' % (path, error.message.rpartition('; ')[2]))
    finally:
      with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)

  def _write_image(self, stream, index):
    """True where an image was written, False where it was left out."""
    if self.stopped.is_set():
      raise _Stopped
    image = self._images[index]
    try:
      record = _record(image, *self._prepare(image, self._read(index)))
    except UserError as error:
      if not self._skip_bad:
        raise UserError('%s (--skip_bad skips such images)' % error)
      tqdm.tqdm.write('left out: %s' % error, file=sys.stderr)
      record = None
    if record:
      stream.write(record)
    with self._lock:
      self._progress.update()
    return record is not None

  def _prepare(self, image, encoded):
    try:
      return self._checker.prepare(encoded)
    except ValueError as error:
      raise UserError('%s %s' % (image.path, error))


def _record(image, encoded, description):
  """bytes of the `tf.train.Example` of an image, with the keys of TF-Slim and Inception."""
  def feature(value):
    if isinstance(value, int):
      return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    data = value if isinstance(value, bytes) else value.encode('utf-8', 'surrogateescape')
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))

  values = {
      imagenet.IMAGE_KEY: encoded,
      imagenet.LABEL_KEY: image.label,
      'image/class/text': image.text,
      'image/filename': os.path.basename(image.path),
      'image/format': description.format,
      'image/height': description.height,
      'image/width': description.width,
      'image/channels': description.channels,
      'image/colorspace': description.colorspace,
  }
  example = tf.train.Example(features=tf.train.Features(
      feature={key: feature(value) for key, value in values.items()}))
  return example.SerializeToString(deterministic=True)  # A map has no order of its own.
