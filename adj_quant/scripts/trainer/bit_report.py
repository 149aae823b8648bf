"""Figures of a quantised network: bits of every channel, both metrics, mean bits."""

import collections
from typing import NamedTuple

import numpy as np

from scripts import cost
from scripts.effnetb0.architecture import layers
from scripts.effnetb0.nodes import FLOAT, find_node, nodes, places
from scripts.quant_info import LayerBits, Settings


class CostReport(NamedTuple):
  """Both counts and mean bits of one set of bit-widths."""
  bits: dict  # Layer -> LayerBits.
  settings: Settings
  counts: cost.Counts
  mean: cost.MeanBits


def cost_report(values, spec, image_size):
  """Counts a network.

  Args:
    values: [sum of channels of the quantised nodes], the bit-widths as `Student.bits` has them.
    spec: `student.ModelSpec`.
    image_size: pixels a side.

  Returns:
    `CostReport`.
  """
  bits, settings = quant_info(values, spec, image_size)
  return CostReport(bits, settings, cost.count(bits, settings, spec.architecture),
                    cost.mean_bits(bits, settings, spec.architecture))


def quant_info(values, spec, image_size):
  """Dict layer -> `LayerBits` and `Settings`, the content of quant_info.json."""
  every = nodes(spec.architecture, spec.classes, spec.precision)
  channels = node_bits(values, every)
  bits, swish = {}, {}
  for layer in layers(spec.architecture, image_size, spec.classes):
    act, swish_node = (find_node(every, kind, layer.name) for kind in ('act', 'swish'))
    bits[layer.name] = LayerBits(channels[layer.name + '/weights'], act and channels[act.name])
    if swish_node:
      swish[layer.name] = channels[swish_node.name]
  precision = spec.precision
  biases = [node.bits for node in every if node.kind == 'bias']
  fixed_swish = FLOAT if precision.swish_bits == -1 else precision.swish_bits
  return bits, Settings(
      architecture=spec.architecture.name, image_size=image_size,
      swish_bits=swish if precision.learnt_swish else fixed_swish, bias_bits=biases[0],
      learnt_weight_bits=precision.learnt_weights, learnt_act_bits=precision.learnt_acts)


def node_bits(values, every):
  """Dict node name -> int [C], 32 where a node is not quantised."""
  place_of = places([node for node in every if node.quantised])
  bits = np.rint(values).astype(np.int64)
  return {node.name: bits[place_of[node.name]] if node.quantised
          else np.full([node.channels], node.bits) for node in every}


def mean_bits_by_kind(values, quantised):
  """Mean bits of all channels of kernels and of activations, without counting the cost.

  Args:
    values: bit-widths as `Student.bits` has them.
    quantised: `Student.nodes`.

  Returns:
    Two floats; 32 where nothing of the kind is quantised.
  """
  sums, channels = collections.Counter(), collections.Counter()
  place_of = places(quantised)
  for node in quantised:
    sums[node.kind] += float(values[place_of[node.name]].sum())
    channels[node.kind] += node.channels
  return tuple(sums[kind] / channels[kind] if channels[kind] else float(FLOAT)
               for kind in ('weights', 'act'))


def describe_cost(report):
  """Both metrics and mean bits in one line."""
  return 'metric %.6f (official %.6f), mean bits: weights %.2f, activations %.2f' % (
      report.counts.published.metric, report.counts.official.metric,
      report.mean.mean_weight_bits, report.mean.mean_act_bits)
