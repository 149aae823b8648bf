"""The best checkpoint of all runs with one target, kept in a folder of its own."""

import json
import os
from typing import NamedTuple

from scripts import checkpoint_files
from scripts.errors import UserError
from scripts.files import read_json, write_file

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

  `best.json` in the folder names the checkpoint and its score. One of other images or another
  target that it replaces is to stay, but `best.json` names it no longer.

  Returns:
    Whether it is the best now, and the path of the lower rank that it replaced, to be deleted, or
    None.
  """
  previous, other = _read_record(folder)
  comparable = previous and score.comparable(other)
  if comparable and score.rank <= other.rank:
    return False, None
  copied = checkpoint_files.copy_checkpoint(path, folder)
  _write_record(folder, {'checkpoint': os.path.basename(copied), 'score': score._asdict()})
  replaced = comparable and previous != os.path.basename(copied)
  return True, os.path.join(folder, previous) if replaced else None


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
  if current and current != earlier:
    descriptions = dict(checkpoint_files.described_checkpoints(folder))
    if descriptions.get(best_path(folder), {}).get('run') == run:
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
    name, score = os.path.basename(record['checkpoint']), Score(**record['score'])
  except (KeyError, TypeError):
    raise UserError('%s is not a record of the best checkpoint: delete it' % path)
  # Somebody may have deleted the checkpoint and left the record.
  exists = os.path.exists(os.path.join(folder, name + '.index'))
  return (name, score) if exists else (None, None)
