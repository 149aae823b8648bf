"""Adam for weights, ranges and bit-widths, each at its own rate, from one set of gradients."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf


class TrainOps(NamedTuple):
  """What a training step runs. Every update ends with all variables in their intervals."""
  train: Any  # Updates weights and ranges.
  train_with_bits: Any  # Updates bit-widths as well; `train` where no bit-width is learnt.
  reset: Any  # Puts the slots of every Adam back to their start.
  learning_rate: Any  # Placeholder for the learning rate of weights and ranges.


def trained_variables(parameters):
  """List of the variables of `student.Parameters` that a training moves."""
  flats = (parameters.weights, parameters.alpha, parameters.shift, parameters.bits_scale)
  return [flat.variable for flat in flats if flat is not None and flat.variable.trainable]


def create_train_ops(gradients, parameters, lr_bits, ranges_factor=1.0, unit=None, intervals=None):
  """Creates the optimisers of a quantised network.

  Args:
    gradients: those of the loss to `trained_variables`, in that order.
    parameters: `student.Parameters`.
    lr_bits: learning rate of the bit-widths.
    ranges_factor: learning rate of alpha and shift over that of the weights.
    unit: of the learning rate of the weights, a tensor of their shape; None: 1.
    intervals: see `student.intervals`; None: no bounds.

  Returns:
    `TrainOps`.
  """
  learning_rate = tf.placeholder(tf.float32, [], 'learning_rate')
  groups = [('Adam', learning_rate, [parameters.weights.variable]),
            ('AdamRanges', learning_rate * ranges_factor,
             [parameters.alpha.variable, parameters.shift.variable])]
  if ranges_factor == 1 and unit is None:
    groups = [('Adam', learning_rate, groups[0][2] + groups[1][2])]
  if parameters.bits_scale is not None:
    groups.append(('AdamBits', lr_bits, [parameters.bits_scale.variable]))
  gradients = iter(gradients)
  updates, slots = {}, []
  for name, rate, variables in groups:
    pairs = [(next(gradients), variable) for variable in variables if variable.trainable]
    if pairs:
      adam = tf.train.AdamOptimizer(rate, name=name)
      own = unit if parameters.weights.variable in variables else None
      updates[name] = adam.apply_gradients(pairs) if own is None else _in_units(adam, pairs, own)
      slots += adam.variables()
  update_bits = updates.pop('AdamBits', None)
  update = tf.group(*updates.values())
  train = _project_after(update, parameters, intervals)
  with_bits = train if update_bits is None else _project_after(
      tf.group(update, update_bits), parameters, intervals)
  return TrainOps(train, with_bits, tf.variables_initializer(slots), learning_rate)


def _project_after(update, parameters, intervals):
  """The op `update`, after which variables are clipped to their intervals; slots stay."""
  with tf.control_dependencies([update]):
    return tf.group(*[_project(flat.variable, interval)
                      for flat, interval in zip(parameters, intervals or ()) if interval])


def _project(variable, interval):
  with tf.device(variable.device):
    return variable.assign(tf.clip_by_value(variable.read_value(), *interval), read_value=False)


def _in_units(adam, pairs, unit):
  """Applies Adam to variable / unit, for a single (gradient, variable)."""
  (gradient, variable), = pairs
  with tf.device(variable.device):
    move = tf.get_variable(variable.op.name + '/move', variable.shape, tf.float32,
                           tf.zeros_initializer(), trainable=False, use_resource=True)
    with tf.control_dependencies([move.assign(tf.zeros_like(gradient))]):
      applied = adam.apply_gradients([(gradient * unit, move)])
    with tf.control_dependencies([applied]):
      return variable.assign_add(move.read_value() * unit).op
