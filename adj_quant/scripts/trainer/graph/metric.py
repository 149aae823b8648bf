"""The published MicroNet metric in the graph, with its gradient to the bit-widths.

metric = params / 6.9e6 + ops / 1170e6. `cost.py` counts the same from a quant_info file.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.cost import IMAGE_BITS, METRIC_OPS, METRIC_PARAMS, PUBLISHED_SWISH_OPS, WORD
from scripts.effnetb0 import architecture as arch
from scripts.effnetb0.nodes import FLOAT, MAX_BITS, MIN_BITS, find_node, nodes, places


def published_metric(bits, spec, image_size, gamma):
  """The metric as a function of the bit-widths.

  The value is exact: the mean of max(weight bits, activation bits) over all pairs of channels.
  Its gradient is shared: 1 - gamma of each pair's to the weights, gamma to the activations.

  Args:
    bits: float32 [sum of channels of the quantised nodes], see `student.channel_bits`.
    spec: `student.ModelSpec`.
    image_size: pixels a side.
    gamma: 0..1.

  Returns:
    float32 scalar.
  """
  table = CostTable(spec, image_size)
  slope = tf.constant(table.slopes(gamma), tf.float32)
  linear = tf.reduce_sum(bits * slope)
  value = tf.cast(_exact(tf.cast(tf.stop_gradient(bits), tf.float64), table), tf.float32)
  return value + (linear - tf.stop_gradient(linear))


class CostTable:
  """Constants of the count: where each layer's channels lie and what a bit of them costs."""

  def __init__(self, spec, image_size):
    every = nodes(spec.architecture, spec.classes, spec.precision)
    self.nodes = quantised = [node for node in every if node.quantised]
    self._places = places(quantised)
    self.total = sum(node.channels for node in quantised)
    self.segments = np.repeat(np.arange(len(quantised)), [n.channels for n in quantised])
    self.index = {node.name: i for i, node in enumerate(quantised)}
    self.layers = arch.layers(spec.architecture, image_size, spec.classes)
    self.weights = {layer.name: find_node(every, 'weights', layer.name) for layer in self.layers}
    self.reads = {layer.name: find_node(every, 'act', layer.reads) for layer in self.layers}
    self.constant = 0.0  # Cost of what no bit-width changes.
    self.linear = np.zeros([self.total])  # Cost of a bit of each channel outside max(w, a).
    self._count_parameters(every)
    self._count_swish(every)

  def place(self, node):
    """Slice of a quantised node in the vector of bits."""
    return self._places[node.name]

  def _add(self, node, cost_of_bit):
    """Charges the mean bits of a node."""
    if node.quantised:
      self.linear[self.place(node)] += cost_of_bit / node.channels
    else:
      self.constant += FLOAT * cost_of_bit

  def _count_parameters(self, every):
    for layer in self.layers:
      self._add(self.weights[layer.name], layer.params / WORD / METRIC_PARAMS)
      self._add(find_node(every, 'bias', layer.name), layer.outputs / WORD / METRIC_PARAMS)

  def _count_swish(self, every):
    for layer in self.layers:
      if layer.nonlinearity == 'swish':  # Sigmoids are not in the published count.
        self._add(find_node(every, 'swish', layer.name),
                  PUBLISHED_SWISH_OPS * layer.outputs * layer.pixels / WORD / METRIC_OPS)

  def multiplications(self):
    """For each layer: its weights node, activation node (None: the image), cost of a bit."""
    for layer in self.layers:
      cost = 2.0 * layer.macs / WORD / METRIC_OPS
      yield layer, self.weights[layer.name], self.reads[layer.name], cost

  def pairs(self):
    """Those `multiplications` whose two operands are both quantised."""
    return [each for each in self.multiplications()
            if each[1].quantised and each[2] and each[2].quantised]

  def slopes(self, gamma):
    """d metric / d bits [sum of channels] with the gradient of each pair shared by gamma.

    A pair with an operand that no bit-width narrows (the image, a float tensor) has none.
    """
    slopes = self.linear.copy()
    for _, weights, act, cost in self.pairs():
      slopes[self.place(weights)] += (1.0 - gamma) * cost / weights.channels
      slopes[self.place(act)] += gamma * cost / act.channels
    return slopes


def _exact(bits, table):
  """The metric, float64; E[max(w, a)] = 8 - sum over t < 8 of P(w <= t) P(a <= t)."""
  thresholds = np.arange(MIN_BITS, MAX_BITS, dtype=np.float64)
  constant, pairs, depthwise = table.constant, [], []
  for layer, weights, act, cost in table.multiplications():
    if not weights.quantised or (act and not act.quantised):
      constant += FLOAT * cost
    elif act is None:
      constant += IMAGE_BITS * cost
    elif layer.kind == 'depthwise':
      depthwise.append((table.place(weights), table.place(act), cost / layer.outputs))
    else:
      pairs.append((table.index[weights.name], table.index[act.name], cost))
  metric = constant + tf.reduce_sum(bits * table.linear)
  if pairs:
    below = tf.cast(bits[:, tf.newaxis] <= thresholds, tf.float64)
    below = tf.segment_mean(below, table.segments)
    weights, acts, costs = (np.array(column) for column in zip(*pairs))
    pairs_below = tf.reduce_sum(tf.gather(below, weights) * tf.gather(below, acts), 1)
    metric += tf.reduce_sum(costs * (MAX_BITS - pairs_below))
  if depthwise:
    weights, acts = (_positions(slices) for slices in list(zip(*depthwise))[:2])
    costs = np.repeat([d[2] for d in depthwise], [d[0].stop - d[0].start for d in depthwise])
    metric += tf.reduce_sum(costs * tf.maximum(tf.gather(bits, weights), tf.gather(bits, acts)))
  return metric


def _positions(slices):
  return np.concatenate([np.arange(s.start, s.stop) for s in slices])
