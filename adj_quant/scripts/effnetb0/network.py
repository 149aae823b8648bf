"""The EfficientNet function: one function of images, weights and a quantiser.

Teacher, student, calibration and export differ in the quantiser alone (see `quantizers`).

Shape letters: N images, S pixels a side, C channels, K classes.
"""

import collections

import tensorflow.compat.v1 as tf

from scripts.effnetb0 import architecture as arch


def efficientnet(images, weights, quantize, architecture):
  """Logits of an EfficientNet.

  Args:
    images: float32 [N, S, S, 3], RGB 0..255.
    weights: dict layer name -> object with tensors `weights` (HWIO, or [k, k, C, 1] for a
      depthwise kernel) and `bias` [C].
    quantize: quantiser with `image(x)`, `weights(x, name, channel_axis)`, `bias(x, name)`,
      `swish_input(x, name)` and `activation(x, name)`, each a tensor of the shape of x.
    architecture: an `Architecture`.

  Returns:
    logits float32 [N, K] and an ordered dict of end points: layer name -> the tensor that the
    next convolution reads.
  """
  network = _Network(weights, quantize, architecture)
  mean, std = (tf.constant(v, tf.float32) for v in (architecture.mean, architecture.std))
  x = quantize.image((images - mean) / std)
  x = network.convolve_activate(x, 'Conv', stride=2)
  x = network.output(x, 'Conv', 'Conv/output')
  for index, block in enumerate(architecture.blocks):
    x = network.block(x, block, arch.block_name(index))
  x = network.convolve_activate(x, 'Conv_1')
  x = network.output(_pool(x), 'Conv_1', 'Conv_1/output')
  logits = tf.squeeze(network.convolve(x, 'output'), [1, 2], name='logits')
  network.end_points['output'] = logits
  return logits, network.end_points


def swish(x):
  """x * sigmoid(x), of ordinary ops: the gradient of tf.nn.swish runs as a slow function call."""
  return x * tf.sigmoid(x)


def _pool(x):
  """Mean over the pixels: [N, H, W, C] -> [N, 1, 1, C]."""
  return tf.reduce_mean(x, [1, 2], keepdims=True)


class _Network:
  """What every part of the network needs: weights, quantiser, architecture, end points."""

  def __init__(self, weights, quantize, architecture):
    self.weights = weights
    self.quantize = quantize
    self.architecture = architecture
    self.end_points = collections.OrderedDict()

  def output(self, x, layer, node):
    """Quantises what the next convolution reads and notes it as the end point of `layer`."""
    self.end_points[layer] = self.quantize.activation(x, node)
    return self.end_points[layer]

  def convolve(self, x, name, stride=1, depthwise=False):
    """Convolution with quantised kernel and bias: [N, H, W, C] -> [N, H/stride, W/stride, C']."""
    layer = self.weights[name]
    kernel = self.quantize.weights(layer.weights, name + '/weights', 2 if depthwise else 3)
    bias = self.quantize.bias(layer.bias, name + '/bias')
    convolution = tf.nn.depthwise_conv2d_native if depthwise else tf.nn.conv2d
    x = convolution(x, kernel, strides=[1, stride, stride, 1], padding='SAME')
    return tf.nn.bias_add(x, bias, name=name.replace('/', '_'))

  def convolve_activate(self, x, name, stride=1, depthwise=False):
    """Convolution, then swish of the quantised sum (or relu6, whose input needs no quantiser)."""
    x = self.convolve(x, name, stride, depthwise)
    if self.architecture.activation == 'relu6':
      return tf.nn.relu6(x)
    return swish(self.quantize.swish_input(x, name + '/swish_input'))

  def squeeze_excite(self, x, name):
    """Scales each channel of x by a gate computed from the means of all channels."""
    gate = self.output(_pool(x), name + '/dws', name + '/dws/output')
    gate = self.convolve_activate(gate, name + '/se_1')
    gate = self.output(gate, name + '/se_1', name + '/se_1/output')
    gate = self.convolve(gate, name + '/se_2')
    gate = tf.sigmoid(self.quantize.swish_input(gate, name + '/se_2/swish_input'))
    return self.output(x * gate, name + '/se_2', name + '/output')

  def block(self, x, block, name):
    """An inverted bottleneck; its output is quantised after the skip addition."""
    skip = x
    if block.expansion != 1:
      x = self.convolve_activate(x, name + '/expand')
      x = self.output(x, name + '/expand', name + '/expand/output')
    x = self.convolve_activate(x, name + '/dws', block.stride, depthwise=True)
    if self.architecture.se_ratio:
      x = self.squeeze_excite(x, name)
    else:
      x = self.output(x, name + '/dws', name + '/dws/output')
    x = self.convolve(x, name + '/project')
    if block.has_skip:
      self.quantize.observe(x, name + '/project/output')
      return self.output(x + skip, name + '/project', name + '/add/output')
    return self.output(x, name + '/project', name + '/project/output')
