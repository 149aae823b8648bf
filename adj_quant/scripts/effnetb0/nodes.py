"""The quantiser nodes of a network: a plain list, made before any tensor."""

import itertools
from typing import NamedTuple, Optional

import numpy as np

from scripts.effnetb0 import architecture as arch

FLOAT = 32  # Bits of what is not quantised.
MIN_BITS, MAX_BITS = 2, 8


class Precision(NamedTuple):
  """Which tensors are quantised, at which bit-width, and which bit-widths are learnt.

  Bits are 2..8: the fixed bit-width or, where it is learnt, the first one. -1: not quantised.
  """
  weight_bits: int = 8
  act_bits: int = 8
  swish_bits: int = 8  # Inputs of swish and of the squeeze-excite sigmoid.
  bias_bits: int = 8
  learnt_weights: bool = False
  learnt_acts: bool = False
  learnt_swish: bool = False
  float_ends: bool = False  # Weights of stem, squeeze-excite and classifier stay float.

  @property
  def learns_bits(self):
    """True where any bit-width is learnt."""
    return self.learnt_weights or self.learnt_acts or self.learnt_swish


class Node(NamedTuple):
  """One quantiser: a name as in thresholds files, and the precision of its channels."""
  name: str
  kind: str  # 'weights', 'bias', 'swish' or 'act'.
  layer: str  # Layer whose kernel, bias, sum or output it quantises.
  channels: int  # 1 for a bias: one range per tensor.
  bits: int  # First or fixed bit-width; FLOAT: not quantised.
  learnt: bool

  @property
  def quantised(self):
    """False for a node that passes its input on."""
    return self.bits != FLOAT


def act_node(layer, architecture):
  """Name of the node that quantises what is read from `layer` (a layer's name).

  The squeeze-excite product is called after its block, a block's output after its last
  operation: the addition where there is a skip, else the projection.
  """
  block, _, part = layer.rpartition('/')
  if part == 'se_2':
    return block + '/output'
  if part == 'project':
    index = int(block.rpartition('_')[2])
    return block + ('/add/output' if architecture.blocks[index].has_skip else '/project/output')
  return layer + '/output'


def nodes(architecture, classes, precision):
  """Every quantiser node but the image's, in the order of computation within each kind.

  Args:
    architecture: an `Architecture`.
    classes: outputs of the classifier.
    precision: a `Precision`.

  Returns:
    List of `Node`: weights, activations, swish inputs, biases. Those with a learnt bit-width
    come first, so that their bits are the head of one flat vector.
  """
  every = []
  for layer in arch.layers(architecture, architecture.image_size, classes):
    at_ends = layer.name in ('Conv', 'output') or layer.name.endswith(('/se_1', '/se_2'))
    floating = precision.float_ends and at_ends
    every.append(_node(layer.name + '/weights', 'weights', layer.name, layer.outputs,
                       -1 if floating else precision.weight_bits, precision.learnt_weights))
    every.append(_node(layer.name + '/bias', 'bias', layer.name, 1, precision.bias_bits, False))
    if layer.nonlinearity in ('swish', 'sigmoid'):
      every.append(_node(layer.name + '/swish_input', 'swish', layer.name, layer.outputs,
                         precision.swish_bits, precision.learnt_swish))
    if layer.name != 'output':
      every.append(_node(act_node(layer.name, architecture), 'act', layer.name, layer.outputs,
                         precision.act_bits, precision.learnt_acts))
  kinds = ('weights', 'act', 'swish', 'bias')
  return sorted(every, key=lambda node: (not node.learnt, kinds.index(node.kind)))


def _node(name, kind, layer, channels, bits, learnt):
  quantised = bits != -1
  return Node(
      name=name, kind=kind, layer=layer, channels=channels, bits=bits if quantised else FLOAT,
      learnt=learnt and quantised)


def find_node(node_list, kind, layer) -> Optional[Node]:
  """The node of that kind at that layer, None where there is none."""
  return next((n for n in node_list if n.kind == kind and n.layer == layer), None)


def places(of_nodes):
  """Dict node name -> slice of its channels in a vector over `of_nodes`."""
  ends = itertools.accumulate(node.channels for node in of_nodes)
  return {node.name: slice(end - node.channels, end) for node, end in zip(of_nodes, ends)}


def first_bits(of_nodes):
  """float32 vector over the channels of `of_nodes`: their fixed or first bit-widths."""
  return np.repeat(np.float32([node.bits for node in of_nodes]),
                   [node.channels for node in of_nodes])
