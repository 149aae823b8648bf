"""The layers of a network: their kinds, bits and shares of both metrics."""

import numpy as np
import pytest

from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.reporting.network import KINDS, bit_counts, kind_of
from scripts.testing.network import CLASSES, TINY
from scripts.testing.reports import tiny_report


def test_kinds():
  names = ['Conv', 'expanded_conv_3/expand', 'expanded_conv_3/dws', 'expanded_conv_3/se_1',
           'expanded_conv_3/se_2', 'expanded_conv_3/project', 'Conv_1', 'output']
  assert [kind_of(name) for name in names] == [
      'stem', 'expand', 'dws', 'se', 'se', 'project', 'head', 'classifier']
  assert {kind_of(name) for name in names} == set(KINDS)


def test_bit_counts():
  assert bit_counts(np.array([2, 8, 3, 2, 32])).tolist() == [2, 1, 0, 0, 0, 0, 1, 1]


def test_layers_in_the_order_of_computation():
  network = tiny_report(weight=3, act=5)
  assert (network.architecture, network.image_size, network.classes) == (TINY.name, 32, CLASSES)
  assert [layer.name for layer in network.layers[:3]] == [
      'Conv', 'expanded_conv_0/dws', 'expanded_conv_0/se_1']
  stem, last = network.layers[0], network.layers[-1]
  assert (stem.params, stem.macs) == (216, 216 * 16 * 16)  # 3x3 kernels 3 -> 8, stride 2.
  assert stem.weight.tolist() == [3] * 8 and stem.act.tolist() == [5] * 8
  assert last.kind == 'classifier' and last.act is None


def test_layers_add_up_to_the_network():
  network = tiny_report(seed=1)
  for name in ('published', 'official'):
    whole = getattr(network, name)
    assert sum(getattr(layer, name).count.metric for layer in network.layers) == pytest.approx(
        whole.count.metric, rel=1e-12)
    assert sum(getattr(layer, name).weights for layer in network.layers) == whole.weights


def test_b0_has_its_82_layers():
  network = tiny_report(8, 8, architecture=EFFICIENTNET_B0, classes=1000)
  assert len(network.layers) == 82
  assert sum(layer.macs for layer in network.layers) == 385814752
  assert network.published.count.metric == pytest.approx(0.359678, abs=1e-6)
