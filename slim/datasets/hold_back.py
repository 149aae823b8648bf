"""Splits the training records of a set into a new set, part of which is held out.

    python hold_back.py --dataset_dir=DIR --output_directory=DIR2
"""

import contextlib
import itertools
import json
import os
import re
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from dataset_utils import find_split, stored_records
from imagenet import INFO_FILE, write_info
from scripts.errors import UserError, exits_with_status
from scripts.files import check_writable, read_json, remove_unfinished, whole_file

_SPLITS = ('train', 'validation')
_SHARD = re.compile(r'(.+_)?(%s)[-_]\d+-of-\d+' % '|'.join(_SPLITS))  # flowers_train_... as well.
_MANIFEST = 'hold_back.manifest.json'
_DESCRIPTION = '''\
Splits the training records of a set into a new set, so that a recipe can be tuned without looking \
at the validation images: every k-th training record is held out as the validation split, the \
others are the training split. Records are copied byte for byte.
A folder that holds records already is refused, unless they were made of the same folder with the \
same flags, or --overwrite is given.'''


def hold_back(source, target, every, train_on_all, overwrite=False):
  """Writes the new set: both of its files and what they were made of, or nothing.

  Args:
    source: `dataset_utils.Split`, all training records of another set.
    target: folder for the new set, made if there is none.
    every: the validation split is the records every - 1, 2 * every - 1, ..., counted from 0.
    train_on_all: whether these are in the training split as well.
    overwrite: whether other records in `target` are removed.

  Returns:
    Numbers of records of 'train' and 'validation', a dict.

  Raises:
    UserError: too few records, other ones in `target`, or a file cannot be read or written.
  """
  if source.count < every:
    raise UserError('%s has %d training records: too few to hold back every %d-th'
                    % (os.path.dirname(source.files[0]), source.count, every))
  manifest = {'source': os.path.abspath(os.path.dirname(source.files[0])), 'every': every,
              'train_on_all': train_on_all}
  _check_target(target, manifest, overwrite)
  with contextlib.ExitStack() as stack:
    def new_file(name):
      return stack.enter_context(whole_file(os.path.join(target, name)))

    streams = {split: new_file('%s-00000-of-00001' % split) for split in _SPLITS}
    manifest_stream = new_file(_MANIFEST)
    try:
      manifest_stream.write((json.dumps(manifest, indent=2) + '\n').encode())
      counts = _copy(source, streams, every, train_on_all)
      for stream in streams.values():  # Both fit on the disk before one of them gets its name.
        stream.flush()
    except OSError as error:
      raise UserError('cannot write to %s: %s' % (target, error.strerror))
    for path in _record_files(target):
      os.remove(path)
  return counts


def _copy(source, streams, every, train_on_all):
  """Writes the records to the streams of both splits; returns their numbers."""
  counts = dict.fromkeys(streams, 0)
  records = itertools.chain.from_iterable(map(stored_records, source.files))
  for index, record in enumerate(records):
    held = index % every == every - 1
    for split, takes in (('train', train_on_all or not held), ('validation', held)):
      if takes:
        streams[split].write(record)
        counts[split] += 1
  return counts


def _check_target(target, manifest, overwrite):
  """Refuses a set of another manifest; removes what killed runs left."""
  check_writable(target)
  path = os.path.join(target, _MANIFEST)
  old = read_json(path, 'manifest') if os.path.exists(path) else None
  is_taken = _record_files(target) or os.path.lexists(os.path.join(target, INFO_FILE))
  if old != manifest and is_taken and not overwrite:
    raise UserError('%s holds another set: choose another folder, or replace the set with '
                    '--overwrite' % target)
  remove_unfinished(target)


def _record_files(folder):
  """Paths of the files of both splits, however many."""
  return [os.path.join(folder, name) for name in os.listdir(folder) if _SHARD.match(name)]


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('records')
  line.string('dataset_dir', None, 'folder with records train-*; required')
  line.string('output_directory', None, 'folder for the new set; another one; required')
  line.integer('every', 7, 'hold out every k-th record', least=2)
  line.boolean('train_on_all', False, 'keep the held-out records in the training split as well, '
                                      'for a final run, whose validation then only shows progress')
  line.boolean('overwrite', False, 'replace another set in --output_directory')
  return line


@exits_with_status
def main(argv=None):
  """Reads the flags and writes the records."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  for name in ('dataset_dir', 'output_directory'):
    if not getattr(flags, name):
      raise UserError('--%s is missing' % name)
  source, target = flags.dataset_dir, flags.output_directory
  if os.path.realpath(source) == os.path.realpath(target):
    raise UserError('--output_directory %s is the folder of the records: choose another' % target)
  split = find_split(source, 'train')
  counts = hold_back(split, target, flags.every, flags.train_on_all, flags.overwrite)
  write_info(target, split.info, counts)
  print('%s: %d records for training, %d for validation' % (
      target, counts['train'], counts['validation']))


if __name__ == '__main__':
  sys.exit(main())
