"""Few large variables that checkpoints hold under many small names.

A variable costs some 40 graph nodes with its optimiser, and a network with quantisers would have
over a thousand small ones. Here all values of one role (all kernels and biases; all alphas; ...)
are one vector in the graph, split once, and a checkpoint still has one entry a layer.
"""

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.private_api import SaveableObject, SaveSpec


class FlatVariable(NamedTuple):
  """One vector and what its pieces are called."""
  variable: Any  # float32 [sum of the sizes].
  shapes: dict  # Checkpoint name -> shape, in the order of the pieces.

  def pieces(self):
    """Ordered dict name -> tensor of its shape; the split is one op."""
    return split(self.variable, self.shapes)


def size(shape):
  """Number of values of a tensor of `shape`."""
  return int(np.prod(shape, dtype=np.int64))


def split(vector, shapes):
  """Ordered dict name -> piece of `vector` (a tensor), for shapes in the order of the pieces."""
  if not shapes:
    return collections.OrderedDict()
  parts = tf.split(vector, [size(shape) for shape in shapes.values()])
  return collections.OrderedDict(
      (name, part if len(shape) == 1 else tf.reshape(part, shape))
      for (name, shape), part in zip(shapes.items(), parts))


def join(values, shapes):
  """The vector of NumPy arrays `values` (dict name -> array) in the order of `shapes`."""
  if not shapes:
    return np.zeros([0], np.float32)
  return np.concatenate([np.asarray(values[name], np.float32).reshape(-1) for name in shapes])


def cut(vector, shapes):
  """Ordered dict name -> array of its shape: the inverse of `join`."""
  ends = np.cumsum([size(shape) for shape in shapes.values()])
  parts = np.split(vector, ends[:-1])
  return collections.OrderedDict((n, p.reshape(s)) for (n, s), p in zip(shapes.items(), parts))


def create_flat_variable(name, shapes, trainable=True):
  """Creates a vector for `shapes` (ordered dict checkpoint name -> shape), filled with zeros."""
  total = sum(size(shape) for shape in shapes.values())
  variable = tf.get_variable(name, [total], tf.float32, tf.zeros_initializer(),
                             trainable=trainable, use_resource=True)
  return FlatVariable(variable, shapes)


class _Pieces(SaveableObject):
  """Lets a Saver write and read the pieces of a flat variable as tensors of their own."""

  def __init__(self, flat):
    pieces = split(flat.variable.read_value(), flat.shapes)
    specs = [SaveSpec(tensor, '', name, tf.float32)
             for name, tensor in pieces.items()]
    super(_Pieces, self).__init__(flat.variable, specs, flat.variable.op.name)

  def restore(self, restored_tensors, restored_shapes):
    """The op that assigns the pieces, in the order of the specs."""
    del restored_shapes
    return self.op.assign(tf.concat([tf.reshape(t, [-1]) for t in restored_tensors], 0))


def saveable(flat):
  """For the `var_list` of a `tf.train.Saver`: one entry a piece."""
  return _Pieces(flat)
