"""Exponential moving averages of weights: written by training, read by all later steps."""

import tensorflow.compat.v1 as tf

SUFFIX = '/ExponentialMovingAverage'


def create_averages(variables, decay, steps):
  """Averages of variables.

  Args:
    variables: list, all float32.
    decay: per step; after n steps no more than (1 + n) / (10 + n), so that first values fade.
    steps: int64 [], steps done, n.

  Returns:
    (op that moves the averages, list of the averages in the order of `variables`). Averages start
    at 0: whoever initialises the variables copies them, see `create_initialization`.
  """
  # tf.train.ExponentialMovingAverage does the same in six times as many nodes.
  done = tf.cast(steps, tf.float32)
  rate = 1.0 - tf.minimum(decay, (1.0 + done) / (10.0 + done))
  averages, moves = [], []
  for variable in variables:
    with tf.colocate_with(variable):
      average = tf.get_variable(variable.op.name + SUFFIX, variable.shape, tf.float32,
                                tf.zeros_initializer(), trainable=False)
      averages.append(average)
      moves.append(tf.assign_sub(average, rate * (average - variable)))
  return tf.group(*moves), averages


def stored_names(names, checkpoint, prefer_averages=True):
  """Under which name of a checkpoint each variable is to be read.

  Args:
    names: of the variables.
    checkpoint: names that the checkpoint has.
    prefer_averages: read NAME/ExponentialMovingAverage where there is one.

  Returns:
    dict name -> name in the checkpoint, without those it lacks.
  """
  candidates = {name: ([name + SUFFIX] if prefer_averages else []) + [name] for name in names}
  present = {name: [c for c in options if c in checkpoint] for name, options in candidates.items()}
  return {name: options[0] for name, options in present.items() if options}
