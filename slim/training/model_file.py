"""model.json: the description of the checkpoints in a folder.

    {"model_name": "efficientnet_b0", "num_classes": 1000, "image_size": 224, "labels_offset": 1,
     "quantized": false, "moving_average_decay": 0.9999, "optimizer": "rmsprop", ...}

Training writes it; evaluation, export and freezing take what they are not told from it and refuse
what contradicts it.
"""

import json
import os
from typing import NamedTuple, Optional

from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.json_checks import FLAG, TEXT, check_object, number, optional, whole

NAME = 'model.json'
_KINDS = {False: 'float', True: 'quantisation-aware'}


class Model(NamedTuple):
  """The network of a folder of checkpoints."""
  model_name: str
  num_classes: int
  image_size: int  # Pixels a side.
  labels_offset: int  # A record's label minus this is the network's output.
  quantized: bool = False  # Trained with fake-quantisation nodes.
  moving_average_decay: Optional[float] = None  # None: the checkpoints hold no averages.


_RULES = {'model_name': TEXT, 'num_classes': whole(1, 10**6), 'image_size': whole(1, 4096),
          'labels_offset': whole(0, 10**6), 'quantized': FLAG,
          'moving_average_decay': optional(number('a number from 0 to 1', 0, 1))}


def write_model(folder, model, **others):
  """Writes <folder>/model.json: the fields of the `Model` and other keys for the reader."""
  content = dict(others, **model._asdict())
  write_file(os.path.join(folder, NAME), json.dumps(content, indent=1, sort_keys=True) + '\n')


def read_model(path):
  """The `Model` beside a checkpoint, and everything else the file says.

  Args:
    path: a checkpoint, or a folder of checkpoints.

  Returns:
    (`Model`, dict of all keys); None where there is no such file.

  Raises:
    UserError: the file does not describe a model.
  """
  name = os.path.join(path if os.path.isdir(path) else os.path.dirname(path), NAME)
  if not os.path.lexists(name):
    return None
  content = read_json(name, 'description of checkpoints')
  check_object(content, _RULES, name, ('moving_average_decay',), may_have_others=True)
  return Model(*[content.get(key) for key in Model._fields]), content


def check_same(expected, actual, folder, start=None):
  """Refuses to resume in a folder whose checkpoints are of another model.

  Args:
    expected: dict key -> value that this run would write.
    actual: dict that the folder's model.json holds.
    folder: for the message, --train_dir.
    start: for the message, --checkpoint_path where it is given.

  Raises:
    UserError: a key of `expected` has another value; the first one is named.
  """
  for key, value in expected.items():
    if actual.get(key) != value:
      raise UserError('%s holds %s: choose another --train_dir, such as %s_2; --checkpoint_path=%s'
                      % (folder, _difference(key, actual.get(key), value), folder.rstrip(os.sep),
                         '%s can stay' % start if start
                         else '%s starts it from these checkpoints' % folder))


def _difference(key, actual, expected):
  """What a folder holds and what a run is, in words."""
  if key == 'quantized':
    return '%s checkpoints, this run is %s' % (_KINDS[bool(actual)], _KINDS[expected])
  return 'checkpoints with %s %s, this run has %s' % (
      key, json.dumps(actual), json.dumps(expected))
