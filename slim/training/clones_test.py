"""Tests of towers: their gradients are those of one tower on the whole batch."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from scripts.errors import UserError
from scripts.testing.network import CLASSES, random_images
from testing.run import TINY
from training import clones
from training.graph import smoothed_cross_entropy


@functools.lru_cache(None)
def loss_and_gradients(towers, is_training=False, weight_decay=0.01):
  """Of the tiny network on 8 images; first values follow from its seed."""
  def build(images, labels, index):
    logits, _ = efficientnet_b0(images, CLASSES, is_training, TINY, dropout=0.0, drop_connect=0.0,
                                weight_decay=weight_decay, reuse=index > 0)
    return smoothed_cross_entropy(logits, labels, 0.1)

  with tf.Graph().as_default(), tf.Session() as session:
    images = tf.constant(random_images(8)[:, :16, :16], tf.float32)
    labels = tf.constant([0, 1, 1, 3, 2, 0, 0, 3])
    actual = clones.build_towers(images, labels, ['/device:CPU:0'] * towers, build)
    pairs = clones.gradients(actual, tf.train.GradientDescentOptimizer(0.1),
                             tf.trainable_variables())
    session.run(tf.global_variables_initializer())
    names = [variable.op.name for _, variable in pairs]
    return session.run(actual.loss), dict(zip(names, session.run([g for g, _ in pairs]))), actual


def test_two_towers_give_the_gradients_of_one_on_twice_the_batch():
  one, two = loss_and_gradients(1), loss_and_gradients(2)
  assert two[0] == pytest.approx(one[0], rel=1e-6)
  assert list(two[1]) == list(one[1])
  for name, gradient in one[1].items():
    np.testing.assert_allclose(two[1][name], gradient, rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_penalty_counts_once():
  plain = [loss_and_gradients(towers, weight_decay=0.0)[0] for towers in (1, 2)]
  decayed = [loss_and_gradients(towers)[0] for towers in (1, 2)]
  assert decayed[0] - plain[0] > 0.01
  assert decayed[1] - plain[1] == pytest.approx(decayed[0] - plain[0], rel=1e-4)


def test_statistics_move_with_the_first_tower():
  updates = [len(loss_and_gradients(towers, is_training=True)[2].updates) for towers in (1, 2)]
  assert updates[0] == updates[1] > 0


def test_reading_the_loss_makes_no_op():
  with tf.Graph().as_default() as graph:
    towers = clones.build_towers(tf.range(4), tf.range(4), [None, None],
                                 lambda images, labels, index: tf.constant(float(index)))
    count = len(graph.get_operations())
    assert towers.loss is towers.loss and len(graph.get_operations()) == count
    with tf.Session() as session:
      assert session.run(towers.loss) == 0.5


def test_images_are_dealt_out_as_to_workers():
  seen = []

  def build(images, labels, index):
    seen.append((images, labels))
    return tf.constant(float(index))

  with tf.Graph().as_default(), tf.Session() as session:
    clones.build_towers(tf.range(6), tf.range(6), [None, None], build)
    assert [part[0].tolist() for part in session.run(seen)] == [[0, 2, 4], [1, 3, 5]]


def test_a_variable_without_gradient_is_named():
  with tf.Graph().as_default():
    x, y = tf.get_variable('x', initializer=1.0), tf.get_variable('lost', initializer=1.0)
    towers = clones.Towers([x * x], [None], [], tf.constant(0.0), x * x)
    with pytest.raises(UserError, match='does not depend on lost'):
      clones.gradients(towers, tf.train.GradientDescentOptimizer(0.1), [x, y])
