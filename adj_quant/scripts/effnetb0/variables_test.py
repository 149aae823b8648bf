import collections

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import variables

SHAPES = collections.OrderedDict([('b/weights', (2, 3)), ('a/bias', (4,)), ('c/scalar', (1,))])


def values():
  return {'b/weights': np.arange(6, dtype=np.float32).reshape(2, 3),
          'a/bias': np.float32([7, 8, 9, 10]), 'c/scalar': np.float32([11])}


def test_join_and_cut_are_inverse():
  vector = variables.join(values(), SHAPES)
  np.testing.assert_array_equal(vector, np.arange(12)[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]])
  actual = variables.cut(vector, SHAPES)
  assert list(actual) == list(SHAPES)
  for name, value in values().items():
    np.testing.assert_array_equal(actual[name], value)


def test_pieces_are_slices_of_one_variable():
  with tf.Graph().as_default(), tf.Session() as session:
    flat = variables.create_flat_variable('flat', SHAPES)
    assert tf.trainable_variables() == [flat.variable]
    flat.variable.load(variables.join(values(), SHAPES), session)
    for name, piece in session.run(flat.pieces()).items():
      np.testing.assert_array_equal(piece, values()[name])


def test_gradient_of_the_pieces_reaches_the_vector():
  with tf.Graph().as_default(), tf.Session() as session:
    flat = variables.create_flat_variable('flat', SHAPES)
    pieces = flat.pieces()
    loss = 2.0 * tf.reduce_sum(pieces['b/weights']) + 3.0 * tf.reduce_sum(pieces['c/scalar'])
    session.run(tf.global_variables_initializer())
    gradient, = session.run(tf.gradients(loss, [flat.variable]))
  np.testing.assert_array_equal(gradient, [2] * 6 + [0] * 4 + [3])


def test_a_checkpoint_has_the_pieces_by_name(tmp_path):
  path = str(tmp_path / 'ckpt')
  with tf.Graph().as_default(), tf.Session() as session:
    flat = variables.create_flat_variable('flat', SHAPES)
    flat.variable.load(variables.join(values(), SHAPES), session)
    saver = tf.train.Saver([variables.saveable(flat)])
    saver.save(session, path)
    flat.variable.load(np.zeros([11], np.float32), session)
    saver.restore(session, path)
    np.testing.assert_array_equal(session.run(flat.variable), variables.join(values(), SHAPES))
  assert dict(tf.train.list_variables(path)) == {n: list(s) for n, s in SHAPES.items()}


def test_a_checkpoint_of_ordinary_variables_restores(tmp_path):
  path = str(tmp_path / 'ckpt')
  with tf.Graph().as_default(), tf.Session() as session:
    for name, value in values().items():
      tf.get_variable(name, initializer=value)
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, path)
  with tf.Graph().as_default(), tf.Session() as session:
    flat = variables.create_flat_variable('flat', SHAPES)
    tf.train.Saver([variables.saveable(flat)]).restore(session, path)
    np.testing.assert_array_equal(session.run(flat.variable), variables.join(values(), SHAPES))
