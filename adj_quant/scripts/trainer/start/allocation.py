"""Bit-widths of least expected loss at a metric, given the cost of noise in each channel.

The loss of a channel with b bits is c / (2**b - 1)**2, see `sensitivity`; what is minimised is the
sum of losses + price * metric, channel by channel with all others fixed until nothing changes, and
the price is found by bisection. Exact for one channel, a local optimum for all of them, because a
multiplication costs the larger width of its two operands.
"""

import collections
import math

import numpy as np

from scripts.effnetb0.nodes import MAX_BITS, first_bits
from scripts.errors import UserError
from scripts.trainer.bit_report import cost_report
from scripts.trainer.graph.metric import CostTable

LOWEST_BITS = 3  # Training makes up for the noise of 3 bits far better than for that of 2.
_WIDTHS = np.arange(LOWEST_BITS, MAX_BITS + 1)
_ROUNDS = 30
_BISECTIONS = 40


def allocate(losses, spec, image_size, metric, by_layer=False):
  """Bit-widths of learnt channels at a metric.

  Args:
    losses: dict node -> [C] of `sensitivity.expected_loss`, for the nodes to decide on, whose bits
      are learnt. All others keep their fixed or first bits.
    spec: `student.ModelSpec`.
    image_size: pixels a side.
    metric: the published metric to reach, from below.
    by_layer: one bit-width for all channels of a node.

  Returns:
    Whole float32 [sum of C of the quantised nodes], from LOWEST_BITS on where they are decided.

  Raises:
    UserError: no bit-widths have so low a metric.
  """
  problem = _Problem(losses, spec, image_size, by_layer)
  low, high = -30.0, 30.0  # Logarithms of the price.
  bits = problem.solve(math.exp(high))
  if problem.metric(bits) > metric:
    raise UserError('--start_metric %g: the lowest bit-widths have the metric %.6f'
                    % (metric, problem.metric(bits)))
  for _ in range(_BISECTIONS):
    middle = (low + high) / 2
    candidate = problem.solve(math.exp(middle))
    if problem.metric(candidate) > metric:
      low = middle
    else:
      high, bits = middle, candidate
  return np.float32(bits)


class _Problem:
  """The loss and the cost of every bit-width of a network."""

  def __init__(self, losses, spec, image_size, by_layer=False):
    self._by_layer = by_layer
    self._table = CostTable(spec, image_size)
    self._learnt = [node for node in self._table.nodes if node.learnt and node.name in losses]
    self._losses = {n.name: losses[n.name][:, np.newaxis] / (2.0 ** _WIDTHS - 1.0) ** 2
                    for n in self._learnt}
    self._products = collections.defaultdict(list)  # Node -> (other node, depthwise, cost).
    for layer, weights, act, cost in self._table.pairs():
      depthwise = layer.kind == 'depthwise'
      self._products[weights.name].append((act, depthwise, cost))
      self._products[act.name].append((weights, depthwise, cost))
    self.metric = lambda bits: cost_report(bits, spec, image_size).counts.published.metric

  def solve(self, price):
    """The bit-widths of a local minimum of loss + price * metric."""
    bits = first_bits(self._table.nodes).astype(np.int64)
    for _ in range(_ROUNDS):
      before = bits.copy()
      for node in self._learnt:
        total = self._losses[node.name] + price * self._costs(node, bits)
        # A channel's cost does not depend on the others of its node, so those of a node add up.
        best = total.sum(axis=0).argmin() if self._by_layer else total.argmin(axis=1)
        bits[self._table.place(node)] = _WIDTHS[best]
      if np.array_equal(bits, before):
        break
    return bits

  def _costs(self, node, bits):
    """What each bit-width of each channel costs, [C, widths], apart from a constant."""
    costs = self._table.linear[self._table.place(node)][:, np.newaxis] * _WIDTHS
    for other, depthwise, cost in self._products[node.name]:
      larger = np.maximum(bits[self._table.place(other)][:, np.newaxis], _WIDTHS)
      costs = costs + cost / node.channels * (larger if depthwise else larger.mean(axis=0))
    return costs


def range_errors(kernel, bits, shares):
  """Squared errors of a kernel whose ranges are a share of the whole ones.

  Args:
    kernel: [..., C] with the channel last.
    bits: [C].
    shares: [S] of 0..1, each of which multiplies both ends of a range.

  Returns:
    [S, C], sums over the values of a channel.
  """
  rows = kernel.reshape(-1, kernel.shape[-1])
  low, high = rows.min(axis=0), rows.max(axis=0)
  errors = []
  for share in shares:
    step = np.maximum(share * (high - low), 1e-7) / (2.0 ** bits - 1.0)
    zero = np.rint(share * low / step)
    codes = np.clip(np.rint(rows / step), zero, zero + 2.0 ** bits - 1.0)
    errors.append(np.square(codes * step - rows).sum(axis=0))
  return np.stack(errors)
