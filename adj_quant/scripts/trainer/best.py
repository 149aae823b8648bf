"""The best checkpoint of all runs with one target, kept in a folder of its own."""

import json
import os
from typing import NamedTuple

from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.trainer import checkpoints

RECORD = 'best.json'
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


def keep_if_best(path, score, folder):
  """Copies the checkpoint at `path` to `folder` if it beats the one there.

  `best.json` in the folder names the checkpoint and its score. A lower rank that it replaces is
  deleted; one of other images or another target is not, but `best.json` names it no longer.

  Returns:
    True if it is the best now.
  """
  previous, other = _read_record(folder)
  comparable = previous and score.comparable(other)
  if comparable and score.rank <= other.rank:
    return False
  copied = checkpoints.copy_checkpoint(path, folder)
  write_file(os.path.join(folder, RECORD), json.dumps(
      {'checkpoint': os.path.basename(copied), 'score': score._asdict()},
      indent=1, sort_keys=True) + '\n')
  if comparable and previous != os.path.basename(copied):
    checkpoints.delete_checkpoint(os.path.join(folder, previous))
  return True


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
    name, score = os.path.basename(record['checkpoint']), Score(**record['score'])
  except (KeyError, TypeError):
    raise UserError('%s is not a record of the best checkpoint: delete it' % path)
  # Somebody may have deleted the checkpoint and left the record.
  exists = os.path.exists(os.path.join(folder, name + '.index'))
  return (name, score) if exists else (None, None)
