"""The state of a training run on disk, from which it resumes bit for bit after any end.

`state.json` says where the run is and names the files of arrays (`state-<step>.npz`) that belong to
it. The arrays are written first; the rename of `state.json` makes the state current as a whole,
and only then is deleted what it no longer needs. So a run may be killed at any moment.
"""

import io
import json
import os
import re
import zlib
from typing import NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from scripts import checkpoint_files
from scripts.errors import UserError
from scripts.files import read_json, remove_unfinished, write_file
from scripts.json_checks import (
    FLAG, OBJECT, TEXT, Rule, check_object, dict_of, list_of, number, optional, whole)
from scripts.trainer.run import best
from scripts.trainer.run.averaging import WeightAverage
from scripts.trainer.run.guard import Reference

NAME = 'state.json'
FORMAT = 2
_ARRAYS = re.compile(r'state-\d+\.(npz|bin)$')  # Format 1 had bin.
_AVERAGE = 'average/%d'  # Name of the i-th sum of the average among the arrays.


class Point(NamedTuple):
  """Where a run is after a step."""
  step: int
  arrays: str  # Name of the file with all variables and the sums of the average.
  crc32: int  # Of that file.
  averaged: int = 0  # Points in the average.
  sums: dict = {}  # Sums of the loss's parts over the steps of the mini-epoch so far.


class State(NamedTuple):
  """All that a run needs to resume, apart from arrays."""
  run: str  # Identifies the run: its checkpoints carry it.
  config: dict  # See `resume.configuration`.
  model: dict  # See `setup.describe_network`.
  good: Point  # The end of the last good mini-epoch.
  point: Point  # Where to resume: `good` or a point in the mini-epoch after it.
  reference: Reference = Reference()
  factor: float = 1.0  # What rollbacks have left of the learning rates.
  rollbacks: int = 0  # Since the last good mini-epoch.
  kept: list = []  # Names of the checkpoints that `keep` counts, the oldest first.
  last: Optional[str] = None  # Name of the last checkpoint.
  best: Optional[dict] = None  # The record of the best checkpoint.
  obsolete: list = []  # Checkpoints, relative to the output folder, to delete now.
  finished: bool = False
  tensorflow: str = tf.version.VERSION  # Of the process that wrote it.


def _is_input(value):
  return isinstance(value, dict) and {'path', 'content'} <= set(value)


def _is_below(value):
  """Whether a value is the path of something below a folder, and not of anything else."""
  return TEXT.holds(value) and not os.path.isabs(value) and '..' not in value.split(os.sep)


_NUMBER = number('a number')
_NAME = Rule('a name', lambda value: _is_below(value) and os.sep not in value)
_RULES = {
    'format': Rule('%d' % FORMAT, lambda value: value == FORMAT),
    'run': TEXT,
    'config': Rule('flags and inputs', lambda value: isinstance(value, dict) and all(
        isinstance(value.get(key), dict) for key in ('flags', 'inputs'))
                   and all(map(_is_input, value['inputs'].values()))),
    'model': OBJECT,
    'good': OBJECT,
    'point': OBJECT,
    'reference': OBJECT,
    'factor': number('a number from 0 to 1', 0, 1),
    'rollbacks': whole(0),
    'kept': list_of(_NAME, 'names'),
    'last': optional(_NAME),
    'best': optional(OBJECT),
    'obsolete': list_of(Rule('a path', _is_below), 'paths below the output folder'),
    'finished': FLAG,
    'tensorflow': TEXT,
}
_POINT_RULES = {
    'step': whole(0),
    'arrays': Rule('a file of arrays',
                   lambda value: isinstance(value, str) and bool(_ARRAYS.match(value))),
    'crc32': whole(0, 2**32 - 1),
    'averaged': whole(0),
    'sums': dict_of(_NUMBER, 'numbers'),
}
_REFERENCE_RULES = {'correct': whole(0), 'images': whole(0), 'cross_entropy': optional(_NUMBER)}


class Store:
  """Writes and loads the states of one run; build it when the graph is complete."""

  def __init__(self, session, variables, folders):
    """Takes the variables of the run (a list) and `experiment.output_folders`."""
    self._session, self._folders = session, folders
    self._variables = {variable.op.name: variable for variable in variables}

  def values(self):
    """Dict name -> array of all variables."""
    return self._session.run(self._variables)

  @property
  def bytes(self):
    """About what the arrays of a state take on the disk, without an average."""
    return sum(v.dtype.size * int(np.prod(v.shape.as_list())) for v in self._variables.values())

  def write(self, step, values, average, sums=None):
    """Writes a file of arrays; returns the `Point`. No state names it yet."""
    arrays = dict(values)
    arrays.update({_AVERAGE % i: total for i, total in enumerate(average.sums or [])})
    name = 'state-%d.npz' % step
    crc32 = _write_arrays(os.path.join(self._folders['weights'], name), arrays)
    return Point(step, name, crc32, average.count, dict(sums or {}))

  def load(self, point):
    """Gives the variables the values of a `Point`; returns its `WeightAverage`."""
    path = os.path.join(self._folders['weights'], point.arrays)
    arrays = _read_arrays(path, point.crc32)
    average = WeightAverage()
    while _AVERAGE % len(average.sums or []) in arrays:
      average.sums = (average.sums or []) + [arrays.pop(_AVERAGE % len(average.sums or []))]
    average.count = point.averaged
    for name in sorted(set(arrays) ^ set(self._variables)):
      raise UserError('%s is of another version of this program (variable %s): --restart starts '
                      'over' % (path, name))
    # All in one run: `load` would prune the graph for each variable.
    initializers = {n: v.initializer for n, v in self._variables.items()}
    self._session.run(list(initializers.values()),
                      {op.inputs[1]: arrays[name] for name, op in initializers.items()})
    return average

  def commit(self, state):
    """Makes `state` the current one and deletes what it does not need."""
    write_file(os.path.join(self._folders['weights'], NAME), json.dumps(
        dict(state._asdict(), format=FORMAT, tensorflow=tf.version.VERSION,
             good=state.good._asdict(), point=state.point._asdict(),
             reference=state.reference._asdict()),
        indent=1, sort_keys=True) + '\n')
    _delete_obsolete(self._folders, state)


def read_state(folder):
  """The current `State` in a folder, None where there is none. Raises UserError."""
  path = os.path.join(folder, NAME)
  if not os.path.exists(path):
    return None
  try:
    content = check_object(read_json(path, 'state of a run'), _RULES, path,
                           may_lack=['tensorflow'])
    content.setdefault('tensorflow', '1.13.1')  # Before it was written there was no other.
    points = {name: Point(**check_object(content[name], _POINT_RULES, name))
              for name in ('good', 'point')}
    reference = Reference(**check_object(content['reference'], _REFERENCE_RULES, 'reference'))
  except UserError:
    raise UserError('%s is not a state of this version of the program: --restart starts over'
                    % path)
  del content['format']
  return State(**dict(content, reference=reference, **points))


def remove_state(folder):
  """Removes the current state of a folder and all files of arrays."""
  path = os.path.join(folder, NAME)
  if os.path.exists(path):
    os.remove(path)
  _remove_arrays(folder, ())


def tidy(folders, state):
  """Undoes what a run did after its `state` and before it was killed.

  Args:
    folders: see `experiment.output_folders`.
    state: `State`, or None where there is none to resume from.
  """
  for name in ('weights', 'best_ckpt'):
    remove_unfinished(folders[name])
  if state is None:
    return
  best_name = best.restore(folders['best_ckpt'], state.best, state.run)
  for folder, listed in ((folders['weights'], state.kept + [state.last]),
                         (folders['best_ckpt'], [best_name])):
    for path, description in checkpoint_files.described_checkpoints(folder):
      if description.get('run') == state.run and os.path.basename(path) not in listed:
        checkpoint_files.delete_checkpoint(path)
  _delete_obsolete(folders, state)


def _delete_obsolete(folders, state):
  for path in state.obsolete:
    checkpoint_files.delete_checkpoint(os.path.join(os.path.dirname(folders['weights']), path))
  _remove_arrays(folders['weights'], (state.good.arrays, state.point.arrays))


def _remove_arrays(folder, needed):
  for name in os.listdir(folder):
    if _ARRAYS.match(name) and name not in needed:
      os.remove(os.path.join(folder, name))


def _write_arrays(path, arrays):
  """Writes dict name -> array, an `npz` archive; returns the checksum of the file.

  The bytes follow from names and values alone: NumPy gives every member the same date.
  """
  archive = io.BytesIO()
  np.savez(archive, **dict(sorted(arrays.items())))
  content = archive.getbuffer()
  write_file(path, content)
  return zlib.crc32(content)


def _read_arrays(path, crc32):
  """Dict name -> array of a file with that checksum."""
  try:
    with open(path, 'rb') as stream:
      content = stream.read()
  except OSError as error:
    raise UserError('cannot read the state of the run %s: %s; --restart starts over'
                    % (path, error.strerror))
  if zlib.crc32(content) != crc32:
    raise UserError('the state of the run is damaged, %s has another checksum than it was written '
                    'with: --restart starts over' % path)
  with np.load(io.BytesIO(content), allow_pickle=False) as archive:
    return dict(archive)
