"""Parameters and operations of a network, counted in its graph."""

import collections
import json
from typing import NamedTuple

from scripts.effnetb0.architecture import layers
from scripts.effnetb0.slim_names import variable_scope
from scripts.errors import UserError
from scripts.model_info import FLOPS_PER_MAC, model_info
from scripts.quant_info import flatten

CONVOLUTIONS = ('Conv2D', 'DepthwiseConv2dNative')


class Count(NamedTuple):
  """Of one convolution."""
  params: int  # Weights, without biases.
  macs: int  # Multiply-accumulates for one image.
  outputs: int  # Channels, each with a bias once batch norm is folded.


def count_layers(graph, scope):
  """Counts the convolutions of a network built for images of a fixed size.

  Args:
    graph: the graph it is in.
    scope: its scope.

  Returns:
    Ordered dict, scope of the layer below `scope` -> `Count`, from the shapes of the ops.
  """
  counts = collections.OrderedDict()
  for op in graph.get_operations():
    if op.type in CONVOLUTIONS and op.name.startswith(scope + '/'):
      kernel, (_, height, width, outputs) = op.inputs[1].shape, op.outputs[0].shape.as_list()
      params = kernel.num_elements()
      layer = op.name[len(scope) + 1:].rpartition('/')[0]
      counts[layer] = Count(params, params * height * width, outputs)
  return counts


def checked_model_info(counts, architecture, image_size, classes):
  """The content of model_info.json, after comparing it with what was counted.

  Args:
    counts: dict scope of a layer -> `Count`.
    architecture, image_size, classes: what the network was built from.

  Returns:
    As `scripts.model_info.model_info`.

  Raises:
    UserError: naming the first layer of which graph and table say different things.
  """
  info = model_info(architecture, image_size, classes)
  expected = flatten(info)
  left = dict(counts)
  for layer in layers(architecture, image_size, classes):
    name = layer.name if layer.name in expected else layer.name + '/total'
    count = left.pop(variable_scope(layer), None)
    counted = count and [count.params, FLOPS_PER_MAC * count.macs]
    if counted != expected[name]:
      raise UserError('layer %s of %s: the graph has %s, the table of architectures %s'
                      % (layer.name, architecture.name, counted, expected[name]))
  biases = sum(count.outputs for count in counts.values())
  if left or biases != info['total_bias']:
    raise UserError('the graph of %s has %d biases, the table of architectures %d; layers that '
                    'only the graph has: %s' % (architecture.name, biases, info['total_bias'],
                                                ', '.join(sorted(left)) or 'none'))
  return info


def model_info_text(info):
  """model_info.json as text, a line for each group of layers."""
  lines = ',\n'.join(' %s: %s' % (json.dumps(name), json.dumps(value))
                     for name, value in info.items())
  return '{\n%s\n}\n' % lines
