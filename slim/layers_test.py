"""The layers against those of tf.contrib.slim, where TensorFlow has it; what they refuse."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from contrib import slim
import layers
from nets.mobilenet import conv_blocks, efficientnet_b0
from scripts.effnetb0.architecture import Architecture, Block
from scripts.stack import HAS_CONTRIB

SMALL = Architecture('small', image_size=16, stem=4, head=8, blocks=(
    Block(1, 3, 1, 4, 4), Block(2, 5, 2, 4, 6)))
IMAGES = np.random.RandomState(0).uniform(0, 255, [5, 16, 16, 3]).astype(np.float32)
KEYS = [tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES,
        tf.GraphKeys.TRAINABLE_VARIABLES]


class OwnLayers:
  """In place of `FloatLayers`."""
  conv2d = staticmethod(layers.conv2d)
  separable_conv2d = staticmethod(layers.separable_conv2d)

  def result(self, x, name):
    del name
    return x


class SlimLayers(OwnLayers):
  """TF-Slim's."""
  conv2d = staticmethod(slim.conv2d)
  separable_conv2d = staticmethod(slim.separable_conv2d)


def built(is_training, door, made_of):
  """A network in a graph of its own: its variables by collection, names of its scopes, values."""
  with pytest.MonkeyPatch.context() as patch, tf.Graph().as_default() as graph:
    for module in (conv_blocks, efficientnet_b0):
      patch.setattr(module, 'slim', door)
    tf.set_random_seed(1)
    logits, points = efficientnet_b0.efficientnet_b0(
        tf.constant(IMAGES), 3, is_training, SMALL, batch_norm_decay=0.9, weight_decay=0.1,
        layers=made_of)
    gradients = tf.gradients(tf.square(logits), tf.trainable_variables())
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    with tf.Session() as session:
      session.run(tf.global_variables_initializer())
      values = session.run([logits] + gradients + losses + list(points.values()))
      session.run(updates)
      values += session.run(tf.global_variables())
    names = {key: [(v.op.name, v.shape.as_list()) for v in tf.get_collection(key)] for key in KEYS}
    scopes = {op.name.rpartition('/')[0] for op in graph.get_operations()
              if op.type in ('Conv2D', 'DepthwiseConv2dNative', 'Softmax', 'BiasAdd')}
    output = points['Predictions'].op.name
  return names, scopes, len(updates), output, values


@pytest.mark.skipif(not HAS_CONTRIB, reason='TensorFlow without contrib')
@pytest.mark.parametrize('is_training', [True, False])
def test_the_same_network_as_of_tf_slim(is_training):
  ours, theirs = built(is_training, layers, OwnLayers()), built(is_training, slim, SlimLayers())
  assert ours[:4] == theirs[:4]
  assert ours[2] == (2 * 7 if is_training else 0)
  for one, other in zip(ours[4], theirs[4]):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('options, message', [
    (dict(scale=False), 'scale=True'), (dict(scale=True, fused=False), 'fused=True')])
def test_refuses_another_batch_norm(options, message):
  with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
    layers.batch_norm(tf.zeros([1, 2, 2, 3]), **options)


def test_refuses_a_pointwise_part():
  with tf.Graph().as_default(), pytest.raises(ValueError, match='num_outputs=None'):
    layers.separable_conv2d(tf.zeros([1, 2, 2, 3]), 4, 3)
