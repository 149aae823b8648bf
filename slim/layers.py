"""The layers of TF-Slim that the networks here are made of, for TensorFlow without contrib.

They compute what those of `tf.contrib.slim` in TensorFlow 1.13.1 compute, with the same variables,
collections and scopes of ops, so that checkpoints and code serve both. See `contrib`.

Shape letters: N images, H and W pixels, C channels, k side of a kernel.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

_COLLECTIONS = [tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES]


class BatchNorm(NamedTuple):
  """Variables of a batch norm, each float32 [C]."""
  gamma: Any
  beta: Any
  moving_mean: Any
  moving_variance: Any


def conv2d(inputs, num_outputs, kernel_size, stride=1, activation_fn=tf.nn.relu, scope=None,
           weights_initializer=None, weights_regularizer=None, normalizer_fn=None,
           normalizer_params=None, biases_initializer=tf.zeros_initializer()):
  """Convolution with SAME padding: [N, H, W, C] -> [N, H/stride, W/stride, num_outputs].

  A bias is added where there is neither a `normalizer_fn` nor None for `biases_initializer`.
  """
  shape = [kernel_size, kernel_size, inputs.shape.as_list()[3], num_outputs]
  with tf.variable_scope(scope, 'Conv', [inputs]):
    kernel = create_kernel('weights', shape, weights_initializer, weights_regularizer)
    return _finish(convolve(inputs, kernel, stride), activation_fn, normalizer_fn,
                   normalizer_params, biases_initializer)


def separable_conv2d(inputs, num_outputs, kernel_size, stride=1, activation_fn=tf.nn.relu,
                     scope=None, weights_initializer=None, weights_regularizer=None,
                     normalizer_fn=None, normalizer_params=None,
                     biases_initializer=tf.zeros_initializer()):
  """Depthwise convolution with SAME padding: [N, H, W, C] -> [N, H/stride, W/stride, C].

  Raises:
    ValueError: `num_outputs` is not None: a pointwise convolution is not part of it here.
  """
  if num_outputs is not None:
    raise ValueError('separable_conv2d: only the depthwise part, num_outputs=None')
  shape = [kernel_size, kernel_size, inputs.shape.as_list()[3], 1]
  with tf.variable_scope(scope, 'SeparableConv2d', [inputs]):
    kernel = create_kernel('depthwise_weights', shape, weights_initializer, weights_regularizer)
    return _finish(convolve_depthwise(inputs, kernel, stride), activation_fn, normalizer_fn,
                   normalizer_params, biases_initializer)


def batch_norm(inputs, decay=0.999, epsilon=0.001, scale=False, fused=True, is_training=True):
  """Normalises by the batch's statistics and moves the averages, or by the moving statistics.

  The moves go into the collection UPDATE_OPS. The batch's variance is divided by the number of
  values, that which moves the average by one less.

  Raises:
    ValueError: without `scale` or not `fused`, which nothing here asks for.
  """
  if not (scale and fused):
    raise ValueError('batch_norm: only with scale=True and fused=True')
  with tf.variable_scope('BatchNorm'):
    norm = create_batch_norm(inputs.shape.as_list()[3])
    if not is_training:
      return tf.nn.fused_batch_norm(inputs, norm.gamma, norm.beta, norm.moving_mean,
                                    norm.moving_variance, epsilon, is_training=False)[0]
    outputs, mean, variance = tf.nn.fused_batch_norm(inputs, norm.gamma, norm.beta,
                                                     epsilon=epsilon)
    move_averages(norm, mean, variance, tf.subtract(1.0, decay))
    return outputs


def softmax(logits, scope=None):
  """Softmax over the last axis, of any shape."""
  with tf.variable_scope(scope, 'softmax', [logits]):
    flat = tf.reshape(logits, [-1, logits.shape.as_list()[-1]])
    predictions = tf.reshape(tf.nn.softmax(flat), tf.shape(logits))
    predictions.set_shape(logits.shape)
    return predictions


def l2_regularizer(scale):
  """Function of a kernel: scale / 2 * the sum of its squares; None where scale is 0."""
  def regularize(kernel):
    with tf.name_scope('l2_regularizer'):
      return tf.multiply(scale, tf.nn.l2_loss(kernel)) if scale else None
  return regularize


def get_model_variables():
  """List of the variables of layers, in the order of creation."""
  return tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)


def create_kernel(name, shape, initializer, regularizer):
  """Creates the kernel of a layer in the current scope."""
  return tf.get_variable(name, shape, tf.float32, initializer, regularizer,
                         collections=_COLLECTIONS)


def create_biases(channels, initializer=tf.zeros_initializer()):
  """Creates the biases [C] of a layer in the current scope."""
  return tf.get_variable('biases', [channels], tf.float32, initializer, collections=_COLLECTIONS)


def create_batch_norm(channels):
  """Creates the `BatchNorm` of a layer in the current scope."""
  def create(name, initializer, trainable):
    return tf.get_variable(name, [channels], tf.float32, initializer, trainable=trainable,
                           collections=_COLLECTIONS)

  return BatchNorm(gamma=create('gamma', tf.ones_initializer(), True),
                   beta=create('beta', tf.zeros_initializer(), True),
                   moving_mean=create('moving_mean', tf.zeros_initializer(), False),
                   moving_variance=create('moving_variance', tf.ones_initializer(), False))


def convolve(x, kernel, stride):
  """Convolution of x [N, H, W, C] with a kernel [k, k, C, outputs], SAME padding."""
  return tf.nn.conv2d(x, kernel, [1, stride, stride, 1], 'SAME', name='Conv2D')


def convolve_depthwise(x, kernel, stride):
  """Convolution of each channel of x [N, H, W, C] with its kernel of [k, k, C, 1], SAME padding."""
  return tf.nn.depthwise_conv2d_native(x, kernel, [1, stride, stride, 1], 'SAME', name='depthwise')


def move_averages(norm, mean, variance, rate):
  """Lets the UPDATE_OPS move the averages of a `BatchNorm` by `rate` towards statistics [C]."""
  for average, value in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
    with tf.colocate_with(average):
      move = tf.assign_sub(average, (average - value) * rate, name='AssignMovingAvg')
    tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, move)


def _finish(x, activation_fn, normalizer_fn, normalizer_params, biases_initializer):
  """What follows a convolution: normaliser or bias, activation."""
  if normalizer_fn:
    x = normalizer_fn(x, **normalizer_params or {})
  elif biases_initializer:
    x = tf.nn.bias_add(x, create_biases(x.shape.as_list()[3], biases_initializer))
  return activation_fn(x) if activation_fn else x
