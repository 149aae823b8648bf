"""Scalars over training, read from TensorBoard's event files."""

import os
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.errors import UserError

_EVENTS = '.tfevents.'


class Series(NamedTuple):
  """One scalar over the steps of a phase."""
  steps: np.ndarray  # int [N], rising.
  values: np.ndarray  # float [N]


class Phase(NamedTuple):
  """One training run."""
  name: str
  series: dict  # Tag -> `Series`.

  @property
  def last_step(self):
    """The last step that any scalar was logged at."""
    return int(max(series.steps[-1] for series in self.series.values()))


def read_logs(folders):
  """The training runs whose event files lie directly in `folders`, one after another.

  A run that was stopped and went on has several files in its folder. A file that begins no later
  than the run before it in the same folder is a run of its own: `logs (2)`.

  Args:
    folders: list of paths.

  Returns:
    List of `Phase`.

  Raises:
    UserError: a folder cannot be read or has no scalars in event files.
  """
  phases = []
  for folder, name in zip(folders, short_names(folders)):
    runs = []
    for points in (_read_scalars(path) for path in _event_files(folder)):
      if not points:
        continue
      if runs and _first_step(points) > _first_step(runs[-1]):
        for tag, values in points.items():
          runs[-1].setdefault(tag, {}).update(values)
      else:
        runs.append(points)
    if not runs:
      raise UserError('--logs %s: its event files hold no scalars' % folder)
    phases.extend(Phase(name if not number else '%s (%d)' % (name, number + 1), _series(points))
                  for number, points in enumerate(runs))
  return phases


def short_names(paths):
  """The shortest end of each path that no other has: a/x/logs, b/y/logs -> x/logs, y/logs."""
  parts = [os.path.abspath(path).split(os.sep) for path in paths]
  names = []
  for own in parts:
    length = next((n for n in range(1, len(own))
                   if sum(own[-n:] == other[-n:] for other in parts) == 1), len(own))
    names.append('/'.join(own[-length:]))
  return names


def _event_files(folder):
  """Event files in the order in which they were begun, which is in their names."""
  try:
    names = sorted(name for name in os.listdir(folder) if _EVENTS in name)
  except OSError as error:
    raise UserError('--logs %s: cannot read the folder: %s' % (folder, error.strerror or error))
  if not names:
    raise UserError('--logs %s: no TensorBoard event files (*%s*) in this folder'
                    % (folder, _EVENTS))
  return [os.path.join(folder, name) for name in names]


def _read_scalars(path):
  """Dict tag -> {step: value}. The torn end of a run that was killed is passed over."""
  series = {}
  try:
    for event in tf.train.summary_iterator(path):
      for value in event.summary.value:
        if value.HasField('simple_value'):
          series.setdefault(value.tag, {})[event.step] = value.simple_value
  except tf.errors.DataLossError:
    pass
  except tf.errors.OpError as error:
    raise UserError('cannot read event file %s: %s' % (path, error.message.partition('\n')[0]))
  return series


def _first_step(points):
  return min(min(values) for values in points.values())


def _series(points):
  """Dict tag -> `Series`."""
  return {tag: Series(*[np.array(column) for column in zip(*sorted(values.items()))])
          for tag, values in sorted(points.items())}
