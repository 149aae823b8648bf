"""The best checkpoint of all runs with one target, kept in a folder of its own.

A run replaces its own best checkpoint there. Those of other runs stay where a better one takes
their place in the record: one of them may be what a run has started from.
"""

import json
import os
from typing import NamedTuple

from scripts import checkpoint_files
from scripts.checkpoint_paths import BEST as RECORD
from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.json_checks import OBJECT, TEXT, check_object, number, whole

TOLERANCE = 0.02  # A metric up to 2 % above the target counts as on target.


class Score(NamedTuple):
  """What a checkpoint is judged by."""
  metric: float
  target: float
  correct: int
  images: int
  dataset: str

  @property
  def rank(self):
    """Higher is better.

    On target beats above target. On target, more correct images win, then the lower metric;
    above target, the lower metric wins.
    """
    on_target = self.metric <= self.target * (1.0 + TOLERANCE)
    return (on_target, self.correct if on_target else 0, -self.metric)

  def comparable(self, other):
    """True where both were measured on the same images, for the same target."""
    return (self.target, self.images, self.dataset) == (other.target, other.images, other.dataset)


_RULES = {'checkpoint': TEXT, 'score': OBJECT}
_SCORE_RULES = {'metric': number('a number'), 'target': number('a number'), 'correct': whole(0),
                'images': whole(1), 'dataset': TEXT}


def keep_if_best(path, score, folder, run):
  """Copies the checkpoint at `path` to `folder` if it beats the one there or cannot be compared.

  `best.json` in the folder names the best checkpoint and its score.

  Args:
    path: the checkpoint, named `<name>-<step>`.
    score: its `Score`.
    folder: of the best checkpoints.
    run: the run that it is of.

  Returns:
    Whether it is the best now, and the path of the checkpoint of the same run that it replaces, to
    be deleted, or None.
  """
  previous, other = _read_record(folder)
  comparable = previous and score.comparable(other)
  if comparable and score.rank <= other.rank:
    return False, None
  name = _free_name(os.path.basename(path), folder, run)
  checkpoint_files.copy_checkpoint(path, folder, name)
  _write_record(folder, {'checkpoint': name, 'score': score._asdict()})
  is_replaced = comparable and previous != name and _run_of(folder, previous) == run
  return True, os.path.join(folder, previous) if is_replaced else None


def _free_name(name, folder, run):
  """`name`, numbered where another run has a checkpoint of that name in `folder`."""
  stem, _, step = name.rpartition('-')
  return next(each for each in checkpoint_files.possible_names(stem, step)
              if not os.path.exists(os.path.join(folder, each + '.index'))
              or _run_of(folder, each) == run)


def _run_of(folder, name):
  """The run that a checkpoint in a folder is of, None where nothing tells."""
  return dict(checkpoint_files.described_checkpoints(folder)).get(
      os.path.join(folder, name), {}).get('run')


def record(folder):
  """The content of `best.json` as a dict, None where there is no best checkpoint."""
  name, score = _read_record(folder)
  return name and {'checkpoint': name, 'score': score._asdict()}


def restore(folder, earlier, run):
  """Puts back an `earlier` record, see `record`, in place of one that a run has made after it.

  Returns:
    The name of the best checkpoint, None where there is none.
  """
  current = record(folder)
  if current and current != earlier and _run_of(folder, current['checkpoint']) == run:
    if earlier:
      _write_record(folder, earlier)
    else:
      os.remove(os.path.join(folder, RECORD))
  return _read_record(folder)[0]


def _write_record(folder, content):
  write_file(os.path.join(folder, RECORD), json.dumps(content, indent=1, sort_keys=True) + '\n')


def best_path(folder):
  """Path of the best checkpoint in `folder`, None where there is none."""
  name, _ = _read_record(folder)
  return name and os.path.join(folder, name)


def _read_record(folder):
  """Name and `Score` of the best checkpoint in `folder`, (None, None) where there is none."""
  path = os.path.join(folder, RECORD)
  if not os.path.exists(path):
    return None, None
  record = read_json(path, 'record of the best checkpoint')
  try:
    check_object(record, _RULES, path)
    score = Score(**check_object(record['score'], _SCORE_RULES, path))
  except UserError as error:
    raise UserError('%s is not a record of the best checkpoint: delete it (%s)' % (path, error))
  name = os.path.basename(record['checkpoint'])
  # Somebody may have deleted the checkpoint and left the record.
  exists = os.path.exists(os.path.join(folder, name + '.index'))
  return (name, score) if exists else (None, None)
