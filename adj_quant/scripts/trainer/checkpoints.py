"""The one owner of sessions and savers: plans a restore, refuses surprises, restores, saves.

A checkpoint is an ordinary `tf.train.Saver` checkpoint with one tensor a layer and role, and a
JSON file beside it that says what it is a checkpoint of: `ckpt_metric_0.183060-219.json`.
"""

import json
import os
import shutil
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from scripts.effnetb0 import variables
from scripts.errors import UserError
from scripts.files import read_json, write_file


# Last parts of the names that a network keeps.
_ROLES = ('weights', 'bias', 'alpha', 'shift', 'bits_scale', 'initial_low', 'initial_width')


class Stored(NamedTuple):
  """What a model keeps in checkpoints."""
  required: list  # FlatVariables that a checkpoint must hold.
  optional: list  # FlatVariables whose pieces keep their values where a checkpoint lacks them.


class Plan(NamedTuple):
  """Which names of a model a checkpoint fills."""
  restored: list
  fresh: list  # Of the model, not in the checkpoint.
  unused: list  # In the checkpoint, no part of any network: steps, slots of optimisers.


def plan_restore(model, optional, checkpoint, path):
  """Compares names and shapes; nothing is read yet.

  Args:
    model: dict name -> shape of everything the model keeps.
    optional: set of the names that may be missing.
    checkpoint: dict name -> shape.
    path: the checkpoint, for messages.

  Returns:
    `Plan`.

  Raises:
    UserError: a name is missing or has another shape, or a layer or quantiser is unknown.
  """
  unused = [name for name in checkpoint if name not in model]
  for name in unused:
    if name.rpartition('/')[2] in _ROLES:
      raise UserError('%s is a checkpoint of another network or other quantisers: %s is unknown '
                      'here' % (path, name))
  for name, shape in model.items():
    if name in checkpoint and tuple(checkpoint[name]) != tuple(shape):
      raise UserError('%s is a checkpoint of another network: %s has the shape %s there, %s here'
                      % (path, name, list(checkpoint[name]), list(shape)))
    if name not in checkpoint and name not in optional:
      raise UserError('%s is a checkpoint of another network or other quantisers: it has no %s'
                      % (path, name))
  restored = [name for name in model if name in checkpoint]
  return Plan(restored, [name for name in model if name not in checkpoint], unused)


class Checkpointer:
  """Saves and restores the variables of `Stored`; build it when the graph is complete."""

  def __init__(self, stored):
    self._stored = stored
    saved = [variables.saveable(flat) for flat in stored.required + stored.optional]
    self._saver = tf.train.Saver(saved, max_to_keep=0)

  def restore(self, session, path):
    """Loads what the checkpoint at `path` has; returns the `Plan`. Raises UserError."""
    reader = open_checkpoint(path)
    found = reader.get_variable_to_shape_map()
    flats = self._stored.required + self._stored.optional
    optional = {name for flat in self._stored.optional for name in flat.shapes}
    shapes = {name: shape for flat in flats for name, shape in flat.shapes.items()}
    plan = plan_restore(shapes, optional, found, path)
    for flat in flats:
      values = {name: read_tensor(reader, name, path) for name in flat.shapes if name in found}
      if len(values) < len(flat.shapes):
        values = {**variables.cut(session.run(flat.variable), flat.shapes), **values}
      flat.variable.load(variables.join(values, flat.shapes), session)
    return plan

  def save(self, session, folder, name, step, description):
    """Writes `<folder>/<name>-<step>` and its description (a dict); returns the path.

    A checkpoint of that name from another run is kept: `<name>.1-<step>` is written instead.
    """
    path, number = os.path.join(folder, '%s-%d' % (name, step)), 0
    while os.path.exists(path + '.index'):
      number += 1
      path = os.path.join(folder, '%s.%d-%d' % (name, number, step))
    try:
      os.makedirs(folder, exist_ok=True)
      self._saver.save(session, path, write_meta_graph=False, write_state=False)
    except (tf.errors.OpError, OSError, ValueError) as error:
      raise UserError('cannot write checkpoint %s: %s' % (path, reason(error)))
    write_file(path + '.json', json.dumps(description, indent=1, sort_keys=True) + '\n')
    return path


def reason(error):
  """What an error of TensorFlow or Python says, without the place in the graph."""
  return str(getattr(error, 'message', error)).partition('\n')[0]


def save_graph(session, path):
  """Writes the session's graph to `<path>.meta` and all its variables to a checkpoint `path`."""
  try:
    tf.train.Saver(tf.global_variables()).save(session, path, write_state=False)
  except (tf.errors.OpError, OSError, ValueError) as error:
    raise UserError('cannot write %s: %s' % (path, reason(error)))


def open_checkpoint(path):
  """A reader of the checkpoint at `path`, UserError where there is none or it is torn."""
  if not os.path.exists(path + '.index'):
    raise UserError('no checkpoint at %s (expected %s.index); give the name without its ending'
                    % (path, path))
  try:
    return tf.train.load_checkpoint(path)
  except (tf.errors.OpError, ValueError) as error:
    raise UserError('checkpoint %s is damaged: %s' % (path, reason(error)))


def read_tensor(reader, name, path):
  """The array `name` of the checkpoint at `path` that `reader` is of, UserError where damaged."""
  try:
    return reader.get_tensor(name)
  except (tf.errors.OpError, ValueError) as error:
    raise UserError('checkpoint %s is damaged at %s: %s' % (path, name, reason(error)))


def read_description(path):
  """What was saved beside the checkpoint at `path`, as a dict."""
  open_checkpoint(path)
  return read_json(path + '.json', 'description of checkpoint')


def checkpoint_files(path):
  """The files a checkpoint consists of."""
  folder, name = os.path.split(path)
  try:
    entries = os.listdir(folder or '.')
  except OSError as error:
    raise UserError('cannot list %s: %s' % (folder, error.strerror))
  return sorted(os.path.join(folder, e) for e in entries
                if e in (name + '.index', name + '.json') or e.startswith(name + '.data-'))


def copy_checkpoint(path, folder):
  """Copies a checkpoint into `folder`, its index last; returns the path of the copy."""
  target = os.path.join(folder, os.path.basename(path))
  for source in sorted(checkpoint_files(path), key=lambda f: f.endswith('.index')):
    copied = os.path.join(folder, os.path.basename(source))
    try:
      os.makedirs(folder, exist_ok=True)
      shutil.copyfile(source, copied + '.tmp')
      os.replace(copied + '.tmp', copied)
    except OSError as error:
      raise UserError('cannot write %s: %s' % (copied, error.strerror or error))
  return target


def delete_checkpoint(path):
  """Removes the files of a checkpoint."""
  for name in checkpoint_files(path):
    os.remove(name)


def new_session(allow_growth=False, use_gpu=True):
  """A session on the default graph; `allow_growth` takes GPU memory as it is needed."""
  config = tf.ConfigProto(device_count=None if use_gpu else {'GPU': 0})
  config.gpu_options.allow_growth = allow_growth
  # Rewriting the graph takes longer than it saves: seconds before the first step.
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return tf.Session(config=config)
