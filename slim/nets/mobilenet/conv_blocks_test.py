"""Tests of the parts of EfficientNet: by hand, and what training alone adds."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets.mobilenet import conv_blocks
from scripts.effnetb0.architecture import Block
from scripts.effnetb0.network_quantizers import swish


@pytest.fixture(autouse=True)
def graph():
  with tf.Graph().as_default() as fresh:
    yield fresh


def options(is_training=False, activation=swish, weight_decay=0.0, decay=0.99):
  return conv_blocks.Options(is_training, activation, decay, weight_decay, itertools.count())


def evaluate(*tensors):
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    return session.run(tensors)


def names():
  return [v.op.name for v in tf.global_variables()]


def test_convolution_is_normalised_and_activated():
  x = tf.constant(np.random.RandomState(0).randn(2, 5, 5, 3), tf.float32)
  y = conv_blocks.convolution(x, 4, 3, options(), 'Conv', swish, stride=2)
  kernel = tf.global_variables()[0]
  plain = tf.nn.conv2d(x, kernel, [1, 2, 2, 1], 'SAME') / np.sqrt(1 + 1e-3)
  actual, expected = evaluate(y, plain * tf.sigmoid(plain))
  assert actual.shape == (2, 3, 3, 4)
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
  assert names() == ['Conv/' + n for n in (
      'weights', 'BatchNorm/gamma', 'BatchNorm/beta', 'BatchNorm/moving_mean',
      'BatchNorm/moving_variance')]


def test_depthwise_convolution_keeps_channels_apart():
  x = np.zeros([1, 4, 4, 3], np.float32)
  x[..., 1] = 1.0
  y, = evaluate(conv_blocks.depthwise_convolution(
      tf.constant(x), 3, options(activation=tf.identity), 'depthwise'))
  assert y.shape == (1, 4, 4, 3) and y[..., 1].any() and not y[..., [0, 2]].any()
  assert names()[0] == 'depthwise/depthwise_weights'


def test_training_normalises_by_the_batch_and_moves_the_averages(graph):
  x = np.random.RandomState(0).randn(8, 4, 4, 3).astype(np.float32)
  y = conv_blocks.depthwise_convolution(
      tf.constant(x), 1, options(True, tf.identity, decay=0.9), 'depthwise')
  mean, variance = tf.global_variables()[-2:]
  updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
  assert len(updates) == 2
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    kernel = session.run(tf.global_variables()[0]).reshape([3])
    normal, _ = session.run([y, updates])
    moved = session.run([mean, variance])
  np.testing.assert_allclose(normal.mean((0, 1, 2)), 0.0, atol=1e-5)
  np.testing.assert_allclose(moved[0], 0.1 * (x * kernel).mean((0, 1, 2)), rtol=1e-3, atol=1e-7)
  unbiased = (x * kernel).var((0, 1, 2)) * 128 / 127
  np.testing.assert_allclose(moved[1], 0.9 + 0.1 * unbiased, rtol=1e-4)


def test_first_kernels():
  x = tf.zeros([1, 2, 2, 64])
  conv_blocks.convolution(x, 128, 3, options(), 'Conv', swish)
  conv_blocks.depthwise_convolution(tf.zeros([1, 2, 2, 512]), 5, options(), 'depthwise')
  conv_blocks.classifier(tf.zeros([1, 1, 1, 64]), 100, options(), 'Logits')
  actual = evaluate(*[v for v in tf.global_variables() if v.op.name.endswith('weights')])
  assert actual[0].std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)
  assert actual[1].std() == pytest.approx(np.sqrt(2 / 25), rel=0.03)
  assert 0.099 < actual[2].max() <= 0.1 and -0.1 <= actual[2].min() < -0.099
  assert actual[2].std() == pytest.approx(0.1 / np.sqrt(3), rel=0.03)


def test_weight_decay_is_for_kernels_alone():
  shared = options(True, weight_decay=0.5)
  x = tf.zeros([1, 4, 4, 3])
  conv_blocks.depthwise_convolution(x, 3, shared, 'depthwise')
  conv_blocks.biased_convolution(x, 2, shared, 'se_1', swish)
  losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
  kernels = [v for v in tf.global_variables() if v.op.name.endswith('weights')]
  actual = evaluate(*(losses + kernels))
  assert len(losses) == 2
  assert actual[:2] == pytest.approx([0.25 * np.square(k).sum() for k in actual[2:]], rel=1e-5)


def test_no_weight_decay_adds_nothing():
  conv_blocks.biased_convolution(tf.zeros([1, 1, 1, 3]), 2, options(), 'se_1', swish)
  assert not tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)


def test_squeeze_excite_scales_channels():
  x = np.random.RandomState(0).randn(2, 3, 3, 4).astype(np.float32)
  y = conv_blocks.squeeze_excite(tf.constant(x), 2, options())
  one, bias_1, two, bias_2 = tf.global_variables()
  actual, w1, w2 = evaluate(y, one, two)
  hidden = x.mean((1, 2)).dot(w1[0, 0])
  hidden = hidden / (1 + np.exp(-hidden))
  gate = 1 / (1 + np.exp(-hidden.dot(w2[0, 0])))
  np.testing.assert_allclose(actual, x * gate[:, np.newaxis, np.newaxis], rtol=1e-4, atol=1e-6)
  assert bias_1.shape == [2] and bias_2.shape == [4]


def test_drop_connect_drops_whole_images():
  x = np.random.RandomState(0).uniform(1, 2, [400, 2, 2, 3]).astype(np.float32)
  y, = evaluate(conv_blocks.drop_connect(tf.constant(x), 0.2, options(True)))
  lives = y.any((1, 2, 3))
  np.testing.assert_allclose(y[lives], x[lives] / 0.8, rtol=1e-6)
  assert not y[~lives].any()
  assert lives.mean() == pytest.approx(0.8, abs=0.06)


def test_dropout_is_for_training():
  x = tf.ones([4, 2, 2, 3])
  assert conv_blocks.drop_connect(x, 0.2, options(False)) is x
  assert conv_blocks.dropout(x, 0.2, options(False), 'dropout') is x


@pytest.mark.parametrize('block, shape, parts', [
    (Block(1, 3, 1, 4, 4), (2, 7, 7, 4), ['depthwise', 'excite', 'project']),
    (Block(6, 5, 2, 4, 4), (2, 4, 4, 4), ['expand', 'depthwise', 'excite', 'project']),
    (Block(2, 3, 1, 4, 6), (2, 7, 7, 6), ['expand', 'depthwise', 'excite', 'project'])])
def test_inverted_bottleneck(block, shape, parts):
  x = tf.constant(np.random.RandomState(0).randn(2, 7, 7, 4), tf.float32)
  y, end_points = conv_blocks.inverted_bottleneck(x, block, 1, options(), 0.2, 'expanded_conv')
  assert list(end_points) == ['expanded_conv/' + part for part in parts] + ['expanded_conv']
  actual, project, before = evaluate(y, end_points['expanded_conv/project'], x)
  assert actual.shape == shape
  np.testing.assert_allclose(actual, project + before if block.has_skip else project, rtol=1e-6)


def test_inverted_bottleneck_without_squeeze_excite():
  _, end_points = conv_blocks.inverted_bottleneck(
      tf.zeros([1, 4, 4, 4]), Block(1, 3, 1, 4, 6), 0, options(), 0.0, 'expanded_conv')
  assert 'expanded_conv/excite' not in end_points
  assert not any('/se_' in name for name in names())


def test_a_dropped_block_is_its_skip():
  x = np.random.RandomState(0).randn(64, 2, 2, 4).astype(np.float32)
  y, _ = conv_blocks.inverted_bottleneck(
      tf.constant(x), Block(1, 3, 1, 4, 4), 1, options(True), 0.5, 'expanded_conv')
  same = (evaluate(y)[0] == x).all((1, 2, 3))
  assert 16 < same.sum() < 48
