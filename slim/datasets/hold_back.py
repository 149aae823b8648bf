"""Makes a set of records out of the training records of another: a part of them is held back.

    python hold_back.py --dataset_dir=DIR --output_directory=DIR2
"""

import contextlib
import itertools
import os
import shutil
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  _SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  sys.path[0:1] = [_SLIM, os.path.join(os.path.dirname(_SLIM), 'adj_quant')]

from command_line import CommandLine
from dataset_utils import count_records, split_files, stored_records
from imagenet import INFO_FILE
from scripts.errors import UserError, exits_with_status
from scripts.files import check_writable, whole_file
from scripts.runtime import prepare_tensorflow

_DESCRIPTION = '''\
Makes a set of records out of the training records of another one, so that a recipe can be tuned \
without a look at its validation images: every k-th training record becomes the validation split, \
the others the training split. Records are copied byte by byte.'''


def hold_back(source, target, every, train_on_all):
  """Writes the new set.

  Args:
    source: folder of records.
    target: an existing folder.
    every: the validation split is the records every - 1, 2 * every - 1, ..., counted from 0.
    train_on_all: whether these are in the training split as well.

  Returns:
    Numbers of records of 'train' and 'validation', a dict.
  """
  paths = split_files(source, 'train')
  found = sum(map(count_records, paths))
  if found < every:
    raise UserError('%s has %d training records: too few to hold back every %d-th'
                    % (source, found, every))
  counts = {'train': 0, 'validation': 0}
  with contextlib.ExitStack() as stack:
    outputs = {split: stack.enter_context(whole_file(os.path.join(
        target, split + '-00000-of-00001'))) for split in counts}
    records = itertools.chain.from_iterable(map(stored_records, paths))
    for index, record in enumerate(records):
      held = index % every == every - 1
      for split, takes in (('train', train_on_all or not held), ('validation', held)):
        if takes:
          outputs[split].write(record)
          counts[split] += 1
  return counts


def _command_line():
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('records')
  line.string('dataset_dir', None, 'folder with records train-*; needed')
  line.string('output_directory', None, 'folder for the new set, another one; needed')
  line.integer('every', 7, 'hold back every k-th record', least=2)
  line.boolean('train_on_all', False, 'keep what is held back in the training split as well: for a '
                                      'last run, whose validation then only shows progress')
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
  check_writable(target)
  if os.path.realpath(source) == os.path.realpath(target):
    raise UserError('--output_directory %s is the folder of the records: choose another' % target)
  counts = hold_back(source, target, flags.every, flags.train_on_all)
  if os.path.exists(os.path.join(source, INFO_FILE)):
    shutil.copy(os.path.join(source, INFO_FILE), target)
  print('%s: %d records for training, %d for validation' % (
      target, counts['train'], counts['validation']))


if __name__ == '__main__':
  sys.exit(main())
