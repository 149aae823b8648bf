"""The best checkpoint of all runs with one target, kept in a folder of its own."""

import json
import os
from typing import NamedTuple

from scripts.files import read_json, write_file
from scripts.trainer import checkpoints

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

  def beats(self, other):
    """True over a lower rank, and over a score of other images or another target."""
    same = (self.target, self.images, self.dataset) == (other.target, other.images, other.dataset)
    return not same or self.rank > other.rank


def keep_if_best(path, score, folder):
  """Copies the checkpoint at `path` to `folder` if it beats the one there.

  `best.json` in the folder names the checkpoint and its score; what it replaces is deleted.

  Returns:
    True if it is the best now.
  """
  record = os.path.join(folder, 'best.json')
  previous = read_json(record, 'record of the best checkpoint') if os.path.exists(record) else None
  if previous and not score.beats(Score(**previous['score'])):
    return False
  copied = checkpoints.copy_checkpoint(path, folder)
  write_file(record, json.dumps({'checkpoint': os.path.basename(copied),
                                 'score': score._asdict()}, indent=1, sort_keys=True) + '\n')
  if previous and previous['checkpoint'] != os.path.basename(copied):
    checkpoints.delete_checkpoint(os.path.join(folder, previous['checkpoint']))
  return True


def best_path(folder):
  """Path of the best checkpoint in `folder`, None where there is none."""
  record = os.path.join(folder, 'best.json')
  if not os.path.exists(record):
    return None
  name = read_json(record, 'record of the best checkpoint')['checkpoint']
  return os.path.join(folder, name)
