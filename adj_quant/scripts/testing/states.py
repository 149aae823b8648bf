"""A store of two small variables, for tests of states."""

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.trainer.run.state import Store

VALUES = {'a': np.float32([[0.1, 2, 3], [4, 5, np.pi]]), 'b': np.float32(1 / 3)}


class Model:
  """A `Store` of two variables, one of each of TensorFlow's kinds, that start at 0."""

  def __init__(self, folders, names=('a', 'b')):
    with tf.Graph().as_default():
      self.variables = [
          tf.get_variable(names[0], [2, 3], initializer=tf.zeros_initializer(), use_resource=True),
          tf.get_variable(names[1], [], initializer=tf.zeros_initializer(), use_resource=False)]
      self.session = tf.Session()
      self.session.run(tf.global_variables_initializer())
      self.store = Store(self.session, self.variables, folders)
      self.session.graph.finalize()
