"""What a new run takes from a checkpoint: a plan first, then the ops that carry it out."""

import collections
import os
import re
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from scripts import checkpoint_paths
from scripts.checkpoint_files import open_checkpoint, read_tensor
from scripts.errors import UserError
from training.averages import stored_names

CHECKPOINT = 'model.ckpt'  # A run's checkpoints are CHECKPOINT-<step>.


class Plan(NamedTuple):
  """Which variables a checkpoint fills."""
  restored: dict  # Name -> its name in the checkpoint.
  fresh: list  # Not in the checkpoint, or in another shape.
  excluded: list  # Fresh because the user wants it.
  unused: list  # In the checkpoint only: steps, slots of optimisers, what has an average.


def in_scopes(name, scopes):
  """Whether a variable's name lies in one of the scopes, or is one."""
  return any(name == scope or name.startswith(scope.rstrip('/') + '/') for scope in scopes)


def latest_checkpoint(train_dir, log=print):
  """The checkpoint that a run in --train_dir resumes from, None where there is none.

  Where the file `checkpoint` names none that is there, only those that a run writes count.
  """
  if not os.path.isdir(train_dir):
    return None
  return checkpoint_paths.latest_checkpoint(train_dir, log, CHECKPOINT)


def checkpoints(folder):
  """Paths of all checkpoints of a run, in the order of their steps."""
  names = checkpoint_paths.checkpoint_names(folder)
  steps = [re.match(r'%s-(\d+)$' % re.escape(CHECKPOINT), name) for name in names]
  return [os.path.join(folder, '%s-%d' % (CHECKPOINT, step))
          for step in sorted(int(match.group(1)) for match in steps if match)]


def check_readable(path):
  """Reads all of a checkpoint; raises UserError where it is damaged."""
  reader = open_checkpoint(path)
  for name in reader.get_variable_to_shape_map():
    read_tensor(reader, name, path)


def plan_start(model, optional, checkpoint, path, excluded_scopes=(), ignore_missing=False):
  """Compares names and shapes; nothing is read yet.

  Args:
    model: dict name -> shape of the network's variables.
    optional: names that are fresh where the checkpoint lacks them: ranges of quantisation.
    checkpoint: dict name -> shape.
    path: the checkpoint, for messages.
    excluded_scopes: scopes of variables not to restore.
    ignore_missing: fresh values for what is missing or has another shape, instead of an error.

  Returns:
    `Plan`.

  Raises:
    UserError: a variable is missing or has another shape, or a scope or the whole checkpoint has
      nothing of the network.
  """
  for scope in excluded_scopes:
    if not any(in_scopes(name, [scope]) for name in model):
      raise UserError('--checkpoint_exclude_scopes: the network has no variable in %s' % scope)
  excluded = [name for name in model if in_scopes(name, excluded_scopes)]
  wanted = {name: shape for name, shape in model.items() if name not in excluded}
  restored, faults = _match(wanted, checkpoint, True)
  for name, fault in faults.items():
    if not (ignore_missing or (name in optional and name not in checkpoint)):
      raise UserError('checkpoint %s %s: --checkpoint_exclude_scopes=%s reinitialises that layer, '
                      '--ignore_missing_vars all such' % (path, fault, name.rpartition('/')[0]))
  if not restored:
    raise UserError('checkpoint %s has no variable of this network' % path)
  return Plan(restored, list(faults), excluded, sorted(set(checkpoint) - set(restored.values())))


def plan_reading(model, checkpoint, path, moving_average=None,
                 advice='it is one of another network'):
  """Where evaluation and freezing find each variable; a checkpoint must have all of them.

  Args:
    model, checkpoint, path: as in `plan_start`.
    moving_average: None: read moving averages where there are any; True: there must be some;
      False: read none.
    advice: for who has the wrong checkpoint.

  Returns:
    dict name -> name in the checkpoint.

  Raises:
    UserError: a variable is missing or has another shape, or there are no averages at all.
  """
  restored, faults = _match(model, checkpoint, moving_average is not False)
  for fault in faults.values():
    raise UserError('checkpoint %s %s: %s' % (path, fault, advice))
  if moving_average and all(name == stored for name, stored in restored.items()):
    raise UserError('checkpoint %s has no moving averages: leave --moving_average out' % path)
  return restored


def _match(model, checkpoint, prefer_averages):
  """dict name -> name in the checkpoint, and dict name -> why a variable cannot be restored."""
  stored, faults = stored_names(model, checkpoint, prefer_averages), collections.OrderedDict()
  for name, shape in model.items():
    if name not in stored:
      faults[name] = 'has no %s' % name
    elif list(checkpoint[stored[name]]) != list(shape):
      faults[name] = 'has %s in the shape %s, here it is %s%s' % (
          stored[name], list(checkpoint[stored[name]]), list(shape),
          _classes_hint(name, shape, checkpoint[stored[name]]))
  return {name: stored_name for name, stored_name in stored.items() if name not in faults}, faults


def _classes_hint(name, shape, stored):
  """The flag that fits the classifier, where only the number of classes differs."""
  if '/Logits/' in name and list(stored[:-1]) == list(shape[:-1]):
    return ' (--num_classes=%d: that many outputs)' % stored[-1]
  return ''


def describe_plan(plan, path):
  """The plan in a few lines for the user."""
  averages = sum(name != stored for name, stored in plan.restored.items())
  lines = ['start from %s: %d variables restored%s' % (
      path, len(plan.restored), ', %d of them moving averages' % averages if averages else '')]
  for what in ('fresh', 'excluded', 'unused'):
    names = getattr(plan, what)
    if names:
      lines.append('  %d %s: %s%s' % (len(names), {'unused': 'not used'}.get(what, what),
                                      ', '.join(names[:3]), ', ...' if len(names) > 3 else ''))
  return '\n'.join(lines)


class Initialization(NamedTuple):
  """How a session gives every variable its first value."""
  op: object
  feed: dict


def create_initialization(every, copies, plan=None, path=None):
  """An op that gives each variable its value once, and that the first one to be used.

  Other workers take a variable for ready as soon as it has any value, so none may get its
  initialiser's and then the checkpoint's.

  Args:
    every: list of all variables.
    copies: list of (variable, average) whose average starts as the variable does.
    plan, path: the `Plan` and the checkpoint to restore from; None: all variables are fresh.

  Returns:
    `Initialization`.
  """
  by_name = {variable.op.name: variable for variable in every}
  restored = {stored: by_name[name] for name, stored in (plan.restored if plan else {}).items()}
  set_otherwise = list(restored.values()) + [average for _, average in copies]
  ops = [v.initializer for v in every if not any(v is other for other in set_otherwise)]
  feed = {}
  if restored:
    saver = tf.train.Saver(restored)
    saver_def = saver.as_saver_def()
    graph = tf.get_default_graph()
    ops.append(graph.get_operation_by_name(saver_def.restore_op_name))
    feed = {graph.get_tensor_by_name(saver_def.filename_tensor_name): path}
  with tf.control_dependencies(ops):
    ops = ops + [_copy(variable, average) for variable, average in copies]
  return Initialization(tf.group(*ops), feed)


def _copy(variable, average):
  """Op that copies a variable; it is read where it is, or the read may come before its value."""
  with tf.colocate_with(variable):
    return tf.assign(average, variable.read_value())
