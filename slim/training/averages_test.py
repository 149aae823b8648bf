"""Tests of moving averages: by hand, and where readers find them."""

import pytest
import tensorflow.compat.v1 as tf

from training.averages import create_averages, stored_names


def test_averages_by_hand():
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.get_or_create_global_step()
    x = tf.get_variable('a/x', initializer=0.0)
    move, averages = create_averages([x], 0.5, step)
    session.run(tf.global_variables_initializer())
    x.load(1.0, session)
    session.run(move)  # Step 0: decay (1 + 0) / (10 + 0).
    assert session.run(averages[0]) == pytest.approx(0.9)
    step.load(1000, session)
    x.load(0.0, session)
    session.run(move)
    assert session.run(averages[0]) == pytest.approx(0.45)
    assert averages[0].op.name == 'a/x/ExponentialMovingAverage'


def test_an_average_is_preferred_where_there_is_one():
  checkpoint = ['x', 'x/ExponentialMovingAverage', 'y']
  assert stored_names(['x', 'y', 'z'], checkpoint) == {
      'x': 'x/ExponentialMovingAverage', 'y': 'y'}
  assert stored_names(['x', 'y'], checkpoint, prefer_averages=False) == {'x': 'x', 'y': 'y'}
