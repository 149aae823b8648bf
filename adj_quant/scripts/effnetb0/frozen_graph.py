"""Weights out of a frozen TF-Slim graph, batch norm folded.

Frozen variables are constants under their own names, so neither fake-quantisation nodes between
them nor a batch norm that the rewrite for QAT has folded matter.
"""

import tensorflow.compat.v1 as tf
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from scripts.effnetb0.architecture import layers
from scripts.effnetb0.slim_names import (
    EPSILON, bias_names, fold_batch_norm, has_batch_norm, kernel_name)
from scripts.effnetb0.weights import LayerWeights
from scripts.errors import UserError


def read_graph(path, what, binary=True):
  """The tf.GraphDef in a file.

  Args:
    path: the file.
    what: what it is called in the message of a UserError.
    binary: False: protobuf's text format.
  """
  graph = tf.GraphDef()
  try:
    with open(path, 'rb') as stream:
      content = stream.read()
    if binary:
      graph.ParseFromString(content)
    else:
      text_format.Parse(content, graph)
  except OSError as error:
    raise UserError('cannot read %s %s: %s' % (what, path, error.strerror))
  except (DecodeError, UnicodeDecodeError, text_format.ParseError):
    raise UserError('%s is not a %s (%s GraphDef)' % (path, what, 'binary' if binary else 'text'))
  if not graph.node:
    raise UserError('%s is not a %s: it has no nodes' % (path, what))
  return graph


def read_constants(path):
  """Dict name -> float32 array of the frozen graph at `path`; UserError where it is none."""
  graph = read_graph(path, 'frozen graph')
  constants = {node.name: tf.make_ndarray(node.attr['value'].tensor) for node in graph.node
               if node.op == 'Const' and node.attr['dtype'].type == tf.float32.as_datatype_enum}
  for name, epsilon in _epsilons(graph, constants):
    if abs(epsilon - EPSILON) > 1e-6:
      raise UserError('%s: %s has the epsilon %g, this network has %g'
                      % (path, name, epsilon, EPSILON))
  return constants


def _epsilons(graph, constants):
  """(name, epsilon) of every batch norm, also of those that the rewrite for QAT has folded."""
  norms = [(node.name, node.attr['epsilon'].f) for node in graph.node
           if node.op.startswith('FusedBatchNorm')]
  return norms + [(name, value) for name, value in constants.items()
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
    UserError: a constant is missing or has another shape.
  """
  table = layers(architecture, architecture.image_size, classes=1)
  classes = len(_take(constants, bias_names(table[-1])[0], path))
  weights = {}
  for layer in layers(architecture, architecture.image_size, classes):
    kernel = _take(constants, kernel_name(layer), path, layer.weights_shape)
    biases = [_take(constants, name, path, (layer.outputs,)) for name in bias_names(layer)]
    if has_batch_norm(layer):
      weights[layer.name] = fold_batch_norm(kernel, *biases, channel_axis=layer.channel_axis)
    else:
      weights[layer.name] = LayerWeights(kernel, *biases)
  return weights


def _take(constants, name, path, shape=None):
  """The constant `name`, checked against `shape`."""
  if name not in constants:
    raise UserError('%s has no constant %s: freeze the graph of this network first' % (path, name))
  if shape is not None and constants[name].shape != tuple(shape):
    raise UserError('%s: %s has the shape %s, the network %s'
                    % (path, name, list(constants[name].shape), list(shape)))
  return constants[name]
