"""Takes the weights of a frozen TF-Slim EfficientNet out of its graph, batch norm folded.

    python prepare_weights.py FROZEN.pb        # writes FROZEN_weights.pickle beside it

Frozen variables are constants under their own names, so neither fake-quantisation nodes between
them nor a batch norm that the rewrite for QAT has folded matter. A convolution with batch norm
becomes kernel * gamma / sqrt(variance + 1e-3) with the bias beta - mean * gamma /
sqrt(variance + 1e-3) (Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", 2018, section 3.2).
"""

import os
import sys

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError

from scripts.effnetb0.architecture import ARCHITECTURES, layers
from scripts.effnetb0.weights import LayerWeights, save_weights
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_file
from scripts.runtime import prepare_tensorflow

EPSILON = 1e-3
SCOPE = 'efficientnet_b0'
NORM_PARTS = ('gamma', 'beta', 'moving_mean', 'moving_variance')


def read_graph(path, what):
  """The tf.GraphDef in the file at `path`, which is called `what` in the message of a UserError."""
  graph = tf.GraphDef()
  try:
    with open(path, 'rb') as stream:
      graph.ParseFromString(stream.read())
  except OSError as error:
    raise UserError('cannot read %s %s: %s' % (what, path, error.strerror))
  except DecodeError:
    raise UserError('%s is not a %s (binary GraphDef)' % (path, what))
  if not graph.node:
    raise UserError('%s is not a %s: it has no nodes' % (path, what))
  return graph


def read_constants(path):
  """Dict name -> float32 array of the frozen graph at `path`; UserError where it is none."""
  graph = read_graph(path, 'frozen graph')
  found = {node.name: tf.make_ndarray(node.attr['value'].tensor) for node in graph.node
           if node.op == 'Const' and node.attr['dtype'].type == tf.float32.as_datatype_enum}
  for name, epsilon in _epsilons(graph, found):
    if abs(epsilon - EPSILON) > 1e-6:
      raise UserError('%s: %s has the epsilon %g, this network has %g'
                      % (path, name, epsilon, EPSILON))
  return found


def _epsilons(graph, constants):
  """(name, epsilon) of every batch norm, also of those that the rewrite for QAT has folded."""
  norms = [(node.name, node.attr['epsilon'].f) for node in graph.node
           if node.op.startswith('FusedBatchNorm')]
  return norms + [(name, value) for name, value in constants.items()
                  if name.endswith('/BatchNorm_Fold/add/y')]


def variable_scope(layer):
  """Scope of a layer's variables in TF-Slim, below the network's: 'expanded_conv/depthwise'."""
  if layer.name == 'output':
    return 'Logits/Conv2d_1c_1x1'
  return layer.file_name.replace('/dws', '/depthwise')


def has_batch_norm(layer):
  """False for a layer that has a bias: those of squeeze-excite and the classifier."""
  return layer.kind != 'classifier' and not layer.name.endswith(('/se_1', '/se_2'))


def kernel_name(layer):
  """Name of a layer's kernel in TF-Slim."""
  part = 'depthwise_weights' if layer.kind == 'depthwise' else 'weights'
  return '%s/%s/%s' % (SCOPE, variable_scope(layer), part)


def bias_names(layer):
  """Names of what stands for a layer's bias in TF-Slim: the NORM_PARTS, or one bias."""
  parts = ['BatchNorm/' + part for part in NORM_PARTS] if has_batch_norm(layer) else ['biases']
  return ['%s/%s/%s' % (SCOPE, variable_scope(layer), part) for part in parts]


def fold_batch_norm(kernel, gamma, beta, mean, variance, channel_axis):
  """`LayerWeights` of a convolution followed by a batch norm.

  Args:
    kernel: float32 HWIO, or [k, k, C, 1] with channel_axis 2.
    gamma, beta, mean, variance: float32 [C].
    channel_axis: 3 or 2.
  """
  scale = np.float64(gamma) / np.sqrt(np.float64(variance) + EPSILON)
  along = scale[:, np.newaxis] if channel_axis == 2 else scale
  return LayerWeights(np.float32(kernel * along), np.float32(beta - mean * scale))


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
  found = {}
  for layer in layers(architecture, architecture.image_size, classes):
    kernel = _take(constants, kernel_name(layer), path, layer.weights_shape)
    biases = [_take(constants, name, path, (layer.outputs,)) for name in bias_names(layer)]
    if has_batch_norm(layer):
      found[layer.name] = fold_batch_norm(kernel, *biases, channel_axis=layer.channel_axis)
    else:
      found[layer.name] = LayerWeights(kernel, *biases)
  return found


def _take(constants, name, path, shape=None):
  """The constant `name`, checked against `shape`."""
  if name not in constants:
    raise UserError('%s has no constant %s: freeze the graph of this network first' % (path, name))
  if shape is not None and constants[name].shape != tuple(shape):
    raise UserError('%s: %s has the shape %s, the network %s'
                    % (path, name, list(constants[name].shape), list(shape)))
  return constants[name]


@exits_with_status
def main(argv=None):
  """Writes the pickle beside the frozen graph."""
  prepare_tensorflow()
  parser = ArgumentParser('Makes the weights pickle of adj_quant out of a frozen TF-Slim graph.')
  parser.add_argument('frozen', metavar='FROZEN.pb', help='binary GraphDef of freeze_graph.py')
  parser.add_argument('--model', choices=sorted(ARCHITECTURES), default='eff_b0',
                      help='architecture (%(default)s)')
  args = parser.parse_args(argv)
  target = os.path.splitext(args.frozen)[0] + '_weights.pickle'
  check_file(target)
  found = extract_weights(read_constants(args.frozen), ARCHITECTURES[args.model], args.frozen)
  save_weights(target, found)
  print('%d layers, %d values -> %s'
        % (len(found), sum(w.weights.size + w.bias.size for w in found.values()), target))


if __name__ == '__main__':
  sys.exit(main())
