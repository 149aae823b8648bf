"""The network against a second implementation, in NumPy and float64, of its own."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import Architecture, Block, EFFICIENTNET_B0
from scripts.effnetb0.network import efficientnet
from scripts.effnetb0.network_quantizers import FloatQuantizer
from scripts.effnetb0.weights import load_weights
from scripts.testing.network import logits_of, random_weights

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', '..')
PICKLE = os.path.join(ROOT, 'pretrained', 'efficient_b0_autoaugment',
                      'frozen_efficientnet_b0_weights.pickle')
GOLDEN = os.path.join(ROOT, '..', 'shared', 'golden', 'b0_float_logits.npz')
GOLDEN_CLASS, GOLDEN_LOGIT = 644, 6.401773421668535
BLOCKS = (Block(1, 3, 1, 8, 4), Block(6, 5, 2, 4, 8), Block(6, 3, 1, 8, 8))
TINY = Architecture('tiny', 32, 8, BLOCKS, 16)


def reference_convolution(x, layer, stride, depthwise):
  """SAME convolution by a sum over the kernel's positions."""
  kernel, bias = (np.float64(part) for part in layer)
  size, k = x.shape[1], kernel.shape[0]
  out = -(-size // stride)
  pad = max(0, (out - 1) * stride + k - size)
  x = np.pad(x, [(0, 0)] + [(pad // 2, pad - pad // 2)] * 2 + [(0, 0)], 'constant')
  total = 0.0
  for row in range(k):
    for column in range(k):
      part = x[:, row:row + (out - 1) * stride + 1:stride,
               column:column + (out - 1) * stride + 1:stride]
      total = total + (part * kernel[row, column, :, 0] if depthwise
                       else part.dot(kernel[row, column]))
  return total + bias


def reference_logits(images, weights, architecture):
  """EfficientNet of Tan and Le 2019, section 4 and table 1, with batch norm folded."""
  def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))

  def convolve(x, name, stride=1, depthwise=False, active=True):
    x = reference_convolution(x, weights[name], stride, depthwise)
    if not active:
      return x
    return x * sigmoid(x) if architecture.activation == 'swish' else np.clip(x, 0, 6)

  x = (np.float64(images) - architecture.mean) / architecture.std
  x = convolve(x, 'Conv', 2)
  for index, block in enumerate(architecture.blocks):
    name, skip = 'expanded_conv_%d' % index, x
    if block.expansion > 1:
      x = convolve(x, name + '/expand')
    x = convolve(x, name + '/dws', block.stride, depthwise=True)
    if architecture.se_ratio:
      gate = convolve(x.mean((1, 2), keepdims=True), name + '/se_1')
      x = x * sigmoid(convolve(gate, name + '/se_2', active=False))
    x = convolve(x, name + '/project', active=False)
    if block.stride == 1 and block.inputs == block.outputs:
      x = x + skip
  x = convolve(x, 'Conv_1').mean((1, 2), keepdims=True)
  return convolve(x, 'output', active=False)[:, 0, 0]


@pytest.mark.parametrize('options', [{}, {'se_ratio': None, 'activation': 'relu6'},
                                     {'se_ratio': None}, {'activation': 'relu6'}])
@pytest.mark.parametrize('size', [32, 33])
def test_equals_the_reference(options, size):
  architecture = TINY._replace(**options)
  weights = random_weights(architecture, 10)
  images = np.random.RandomState(1).randint(0, 256, [2, size, size, 3])
  if not architecture.se_ratio:
    weights = {n: w for n, w in weights.items() if '/se_' not in n}
  np.testing.assert_allclose(logits_of(images, weights, architecture, 10),
                             reference_logits(images, weights, architecture), atol=1e-4)


def test_end_points_are_the_tensors_that_layers_read():
  with tf.Graph().as_default():
    flat = students.create_weights('net', TINY, 10, False)
    logits, points = efficientnet(tf.zeros([2, 32, 32, 3]), students.layer_weights(flat),
                                  FloatQuantizer(), TINY)
  assert {n: p.shape.as_list() for n, p in points.items()} == {
      'Conv': [2, 16, 16, 8],
      'expanded_conv_0/dws': [2, 1, 1, 8], 'expanded_conv_0/se_1': [2, 1, 1, 2],
      'expanded_conv_0/se_2': [2, 16, 16, 8], 'expanded_conv_0/project': [2, 16, 16, 4],
      'expanded_conv_1/expand': [2, 16, 16, 24], 'expanded_conv_1/dws': [2, 1, 1, 24],
      'expanded_conv_1/se_1': [2, 1, 1, 1], 'expanded_conv_1/se_2': [2, 8, 8, 24],
      'expanded_conv_1/project': [2, 8, 8, 8],
      'expanded_conv_2/expand': [2, 8, 8, 48], 'expanded_conv_2/dws': [2, 1, 1, 48],
      'expanded_conv_2/se_1': [2, 1, 1, 2], 'expanded_conv_2/se_2': [2, 8, 8, 48],
      'expanded_conv_2/project': [2, 8, 8, 8], 'Conv_1': [2, 1, 1, 16], 'output': [2, 10]}
  assert points['output'] is logits


@pytest.mark.full
def test_b0_with_the_shipped_weights_equals_the_reference():
  weights, classes = load_weights(PICKLE, EFFICIENTNET_B0)
  columns = np.arange(96)
  images = np.stack([np.add.outer(columns * c, columns * (4 - c)) % 256 for c in (1, 2, 3)], -1)
  expected = reference_logits(images[np.newaxis], weights, EFFICIENTNET_B0)
  actual = logits_of(images[np.newaxis], weights, EFFICIENTNET_B0, classes)
  np.testing.assert_allclose(actual, expected, atol=1e-4)
  # Origin: reference_logits above, NumPy 1.16.6, float64; pins the weights and the reference.
  assert expected.argmax() == GOLDEN_CLASS
  np.testing.assert_allclose(expected.max(), GOLDEN_LOGIT, atol=1e-6)


@pytest.mark.full
@pytest.mark.skipif(not os.path.exists(GOLDEN), reason='golden photos are not part of the project')
def test_b0_on_golden_photos():
  golden = np.load(GOLDEN)
  weights, classes = load_weights(PICKLE, EFFICIENTNET_B0)
  actual = logits_of(golden['images'], weights, EFFICIENTNET_B0, classes)
  np.testing.assert_allclose(actual, golden['logits'], atol=1e-4)
