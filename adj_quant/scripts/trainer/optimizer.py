"""Two Adams, one for weights and ranges and one for bit-widths, fed by one gradient computation."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf


class TrainOps(NamedTuple):
  """What a training step runs."""
  train: Any  # Updates weights and ranges.
  train_with_bits: Any  # Updates bit-widths as well; `train` where no bit-width is learnt.
  reset: Any  # Puts the slots of both Adams back to their start.
  learning_rate: Any  # Placeholder for the learning rate of weights and ranges.


def create_train_ops(loss, parameters, lr_bits):
  """Creates the optimisers of a quantised network.

  Args:
    loss: float32 scalar.
    parameters: `student.Parameters`.
    lr_bits: learning rate of the bit-widths.

  Returns:
    `TrainOps`.

  Raises:
    ValueError: a trainable variable has no gradient.
  """
  slow = [flat for flat in parameters.trained if flat.variable.trainable]
  bits = [parameters.bits_scale] if parameters.bits_scale is not None else []
  gradients = _gradients(loss, [flat.variable for flat in slow + bits])
  learning_rate = tf.placeholder(tf.float32, [], 'learning_rate')
  adam = tf.train.AdamOptimizer(learning_rate, name='Adam')
  train = adam.apply_gradients(list(zip(gradients, [flat.variable for flat in slow])))
  slots, train_with_bits = adam.variables(), train
  if bits:
    adam_bits = tf.train.AdamOptimizer(lr_bits, name='AdamBits')
    update = adam_bits.apply_gradients([(gradients[-1], bits[0].variable)])
    train_with_bits = tf.group(train, update)
    slots += adam_bits.variables()
  return TrainOps(train, train_with_bits, tf.variables_initializer(slots), learning_rate)


def _gradients(loss, variables):
  gradients = tf.gradients(loss, variables)
  missing = [v.op.name for v, g in zip(variables, gradients) if g is None]
  if missing:
    raise ValueError('no gradient reaches %s' % ', '.join(missing))
  return gradients
