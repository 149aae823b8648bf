"""The ranges of quantisers: what they are called and how they move."""

import tensorflow.compat.v1 as tf

BITS = 8
# Collection of the variables that hold the ranges of kernels, to which every run sets them.
KERNEL_RANGES = 'kernel_ranges'
BATCHES = 'quantization_batches'  # Variable that counts those the ranges of activations have seen.
DECAY = 0.999  # Of the averages, a batch.


class Averages:
  """All averages of a graph by one count of batches.

  For values v[1] to v[t], the sum b[t] = decay * b[t - 1] + (1 - decay) * v[t] from b[0] = 0 gives
  the average u[t] = b[t] / (1 - decay^t) (Kingma and Ba, "Adam", 2015, section 3), which is

      u[t] = u[t - 1] + (v[t] - u[t - 1]) * (1 - decay) / (1 - decay^t).

  So the first value replaces whatever a variable had before.
  """

  def __init__(self):
    self.count = tf.get_variable(BATCHES, [], tf.int64, tf.zeros_initializer(), trainable=False)
    self._batches = tf.cast(tf.assign_add(self.count, 1), tf.float64)  # t.
    self._rates = {}  # Decay -> float32 [], the last factor.

  def assign_moving_average(self, variable, value, decay, name):
    """The average of the values of a tensor [], moved in `variable`."""
    if decay not in self._rates:
      rate = (1.0 - decay) / (1.0 - tf.pow(tf.constant(decay, tf.float64), self._batches))
      self._rates[decay] = tf.cast(rate, tf.float32)
    return tf.assign_sub(variable, (variable - value) * self._rates[decay], name=name)
