"""Weights from a frozen TF-Slim graph, batch norm folded.

Frozen variables are constants under their own names, so neither fake-quantisation nodes between
them nor a batch norm that the rewrite for QAT has folded matter.
"""

import warnings

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from scripts.effnetb0.architecture import layers
from scripts.effnetb0.slim_names import (
    EPSILON, bias_names, fold_batch_norm, has_batch_norm, kernel_name)
from scripts.effnetb0.weights import LayerWeights
from scripts.errors import UserError
from scripts.files import read_file

_LARGEST_FILE = 2**31 - 1  # Bytes; protocol buffers cannot be larger.
_LARGEST_CONSTANT = 2**26  # Values.


def read_graph(path, what, binary=True):
  """The tf.GraphDef in a file.

  Args:
    path: the file.
    what: what it is called in the message of a UserError.
    binary: False: protobuf's text format.
  """
  graph, content = tf.GraphDef(), read_file(path, what, _LARGEST_FILE)
  try:
    with warnings.catch_warnings(record=True) as caught:
      warnings.simplefilter('always')
      if binary:
        graph.ParseFromString(content)
      else:
        text_format.Parse(content, graph)
    if caught:  # Not all of it was read.
      raise DecodeError
  except (DecodeError, UnicodeDecodeError, text_format.ParseError, RecursionError):
    raise UserError('%s is not a %s (%s GraphDef)' % (path, what, 'binary' if binary else 'text'))
  if not graph.node:
    raise UserError('%s is not a %s: it has no nodes' % (path, what))
  return graph


def read_constants(path):
  """Dict name -> float32 array of the frozen graph at `path`; UserError where it is none."""
  graph = read_graph(path, 'frozen graph')
  try:
    constants = {node.name: _to_array(node.attr['value'].tensor) for node in graph.node
                 if node.op == 'Const' and node.attr['dtype'].type == tf.float32.as_datatype_enum}
    epsilons = _epsilons(graph, constants)
  except ValueError as error:  # Of protocol buffers as well, for a name that is not UTF-8.
    raise UserError('frozen graph %s is damaged: %s' % (path, error))
  for name, epsilon in epsilons:
    if abs(epsilon - EPSILON) > 1e-6:
      raise UserError('%s: %s has the epsilon %g, this network has %g'
                      % (path, name, epsilon, EPSILON))
  return constants


def _to_array(tensor):
  """The array of a float32 tf.TensorProto; raises ValueError where its values are not all there."""
  sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
  count = 1
  for size in sizes:
    count *= size
  stored = len(tensor.tensor_content) / 4 or len(tensor.float_val)
  # A single value of float_val stands for all.
  if (tensor.dtype != tf.float32.as_datatype_enum or min(sizes, default=1) < 0
      or count > _LARGEST_CONSTANT
      or stored != count and (stored != 1 or tensor.tensor_content)):
    raise ValueError('a constant of shape %s holds %g values' % (sizes, stored))
  return tf.make_ndarray(tensor)


def _epsilons(graph, constants):
  """(name, epsilon) of every batch norm, also of those that the rewrite for QAT has folded."""
  norms = [(node.name, node.attr['epsilon'].f) for node in graph.node
           if node.op.startswith('FusedBatchNorm')]
  return norms + [(name, float(value.reshape(()))) for name, value in constants.items()
                  if name.endswith('/BatchNorm_Fold/add/y')]


def extract_weights(constants, architecture, path):
  """Weights of every layer.

  Args:
    constants: dict name -> array, see `read_constants`.
    architecture: an `Architecture`.
    path: where they are from, for messages.

  Returns:
    Dict layer name -> `LayerWeights`.

  Raises:
    UserError: a constant is missing or has another shape, or weights are not finite.
  """
  table = layers(architecture, architecture.image_size, classes=1)
  classes = _take(constants, bias_names(table[-1])[0], path).size
  weights = {}
  for layer in layers(architecture, architecture.image_size, classes):
    kernel = _take(constants, kernel_name(layer), path, layer.weights_shape)
    biases = [_take(constants, name, path, (layer.outputs,)) for name in bias_names(layer)]
    if has_batch_norm(layer):
      with np.errstate(all='ignore'):  # The next lines tell of it.
        weights[layer.name] = fold_batch_norm(kernel, *biases, channel_axis=layer.channel_axis)
    else:
      weights[layer.name] = LayerWeights(kernel, *biases)
    if not all(np.all(np.isfinite(part)) for part in weights[layer.name]):
      raise UserError('%s: the weights of layer %s are not finite' % (path, layer.name))
  return weights


def _take(constants, name, path, shape=None):
  """The constant `name`, checked against `shape`."""
  if name not in constants:
    raise UserError('%s has no constant %s: freeze the graph of this network first' % (path, name))
  if shape is not None and constants[name].shape != tuple(shape):
    raise UserError('%s: %s has the shape %s, the network %s'
                    % (path, name, list(constants[name].shape), list(shape)))
  return constants[name]
