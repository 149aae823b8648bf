"""Layers with fake quantisation, of which a network is built quantised.

Shape letters: N images, H and W pixels, C channels.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import layers
from quantization import coverage
from quantization.ranges import BITS, DECAY, KERNEL_RANGES, Averages
from scripts.effnetb0.network_quantizers import swish

_FIRST_RANGE = (-6.0, 6.0)
# Where the quantisers of an activation stand.
_BEFORE = (None, tf.identity, tf.sigmoid)
_AFTER = (tf.nn.relu6,)
_BOTH = (swish,)


class _Kind(NamedTuple):
  """Of convolution."""
  convolve: Any  # Function (x, kernel, stride).
  channel_axis: int  # Of the kernel: that of the output channels.
  kernel: str  # Name of its variable.
  scope: str  # Where none is given.


_DENSE = _Kind(layers.convolve, 3, 'weights', 'Conv')
_DEPTHWISE = _Kind(layers.convolve_depthwise, 2, 'depthwise_weights', 'SeparableConv2d')


class FakeQuantization:
  """The layers of one quantised network; see `quantization.scheme`."""

  def __init__(self, is_training, quant_delay, freeze_batch_norm_delay):
    coverage.refuse_quantizers(tf.get_default_graph())
    self._is_training = is_training
    self._is_active = self._is_frozen = self._averages = None
    if quant_delay or freeze_batch_norm_delay is not None:
      step = tf.train.get_or_create_global_step()
      self._is_active = tf.greater_equal(step, quant_delay) if quant_delay else None
      if freeze_batch_norm_delay is not None:
        self._is_frozen = tf.greater_equal(step, freeze_batch_norm_delay)
    self.ranges = []  # Variables that quantisation adds.
    if is_training:
      self._averages = Averages()
      self.ranges.append(self._averages.count)
    self._convolutions = []

  def finish(self, graph):
    """Checks what was built; a list of `coverage.Convolution`.

    Raises:
      ValueError: a convolution was missed.
    """
    del graph
    return coverage.checked_report(self._convolutions)

  def conv2d(self, inputs, num_outputs, kernel_size, **options):
    """As `layers.conv2d`."""
    shape = [kernel_size, kernel_size, inputs.shape.as_list()[3], num_outputs]
    return self._layer(_DENSE, inputs, shape, **options)

  def separable_conv2d(self, inputs, num_outputs, kernel_size, **options):
    """As `layers.separable_conv2d`."""
    if num_outputs is not None:
      raise ValueError('separable_conv2d: only the depthwise part, num_outputs=None')
    shape = [kernel_size, kernel_size, inputs.shape.as_list()[3], 1]
    return self._layer(_DEPTHWISE, inputs, shape, **options)

  def result(self, x, name):
    """x, quantised over the range of all its values."""
    with tf.variable_scope(name):
      low, high = self._range([])
      if self._is_training:
        batch = tf.minimum(tf.reduce_min(x), 0.0), tf.maximum(tf.reduce_max(x), 0.0)
        low, high = (self._averages.assign_moving_average(end, value, DECAY, part)
                     for end, value, part in zip((low, high), batch, ('move_min', 'move_max')))
      return self._delayed(tf.fake_quant_with_min_max_vars(x, low, high, num_bits=BITS), x)

  def _layer(self, kind, inputs, shape, stride=1, activation_fn=tf.nn.relu, scope=None,
             weights_initializer=None, weights_regularizer=None, normalizer_fn=None,
             normalizer_params=None):
    """A layer whose kernel has a shape; options as of `layers.conv2d`."""
    with tf.variable_scope(scope, kind.scope, [inputs]):
      kernel = layers.create_kernel(kind.kernel, shape, weights_initializer, weights_regularizer)
      x = self._convolution(kind, inputs, kernel, stride, normalizer_fn and normalizer_params)
      return self._activate(x, activation_fn)

  def _convolution(self, kind, x, kernel, stride, batch_norm):
    """Convolution with a quantised kernel, and its folded batch norm or its bias."""
    if batch_norm:
      return self._folded(kind, x, kernel, stride, **batch_norm)
    x = self._convolved(kind, x, kernel, stride)
    return tf.nn.bias_add(x, layers.create_biases(x.shape.as_list()[3]))

  def _convolved(self, kind, x, kernel, stride):
    y = kind.convolve(x, self._quantized_kernel(kernel, kind.channel_axis), stride)
    self._convolutions.append(y.op)
    return y

  def _folded(self, kind, x, kernel, stride, decay, epsilon, is_training, scale=True, fused=True):
    """Convolution with the kernel of the batch norm folded in, before the activation.

    The kernel is quantised as the moving statistics scale it: it changes slowly, and is the one of
    evaluation. In training the result is then scaled as the batch's statistics would
    (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018,
    section 3.2.2), until they are frozen.
    """
    del scale, fused
    with tf.variable_scope('BatchNorm'):
      norm = layers.create_batch_norm(kernel.shape.as_list()[kind.channel_axis])
    recip = tf.rsqrt(norm.moving_variance + epsilon)
    factor = norm.gamma * recip
    folded = kernel * _of_channels(factor, kind.channel_axis)
    y = self._convolved(kind, x, folded, stride)
    if not is_training:
      return y + (norm.beta - norm.moving_mean * factor)
    mean, batch_recip = self._statistics(kind.convolve(x, kernel, stride), norm, decay, epsilon)
    if self._is_frozen is not None:
      mean, batch_recip = tf.cond(self._is_frozen,
                                  lambda: (tf.identity(norm.moving_mean), recip),
                                  lambda: (mean, batch_recip), name='batch_norm')
    return y * (batch_recip / recip) + (norm.beta - mean * norm.gamma * batch_recip)

  def _statistics(self, x, norm, decay, epsilon):
    """Mean [C] and 1 / standard deviation [C] of a batch x, towards which the averages move."""
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    count = tf.cast(tf.size(x) // tf.size(mean), tf.float32)
    rate = tf.subtract(1.0, decay)
    if self._is_frozen is not None:
      rate *= 1.0 - tf.cast(self._is_frozen, tf.float32)
    layers.move_averages(norm, mean, variance * (count / tf.maximum(count - 1.0, 1.0)), rate)
    return mean, tf.rsqrt(variance + epsilon)

  def _activate(self, x, activation_fn):
    """The activation of x, quantised before it, after it or both."""
    if activation_fn in _AFTER:
      return self.result(activation_fn(x), 'act_quant')
    if activation_fn not in _BEFORE + _BOTH:
      raise ValueError('%s: it is not known how to quantise the activation %s'
                       % (x.op.name, activation_fn))
    x = self.result(x, 'act_quant')
    x = activation_fn(x) if activation_fn else x
    return self.result(x, 'mul/activation_Mul_quant') if activation_fn in _BOTH else x

  def _quantized_kernel(self, kernel, channel_axis):
    """A kernel, each output channel over its own range."""
    shape = kernel.shape.as_list()
    x = kernel if channel_axis == 3 else tf.reshape(kernel, [-1, shape[channel_axis]])
    with tf.variable_scope('weights_quant'):
      low, high = self._range([shape[channel_axis]], KERNEL_RANGES)
      if self._is_training:
        axes = list(range(len(x.shape) - 1))
        low = tf.assign(low, tf.minimum(tf.reduce_min(x, axes), 0.0))
        high = tf.assign(high, tf.maximum(tf.reduce_max(x, axes), 0.0))
      quantized = tf.fake_quant_with_min_max_vars_per_channel(x, low, high, num_bits=BITS,
                                                              narrow_range=True)
      return tf.reshape(self._delayed(quantized, x), shape)

  def _range(self, shape, collection=tf.GraphKeys.MOVING_AVERAGE_VARIABLES):
    """The variables of a range, as float32 of `shape`."""
    created = [tf.get_variable(name, shape, tf.float32, tf.constant_initializer(value),
                               trainable=False,
                               collections=[tf.GraphKeys.GLOBAL_VARIABLES, collection])
               for name, value in zip(('min', 'max'), _FIRST_RANGE)]
    self.ranges += created
    return created

  def _delayed(self, quantized, x):
    """`quantized` from the delay on, x before."""
    if self._is_active is None:
      return quantized
    return tf.cond(self._is_active, lambda: quantized, lambda: x, name='delayed')


def _of_channels(values, axis):
  """Values [C] of the channels of a kernel, to be multiplied with it."""
  return values if axis == 3 else tf.reshape(values, [-1, 1])
