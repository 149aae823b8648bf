"""Tests of the first bit-widths: by trying all of them, by their metric, by their ranks."""

import itertools

import numpy as np
import pytest

from scripts.effnetb0.nodes import Precision, places
from scripts.effnetb0.student import ModelSpec
from scripts.errors import UserError
from scripts.testing.network import CLASSES, TINY
from scripts.trainer.bit_report import cost_report
from scripts.trainer.graph.metric import CostTable
from scripts.trainer.start import allocation

SPEC = ModelSpec(TINY, CLASSES, Precision(learnt_weights=True, learnt_acts=True))


def losses_of(seed=0):
  random = np.random.RandomState(seed)
  return {n.name: np.exp(random.uniform(-4, 4, n.channels))
          for n in CostTable(SPEC, 32).nodes if n.learnt}


def metric(bits):
  return cost_report(bits, SPEC, 32).counts.published.metric


def total_loss(losses, bits):
  table = CostTable(SPEC, 32)
  return sum(np.sum(losses[n.name] / (2.0 ** bits[table.place(n)] - 1) ** 2)
             for n in table.nodes if n.learnt)


@pytest.mark.parametrize('share', [0.6, 0.75, 0.9])
def test_metric_is_reached_from_below(share):
  target = share * metric(np.full([sum(n.channels for n in CostTable(SPEC, 32).nodes)], 8.0))
  bits = allocation.allocate(losses_of(), SPEC, 32, target)
  assert 0.97 * target < metric(bits) <= target
  assert set(bits) <= set(range(3, 9))


def test_no_single_change_is_better():
  losses = losses_of(1)
  problem = allocation._Problem(losses, SPEC, 32)
  price = 3e4
  bits = problem.solve(price)
  best = total_loss(losses, bits) + price * metric(bits)
  learnt = sum(n.channels for n in CostTable(SPEC, 32).nodes if n.learnt)
  assert len(set(bits[:learnt])) > 3
  for channel, width in itertools.product(range(0, learnt, 5), range(3, 9)):
    other = bits.copy()
    other[channel] = width
    assert total_loss(losses, other) + price * metric(other) >= best - 1e-6 * abs(best)


def test_one_width_for_each_layer():
  losses, target = losses_of(3), 0.7 * metric(np.full([CostTable(SPEC, 32).total], 8.0))
  bits = allocation.allocate(losses, SPEC, 32, target, by_layer=True)
  by_channel = allocation.allocate(losses, SPEC, 32, target)
  table = CostTable(SPEC, 32)
  widths = [set(bits[table.place(node)]) for node in table.nodes]
  assert all(len(actual) == 1 for actual in widths) and len(set.union(*widths)) > 3
  assert 0.9 * target < metric(bits) <= target
  assert total_loss(losses, by_channel) < total_loss(losses, bits)


def test_what_costs_more_loss_gets_more_bits():
  losses = losses_of(2)
  bits = allocation.allocate(losses, SPEC, 32, 0.7 * metric(np.full([1000], 8.0)[:sum(
      n.channels for n in CostTable(SPEC, 32).nodes)]))
  place = places(CostTable(SPEC, 32).nodes)['expanded_conv_1/expand/weights']
  order = np.argsort(losses['expanded_conv_1/expand/weights'])
  assert np.all(np.diff(bits[place][order]) >= 0)


def test_a_metric_that_no_bits_have_is_refused():
  with pytest.raises(UserError, match='--start_metric 1e-09: the lowest bit-widths have'):
    allocation.allocate(losses_of(), SPEC, 32, 1e-9)


def test_fitted_range_cuts_a_lonely_outlier():
  # At 2 bits the codes of [0, 1] are thirds; a range of half of it has the others on its codes.
  channel = np.float32([0.0, 1 / 6, 2 / 6, 3 / 6] * 50 + [1.0])
  spread = np.float32([0.0, 1 / 3, 2 / 3, 1.0] * 50 + [1.0])
  kernel = np.stack([channel, spread], 1)
  errors = allocation.range_errors(kernel, np.float32([2, 2]), [0.5, 0.75, 1.0])
  np.testing.assert_array_equal(np.argmin(errors, axis=0), [0, 2])
  assert errors[2, 1] < 1e-12 < errors[2, 0]  # All values of the second lie on codes.
