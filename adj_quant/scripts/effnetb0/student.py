"""The network with learnt quantisers: its variables, its grids, its logits."""

import collections
import itertools
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import architecture as arch
from scripts.effnetb0 import quantizers
from scripts.effnetb0 import variables
from scripts.effnetb0.network import efficientnet
from scripts.effnetb0.network_quantizers import (
    FloatQuantizer, FusedQuantizer, GridQuantizer, XlaQuantizer)
from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS, Precision, first_bits, nodes, places
from scripts.effnetb0.weights import LayerWeights
from scripts.ops import fused


class ModelSpec(NamedTuple):
  """All that decides the function of a quantised network, apart from the variables' values."""
  architecture: arch.Architecture
  classes: int
  precision: Precision
  range_set: int = 5  # Key of quantizers.LIMITS.


class Parameters(NamedTuple):
  """The variables of a quantised network, each a `FlatVariable`."""
  weights: Any  # Kernels and biases, names 'Conv/weights', 'Conv/bias'.
  alpha: Any  # Names '<node>/alpha', one value a channel of a quantised node.
  shift: Any  # '<node>/shift'.
  bits_scale: Any  # '<node>/bits_scale' of nodes with a learnt bit-width; None without such.
  initial_low: Any  # '<node>/initial_low', not trained.
  initial_width: Any  # '<node>/initial_width', not trained.

  @property
  def trained(self):
    """The flat variables that are not precision: what SWA may average."""
    return [self.weights, self.alpha, self.shift]


class Student(NamedTuple):
  """A quantised network in the graph."""
  logits: Any  # float32 [N, K].
  bits: Any  # float32 [sum of channels of the quantised nodes], in the order of `nodes`.
  nodes: list  # Quantised nodes.
  end_points: dict  # Layer -> what the next convolution reads of it, see `efficientnet`.


def quantised_nodes(spec):
  """The nodes of `spec` that have a grid."""
  every = nodes(spec.architecture, spec.classes, spec.precision)
  return [node for node in every if node.quantised]


def weight_shapes(architecture, classes):
  """Ordered dict '<layer>/weights' and '<layer>/bias' -> shape."""
  shapes = collections.OrderedDict()
  for layer in arch.layers(architecture, architecture.image_size, classes):
    shapes[layer.name + '/weights'] = layer.weights_shape
    shapes[layer.name + '/bias'] = (layer.outputs,)
  return shapes


def create_weights(scope, architecture, classes, trainable):
  """Creates one flat variable for all kernels and biases."""
  with tf.variable_scope(scope):
    return variables.create_flat_variable('weights', weight_shapes(architecture, classes),
                                          trainable)


def create_parameters(spec, train_weights=True):
  """Creates the variables of a quantised network, all zero, under the scope `student`.

  Args:
    spec: `ModelSpec`.
    train_weights: False makes kernels and biases constants of the training.

  Returns:
    `Parameters`.
  """
  quantised = quantised_nodes(spec)
  learnt = [node for node in quantised if node.learnt]

  def create(role, of_nodes, trainable=True):
    shapes = collections.OrderedDict(('%s/%s' % (n.name, role), (n.channels,)) for n in of_nodes)
    return variables.create_flat_variable(role, shapes, trainable)

  weights = create_weights('student', spec.architecture, spec.classes, train_weights)
  with tf.variable_scope('student'):
    return Parameters(weights, create('alpha', quantised), create('shift', quantised),
                      create('bits_scale', learnt) if learnt else None,
                      create('initial_low', quantised, False),
                      create('initial_width', quantised, False))


def first_values(spec, weights, thresholds):
  """What the variables are before training, as vectors in the order of `Parameters`.

  Args:
    spec: `ModelSpec`.
    weights: dict layer -> `LayerWeights` of arrays.
    thresholds: dict node -> (min [C], max [C]) arrays, for every quantised node.

  Returns:
    `Parameters` of float32 vectors.
  """
  quantised = quantised_nodes(spec)
  low = [thresholds[node.name][0] for node in quantised]
  width = [np.subtract(thresholds[node.name][1], thresholds[node.name][0]) for node in quantised]
  count = sum(node.channels for node in quantised)
  learnt = sum(node.channels for node in quantised if node.learnt)
  return Parameters(
      weight_vector(weights, spec.architecture, spec.classes),
      np.ones([count], np.float32), np.zeros([count], np.float32),
      np.ones([learnt], np.float32) if learnt else None,
      np.concatenate(low or [[]]).astype(np.float32),
      np.concatenate(width or [[]]).astype(np.float32))


def intervals(spec):
  """Where training keeps the variables of `spec`, a `ModelSpec`.

  A variable beyond its interval would have no gradient, and stay there.

  Returns:
    `Parameters` of pairs (low, high), floats or float32 [sum of C]; None: no bounds.
  """
  limits = quantizers.LIMITS[spec.range_set]
  first = first_bits([node for node in quantised_nodes(spec) if node.learnt])
  return Parameters(None, limits.alpha, limits.shift,
                    (MIN_BITS / first, MAX_BITS / first) if len(first) else None, None, None)


def load_values(parameters, values, session):
  """Loads `Parameters` of vectors into `Parameters` of variables."""
  for flat, vector in zip(parameters, values):
    if flat is not None:
      flat.variable.load(vector, session)


def weight_vector(weights, architecture, classes):
  """The arrays of dict layer -> `LayerWeights` as the vector of `create_weights`."""
  values = {}
  for name, layer in weights.items():
    values[name + '/weights'], values[name + '/bias'] = layer
  return variables.join(values, weight_shapes(architecture, classes))


def weight_units(parameters, relative=True, frozen=()):
  """What a learning rate counts in, for every weight in the order of `Parameters.weights`.

  Args:
    parameters: `Parameters`.
    relative: in initial ranges of the weight's channel; 1 for what has no range. False: 1 for all.
    frozen: names of kernels and biases that do not move, such as 'output/weights'.

  Returns:
    float32 [sum of sizes].
  """
  widths = {name[:-len('/initial_width')]: piece
            for name, piece in parameters.initial_width.pieces().items()} if relative else {}
  units = []
  for name, shape in parameters.weights.shapes.items():
    if name in frozen:
      units.append(tf.zeros([variables.size(shape)]))
    elif name in widths:
      # The channel is the last axis that is not 1, in depthwise kernels as well.
      units.append(tf.tile(widths[name], [variables.size(shape) // int(widths[name].shape[0])]))
    else:
      units.append(tf.ones([variables.size(shape)]))
  return tf.concat(units, 0)


def layer_weights(flat):
  """Dict layer -> `LayerWeights` of tensors out of the flat variable of `create_weights`."""
  return _by_layer(flat.pieces())


def _by_layer(pieces):
  names = [name[:-len('/weights')] for name in pieces if name.endswith('/weights')]
  return {n: LayerWeights(pieces[n + '/weights'], pieces[n + '/bias']) for n in names}


def channel_bits(spec, parameters):
  """Bit-widths of all channels of the quantised nodes as one tensor float32 [sum of C]."""
  quantised = quantised_nodes(spec)
  first = first_bits(quantised)
  if parameters.bits_scale is None:
    return tf.constant(first)
  learnt = sum(node.channels for node in quantised if node.learnt)
  bits = quantizers.learnt_bits(parameters.bits_scale.variable.read_value(), first[:learnt])
  return tf.concat([bits, first[learnt:]], 0)


def channel_grids(spec, parameters, bits):
  """The `quantizers.Grid` of the channels of all quantised nodes, computed in one go."""
  initial = quantizers.Range(parameters.initial_low.variable.read_value(),
                             parameters.initial_width.variable.read_value())
  quant_range = quantizers.learnt_range(parameters.alpha.variable.read_value(),
                                        parameters.shift.variable.read_value(),
                                        initial, quantizers.LIMITS[spec.range_set])
  return quantizers.grid(quant_range, bits)


def build_student(images, spec, parameters, impl='ops', is_training=True):
  """The quantised network on `images` (float32 [N, S, S, 3], RGB 0..255).

  Args:
    images: see above.
    spec: `ModelSpec`.
    parameters: `Parameters`.
    impl: 'ops'; 'fused' where `scripts.ops.fused` is available (CPU only), see there for where
      their bits differ; or 'xla' where `stack.HAS_XLA_SCOPES`.
    is_training: False where no gradient is wanted; 'ops' and 'xla' then need fewer of them.

  Returns:
    `Student`.
  """
  bits = channel_bits(spec, parameters)
  prepare = {'ops': _composed, 'xla': _compiled, 'fused': _fused}[impl]
  weights, quantize = prepare(spec, parameters, bits, is_training)
  with tf.name_scope('student'):
    logits, end_points = efficientnet(images, weights, quantize, spec.architecture)
  unused = sorted(set(quantize.grids) - quantize.used)
  if unused:
    raise ValueError('quantiser nodes that the network never reaches: %s' % ', '.join(unused))
  return Student(logits, bits, quantised_nodes(spec), end_points)


def build_float(images, architecture, flat_weights, scope, impl='ops'):
  """The float network on the same kind of images; returns what `efficientnet` does."""
  quantize = FusedQuantizer(
      fused, collections.defaultdict(lambda: None), None) if impl == 'fused' else FloatQuantizer()
  with tf.name_scope(scope):
    return efficientnet(images, layer_weights(flat_weights), quantize, architecture)


def _composed(spec, parameters, bits, is_training, quantizer=GridQuantizer):
  """Weights of the layers and the quantiser of a network out of TensorFlow's ops."""
  grids = {n.name: None for n in nodes(spec.architecture, spec.classes, spec.precision)}
  shapes = collections.OrderedDict((n.name, (n.channels,)) for n in quantised_nodes(spec))
  image_grid = None
  if shapes:
    parts = [variables.split(p, shapes) for p in channel_grids(spec, parameters, bits)]
    grids.update({name: quantizers.Grid(*[part[name] for part in parts]) for name in shapes})
    image_grid = quantizers.image_grid(spec.architecture)
  return layer_weights(parameters.weights), quantizer(grids, image_grid, is_training)


def _compiled(spec, parameters, bits, is_training):
  """The same with activations and quantisers that XLA compiles."""
  return _composed(spec, parameters, bits, is_training, XlaQuantizer)


def _fused(spec, parameters, bits, is_training):
  """The same out of fused ops: kernels and biases are quantised as one vector."""
  del is_training  # They compute no more for a gradient.
  every = nodes(spec.architecture, spec.classes, spec.precision)
  grids = {node.name: None for node in every}
  vector = parameters.weights.variable.read_value()
  image_grid = None
  if quantised_nodes(spec):
    stacked = tf.stack(channel_grids(spec, parameters, bits))
    vector = fused.quantize_pieces(vector, stacked, _pieces(parameters.weights.shapes, every))
    grids.update(_activation_grids(stacked, quantised_nodes(spec)))
    image_grid = tf.stack(quantizers.image_grid(spec.architecture))
  return (_by_layer(variables.split(vector, parameters.weights.shapes)),
          FusedQuantizer(fused, grids, image_grid))


def _pieces(shapes, every):
  """The `fused.Piece` of every kernel and bias, in the order of dict name -> shape."""
  quantised = [node for node in every if node.quantised]
  first = {name: place.start for name, place in places(quantised).items()}
  channels = {node.name: node.channels for node in every}
  return [fused.Piece(variables.size(shape) // channels[name], channels[name],
                      first.get(name, -1)) for name, shape in shapes.items()]


def _activation_grids(stacked, quantised):
  """Dict name -> [3, C] of the nodes in `quantised` that are no kernels or biases.

  Those are left in as few pieces as there are, for an unused piece costs a tensor of zeros in the
  gradient of the split.
  """
  sizes, names = [], []
  for is_weights, group in itertools.groupby(quantised, lambda n: n.kind in ('weights', 'bias')):
    channels, own = zip(*[(node.channels, node.name) for node in group])
    sizes += [sum(channels)] if is_weights else channels
    names += [None] if is_weights else own
  parts = zip(names, tf.split(stacked, sizes, axis=1))
  return {name: part for name, part in parts if name}
