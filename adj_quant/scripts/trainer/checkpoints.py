"""The only module with savers: plans a restore, refuses surprises, restores, saves.

A checkpoint is an ordinary `tf.train.Saver` checkpoint with one tensor a layer and role, and a
JSON file beside it that says what it is a checkpoint of: `ckpt_metric_0.183060-219.json`.
"""

import json
import os
import shutil
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from scripts.checkpoint_files import (
    delete_checkpoint, flush, in_order_of_writing, open_checkpoint, possible_names, read_tensor,
    reason, saving)
from scripts.effnetb0 import variables
from scripts.errors import UserError
from scripts.files import UNFINISHED, write_file

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
    stored = reader.get_variable_to_shape_map()
    flats = self._stored.required + self._stored.optional
    optional = {name for flat in self._stored.optional for name in flat.shapes}
    shapes = {name: shape for flat in flats for name, shape in flat.shapes.items()}
    plan = plan_restore(shapes, optional, stored, path)
    for flat in flats:
      values = {name: read_tensor(reader, name, path) for name in flat.shapes if name in stored}
      if len(values) < len(flat.shapes):
        values = {**variables.cut(session.run(flat.variable), flat.shapes), **values}
      flat.variable.load(variables.join(values, flat.shapes), session)
    return plan

  def save(self, session, folder, name, step, description):
    """Writes `<folder>/<name>-<step>` and its description (a dict); returns the path.

    It is there as a whole or not at all: the index, without which it is no checkpoint, comes last.
    One of that name from another run is kept: `<name>.1-<step>` is written instead.
    """
    paths = (os.path.join(folder, each) for each in possible_names(name, step))
    path = next(each for each in paths if not os.path.exists(each + '.index'))
    unfinished = os.path.join(folder, UNFINISHED + os.path.basename(path))
    try:
      os.makedirs(unfinished, exist_ok=True)
      saved = os.path.join(unfinished, os.path.basename(path))
      self._saver.save(session, saved, write_meta_graph=False, write_state=False)
      write_file(saved + '.json', json.dumps(description, indent=1, sort_keys=True) + '\n')
      for source in in_order_of_writing(saved):
        flush(source)
        os.replace(source, os.path.join(folder, os.path.basename(source)))
    except (tf.errors.OpError, OSError, ValueError, UserError) as error:
      delete_checkpoint(path)
      raise UserError('cannot write checkpoint %s: %s' % (path, reason(error)))
    finally:
      shutil.rmtree(unfinished, ignore_errors=True)
    return path

  @property
  def bytes(self):
    """About what a checkpoint takes on the disk."""
    flats = self._stored.required + self._stored.optional
    return 4 * sum(variables.size(shape) for flat in flats for shape in flat.shapes.values())


def save_graph(session, path):
  """Writes the session's graph to `<path>.meta` and all its variables to a checkpoint `path`."""
  with saving(path):
    tf.train.Saver(tf.global_variables()).save(session, path, write_state=False)
