"""The EfficientNet function: one function of images, weights and a quantiser.

Teacher, student, calibration and export differ in the quantiser alone (see `network_quantizers`).

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
    quantize: quantiser with the methods of `network_quantizers.FloatQuantizer`.
    architecture: an `Architecture`.

  Returns:
    logits float32 [N, K] and an ordered dict of end points: layer name -> the tensor that the
    next convolution reads.
  """
  network = _Network(weights, quantize, architecture)
  mean, std = (tf.constant(v, tf.float32) for v in (architecture.mean, architecture.std))
  x = quantize.image((images - mean) / std)
  x = network.convolve_activate(x, 'Conv', 'Conv/output', stride=2)
  for index, block in enumerate(architecture.blocks):
    x = network.block(x, block, arch.block_name(index))
  _, x = network.convolve_pool(x, 'Conv_1', 'Conv_1/output', keep=False)
  x, bias = network.convolve(x, 'output')
  logits = tf.squeeze(quantize.activate(x, bias, 'identity'), [1, 2], name='logits')
  return network.end_point(logits, 'output'), network.end_points


def pointwise(x, kernel):
  """1x1 convolution as a product of matrices: [N, H, W, C], [1, 1, C, C'] -> [N, H, W, C'].

  The sums are those of tf.nn.conv2d (TensorFlow 1.13.1: bit by bit); the gradient for x takes half
  of the time, and where there is one pixel a twentieth.
  """
  inputs, outputs = kernel.shape.as_list()[2:]
  sums = tf.matmul(tf.reshape(x, [-1, inputs]), tf.reshape(kernel, [inputs, outputs]))
  sums = tf.reshape(sums, tf.concat([tf.shape(x)[:3], [outputs]], 0))
  sums.set_shape(x.shape[:3].concatenate(outputs))
  return sums


class _Network:
  """What every part of the network needs: weights, quantiser, architecture, end points."""

  def __init__(self, weights, quantize, architecture):
    self.weights = weights
    self.quantize = quantize
    self.architecture = architecture
    self.end_points = collections.OrderedDict()

  def end_point(self, x, layer):
    """Notes x as what the next convolution reads of `layer`."""
    self.end_points[layer] = x
    return x

  def output(self, x, layer, node):
    """Quantises what the next convolution reads and notes it as the end point of `layer`."""
    return self.end_point(self.quantize.activation(x, node), layer)

  def convolve(self, x, name, stride=1, depthwise=False):
    """Convolution with quantised weights: [N, H, W, C] -> [N, H/stride, W/stride, C'].

    Returns:
      The sums without the bias, and the bias [C'], quantised.
    """
    layer = self.weights[name]
    kernel = self.quantize.weights(layer.weights, name + '/weights', 2 if depthwise else 3)
    bias = self.quantize.bias(layer.bias, name + '/bias')
    if depthwise:
      return self.quantize.depthwise(x, kernel, stride), bias
    if kernel.shape[0] == kernel.shape[1] == stride == 1:
      return pointwise(x, kernel), bias
    return tf.nn.conv2d(x, kernel, strides=[1, stride, stride, 1], padding='SAME'), bias

  def activation_of(self, name):
    """The network's nonlinearity behind layer `name`, and the node of its input.

    The input of relu6 needs no quantiser.
    """
    function = self.architecture.activation
    return function, name + '/swish_input' if function == 'swish' else None

  def convolve_activate(self, x, name, out_node, stride=1, depthwise=False):
    """Convolution, nonlinearity, and the end point of the layer, quantised by `out_node`."""
    x, bias = self.convolve(x, name, stride, depthwise)
    function, in_node = self.activation_of(name)
    return self.end_point(self.quantize.activate(x, bias, function, in_node, out_node), name)

  def convolve_pool(self, x, name, out_node, stride=1, depthwise=False, keep=True):
    """Convolution, nonlinearity, mean over the pixels; the mean is the end point of the layer.

    Returns:
      The result before the mean (None with keep=False), and the mean quantised by `out_node`.
    """
    x, bias = self.convolve(x, name, stride, depthwise)
    x, mean = self.quantize.activate_and_pool(x, bias, *self.activation_of(name), keep=keep)
    return x, self.output(mean, name, out_node)

  def depthwise_squeeze_excite(self, x, name, stride):
    """Depthwise convolution whose channels are scaled by gates computed from their means."""
    x, gate = self.convolve_pool(x, name + '/dws', name + '/dws/output', stride, depthwise=True)
    gate = self.convolve_activate(gate, name + '/se_1', name + '/se_1/output')
    gate, bias = self.convolve(gate, name + '/se_2')
    gate = self.quantize.activate(gate, bias, 'sigmoid', name + '/se_2/swish_input')
    return self.end_point(self.quantize.scale(x, gate, name + '/output'), name + '/se_2')

  def block(self, x, block, name):
    """An inverted bottleneck; its output is quantised after the skip addition."""
    skip = x if block.has_skip else None
    if block.expansion != 1:
      x = self.convolve_activate(x, name + '/expand', name + '/expand/output')
    if self.architecture.se_ratio:
      x = self.depthwise_squeeze_excite(x, name, block.stride)
    else:
      x = self.convolve_activate(x, name + '/dws', name + '/dws/output', block.stride,
                                 depthwise=True)
    x, bias = self.convolve(x, name + '/project')
    sum_node = name + '/project/output'
    x = self.quantize.activate(x, bias, 'identity', skip=skip, sum_node=sum_node,
                               out_node=name + '/add/output' if block.has_skip else sum_node)
    return self.end_point(x, name + '/project')
