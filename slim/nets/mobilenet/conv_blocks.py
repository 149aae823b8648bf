"""Building blocks of EfficientNet in TF-Slim: convolution, squeeze-excite, inverted bottleneck.

Each function makes its variables under the scope it is given, below the current one.

Shape letters: N images, H and W pixels, C channels.
"""

import collections
from typing import Any, Callable, Iterator, NamedTuple

import tensorflow.compat.v1 as tf

from contrib import slim
from nets.float_layers import FloatLayers

BATCH_NORM_EPSILON = 1e-3
# Normal with variance 2 / fan_out, and uniform in +-1 / sqrt(fan_out): what the network's authors
# start from (Tan and Le, "EfficientNet", 2019). A depthwise kernel [k, k, C, 1] has fan_out k * k.
_KERNELS = dict(scale=2.0, mode='fan_out', distribution='untruncated_normal')
_CLASSIFIER = dict(scale=1.0 / 3.0, mode='fan_out', distribution='uniform')


class Options(NamedTuple):
  """What all layers of one network share."""
  is_training: bool
  activation: Callable  # After batch norm and in squeeze-excite.
  batch_norm_decay: float  # Of the moving averages.
  weight_decay: float  # L2 on kernels, in the collection REGULARIZATION_LOSSES.
  seeds: Iterator[int]  # A fresh one for every random op.
  layers: Any = FloatLayers()  # Of TF-Slim, or such as quantise.


def convolution(x, outputs, kernel, options, scope, activation, stride=1):
  """Dense convolution, batch norm, activation: [N, H, W, C] -> [N, H/stride, W/stride, outputs]."""
  return options.layers.conv2d(
      x, outputs, kernel, stride=stride, activation_fn=activation, scope=scope,
      **_kernel(options), **_batch_norm(options))


def depthwise_convolution(x, kernel, options, scope, stride=1):
  """Depthwise convolution, batch norm, activation: [N, H, W, C] -> [N, H/stride, W/stride, C]."""
  return options.layers.separable_conv2d(
      x, None, kernel, stride=stride, activation_fn=options.activation, scope=scope,
      **_kernel(options), **_batch_norm(options))


def biased_convolution(x, outputs, options, scope, activation):
  """1x1 convolution with a bias instead of batch norm: [N, H, W, C] -> [N, H, W, outputs]."""
  return options.layers.conv2d(x, outputs, 1, activation_fn=activation, scope=scope,
                               **_kernel(options))


def classifier(x, classes, options, scope):
  """The last layer as a 1x1 convolution with a bias: [N, 1, 1, C] -> [N, 1, 1, classes]."""
  return options.layers.conv2d(x, classes, 1, activation_fn=None, scope=scope,
                               **_kernel(options, _CLASSIFIER))


def _kernel(options, initializer=None):
  return {
      'weights_initializer': tf.initializers.variance_scaling(
          seed=next(options.seeds), **(initializer or _KERNELS)),
      'weights_regularizer': slim.l2_regularizer(options.weight_decay)}


def _batch_norm(options):
  return {
      'normalizer_fn': slim.batch_norm,
      'normalizer_params': dict(decay=options.batch_norm_decay, epsilon=BATCH_NORM_EPSILON,
                                scale=True, fused=True, is_training=options.is_training)}


def pool(x, options, scope):
  """Mean over the pixels: [N, H, W, C] -> [N, 1, 1, C]."""
  mean = tf.reduce_mean(x, [1, 2], keepdims=True, name=scope)
  return options.layers.result(mean, scope + '_quant')


def squeeze_excite(x, squeezed, options):
  """Scales each channel of x [N, H, W, C] by a gate computed from the means of all channels."""
  gate = pool(x, options, 'squeeze')
  gate = biased_convolution(gate, squeezed, options, 'se_1', options.activation)
  gate = biased_convolution(gate, x.shape.as_list()[3], options, 'se_2', tf.sigmoid)
  return options.layers.result(tf.multiply(x, gate, name='excite'),
                               'excite/activation_Mul_quant')


def dropout(x, rate, options, name, noise_shape=None):
  """In training zero with probability `rate`, else scaled by 1 / (1 - rate), as tf.nn.dropout."""
  seed = next(options.seeds)  # In evaluation too: all later kernels start from the same values.
  if not options.is_training:
    return x
  return tf.nn.dropout(x, rate=rate, noise_shape=noise_shape, seed=seed, name=name)


def drop_connect(x, rate, options):
  """Stochastic depth: `dropout` of whole images of x [N, H, W, C].

  Source: Huang et al., "Deep Networks with Stochastic Depth", 2016.
  """
  return dropout(x, rate, options, 'drop_connect', [tf.shape(x)[0], 1, 1, 1])


def inverted_bottleneck(x, block, squeezed, options, drop_rate, scope):
  """Expand, depthwise, squeeze-excite, project, and the skip where the shapes allow it.

  Args:
    x: float32 [N, H, W, block.inputs].
    block: an `architecture.Block`.
    squeezed: channels of the squeeze-excite bottleneck; 0: none.
    options: `Options`.
    drop_rate: probability of dropping a block with a skip in training, 0 <= p < 1.
    scope: of variables and of end points.

  Returns:
    float32 [N, H/stride, W/stride, block.outputs] and an ordered dict of end points
    scope/{expand, depthwise, excite, project}; the block's output is scope itself.
  """
  parts, skip = collections.OrderedDict(), x
  with tf.variable_scope(scope):
    if block.expansion != 1:
      x = parts['expand'] = convolution(x, block.expanded, 1, options, 'expand',
                                        options.activation)
    x = parts['depthwise'] = depthwise_convolution(x, block.kernel, options, 'depthwise',
                                                   block.stride)
    if squeezed:
      x = parts['excite'] = squeeze_excite(x, squeezed, options)
    # An op of its own for no activation: the fold of contrib.quantize loses a batch norm that the
    # next convolution reads directly.
    x = parts['project'] = convolution(x, block.outputs, 1, options, 'project', tf.identity)
    if block.has_skip:
      # AddN: the rewrite of contrib.quantize names its nodes after an Add by what feeds it, which
      # differs between training and evaluation. `contrib_rewrite` looks after AddN.
      x = tf.add_n([drop_connect(x, drop_rate, options), skip], name='add')
      x = options.layers.result(x, 'add_quant')
  end_points = collections.OrderedDict(('%s/%s' % (scope, part), y) for part, y in parts.items())
  end_points[scope] = x
  return x, end_points
