"""Towers: what they compute together is what one network computes on the whole batch."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.trainer.graph import towers

CPU = '/device:CPU:0'


@pytest.mark.parametrize('images, count, sizes', [
    (8, 2, [4, 4]), (5, 2, [2, 3]), (1, 3, [0, 0, 1])])
def test_a_batch_is_cut_in_order_and_joined_again(images, count, sizes):
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.reshape(tf.range(images * 3), [images, 3])
    built = towers.build(batch, tf.range(images), [CPU] * count, lambda *parts: parts)
    actual = session.run([[part for part, _ in built], towers.joined([part for part, _ in built]),
                          towers.joined([labels for _, labels in built]), batch])
  assert [len(part) for part in actual[0]] == sizes
  np.testing.assert_array_equal(actual[1], actual[3])
  assert actual[2].tolist() == list(range(images))


def test_a_single_tower_has_the_network_s_own_names():
  with tf.Graph().as_default():
    images = tf.zeros([2, 3])
    built, = towers.build(images, tf.range(2), [None], lambda part, _: tf.identity(part, 'net'))
    assert built.op.name == 'net' and built.op.inputs[0] is images
    names = [each.op.name for each in towers.build(
        images, tf.range(2), [CPU] * 2, lambda part, _: tf.identity(part, 'net'))]
    assert names == ['tower_0/net', 'tower_1/net']


def test_gradients_are_the_mean_of_the_towers():
  with tf.Graph().as_default(), tf.Session() as session:
    x = tf.get_variable('x', initializer=[1.0, 2.0], use_resource=True)
    losses = [tf.reduce_sum(factor * tf.square(x)) for factor in (1.0, 4.0)]
    gradients = towers.mean_gradients(losses, [CPU] * 2, [x])
    session.run(x.initializer)
    assert session.run(gradients)[0].tolist() == [5.0, 10.0]


def test_a_variable_without_gradient_is_named():
  with tf.Graph().as_default():
    x, lost = (tf.get_variable(name, initializer=1.0) for name in ('x', 'lost'))
    with pytest.raises(ValueError, match='no gradient reaches lost$'):
      towers.mean_gradients([x * x], [None], [x, lost])
