"""Which files of a folder are the records of a split.

Three layouts are read, here for the split 'train'; the first that a folder has any file of counts:

    train-00000-of-00008 ...                       of Inception; also other names train-*
    flowers_train_00000-of-00005.tfrecord ...      of TF-Slim; also cifar10_train.tfrecord
    train/train-00000-of-01024 ...                 of the TPU models: one of the above in a folder

Numbered files have to be complete.
"""

import os
import re

from scripts.errors import UserError

_SUFFIX = r'(?P<suffix>(\.tfrecords?)?)$'
_SHARD = re.compile(r'(?P<split>.+?)[-_.]\d+-of-\d+' + _SUFFIX)
_USUAL_SPLITS = ('train', 'validation')


def split_files(folder, split):
  """Paths of the records of a split, sorted: its numbered files if there are any, else all.

  Raises:
    UserError: no such folder or files, or some of the numbered files are missing.
  """
  place, names = _candidates(folder, split)
  if not names:
    raise UserError('no files %s-* in %s: it must hold TFRecords of images, named '
                    '%s-00000-of-00008 or the like' % (split, folder, split))
  shards = _shards(split, names)
  if shards:
    names = _complete_shards(place, split, shards)
  return tuple(os.path.join(place, name) for name in names)


def present_files(folder, split):
  """Paths of the records of a split that are there, sorted, even if some are missing."""
  place, names = _candidates(folder, split)
  names = [match.group() for match in _shards(split, names)] or names
  return tuple(os.path.join(place, name) for name in names)


def split_names(folder):
  """Sorted names of the splits that have records in `folder`; UserError if there are none."""
  usual = {split: present_files(folder, split) for split in _USUAL_SPLITS}
  names = {split for split, paths in usual.items() if paths}
  known = {os.path.basename(path) for paths in usual.values() for path in paths}
  others = map(_SHARD.match, set(_listing(folder)) - known)
  names.update(match.group('split') for match in others if match)
  if not names:
    raise UserError('no files train-00000-of-00008 or the like in %s: it must hold TFRecords of '
                    'images' % folder)
  return sorted(names)


def _candidates(folder, split):
  """(folder, sorted names) of the files of the first layout of which there are any."""
  name = re.escape(split)
  other = re.compile(r'(.+[-_.])?%s([-_.]\d+-of-\d+(\.tfrecords?)?|\.tfrecords?)$' % name)
  inner = os.path.join(folder, split)
  for place in [folder] + [inner] * os.path.isdir(inner):
    names = sorted(_listing(place))
    for matches in (lambda file: file.startswith(split + '-'), other.match):
      matching = [file for file in names if matches(file)]
      if matching:
        return place, matching
  return folder, []


def _listing(folder):
  try:
    return [name for name in os.listdir(folder) if not name.startswith('.')]
  except OSError as error:
    raise UserError('cannot read the data folder %s: %s' % (folder, error.strerror))


def _shards(split, names):
  """Matches of the numbered ones among the names, with groups `start`, `total` and `suffix`."""
  pattern = re.compile(r'(?P<start>(.+[-_.])?%s[-_.])\d+-of-(?P<total>\d+)%s'
                       % (re.escape(split), _SUFFIX))
  return [match for match in map(pattern.match, names) if match]


def _complete_shards(folder, split, shards):
  """Names of the shards, of which the first says how many there are; none may lack or be odd."""
  start, total, suffix = shards[0].group('start', 'total', 'suffix')
  expected = ['%s%0*d-of-%s%s' % (start, len(total), index, total, suffix)
              for index in range(int(total))]
  present = {match.group() for match in shards}
  missing = [name for name in expected if name not in present]
  if missing:
    raise UserError('%d of the %s files of %s are missing in %s, the first is %s'
                    % (len(missing), total, split, folder, missing[0]))
  odd = sorted(present.difference(expected))
  if odd:
    raise UserError('%s in %s is not one of the %s files of %s: remove it'
                    % (odd[0], folder, total, split))
  return expected
