"""Tests of what is reported of a network: bits in the right places, and counts."""

import numpy as np
import pytest

from scripts import cost
from scripts.effnetb0 import architecture as arch
from scripts.effnetb0.nodes import Precision, nodes
from scripts.effnetb0.student import ModelSpec, quantised_nodes
from scripts.quant_info import read_quant_info, write_quant_info
from scripts.testing.network import CLASSES, TINY
from scripts.trainer import bit_report


@pytest.fixture(autouse=True)
def known_architecture(monkeypatch):
  monkeypatch.setitem(arch.ARCHITECTURES, TINY.name, TINY)


def spec_of(**precision):
  return ModelSpec(TINY, CLASSES, Precision(**precision))


def bits_of(spec, special=()):
  """The vector of first bits, with some nodes' replaced: dict node name -> bits."""
  return np.concatenate([np.full([n.channels], dict(special).get(n.name, n.bits), np.float32)
                         for n in quantised_nodes(spec)])


def test_each_layer_gets_the_bits_of_its_nodes():
  spec = spec_of(learnt_weights=True, learnt_acts=True)
  special = {'expanded_conv_1/dws/weights': 3, 'expanded_conv_2/add/output': 5,
             'expanded_conv_0/output': 6, 'Conv_1/output': 7}
  bits, settings = bit_report.quant_info(bits_of(spec, special), spec, 32)
  assert list(bits) == [layer.name for layer in arch.layers(TINY, 32, CLASSES)]
  assert bits['expanded_conv_1/dws'].weight.tolist() == [3] * 8
  assert bits['expanded_conv_2/project'].act.tolist() == [5] * 6  # What the head reads.
  assert bits['expanded_conv_0/se_2'].act.tolist() == [6] * 8  # The scaled product.
  assert bits['Conv_1'].act.tolist() == [7] * 16
  assert bits['output'].act is None
  others = [b.weight for n, b in bits.items() if n != 'expanded_conv_1/dws']
  assert set(np.concatenate(others)) == {8}
  assert settings == ('tiny', 32, 8, 8, True, True)


def test_channels_keep_their_order():
  spec = spec_of(learnt_acts=True, act_bits=4)
  values = bits_of(spec)
  start = 0
  for node in quantised_nodes(spec):
    if node.name == 'expanded_conv_1/expand/output':
      values[start:start + 8] = [2, 3, 4, 5, 6, 7, 8, 2.0000001]
    start += node.channels
  bits, _ = bit_report.quant_info(values, spec, 32)
  assert bits['expanded_conv_1/expand'].act.tolist() == [2, 3, 4, 5, 6, 7, 8, 2]


def test_what_is_not_quantised_has_32_bits():
  spec = spec_of(act_bits=-1, swish_bits=-1, bias_bits=-1, float_ends=True)
  bits, settings = bit_report.quant_info(bits_of(spec), spec, 32)
  assert {name: set(b.weight) for name, b in bits.items()} == {
      name: {32 if name in ('Conv', 'output') or '/se_' in name else 8} for name in bits}
  assert set(np.concatenate([b.act for b in bits.values() if b.act is not None])) == {32}
  assert (settings.swish_bits, settings.bias_bits) == (32, 32)


def test_learnt_swish_bits_are_told_layer_by_layer(tmp_path):
  spec = spec_of(learnt_swish=True)
  values = bits_of(spec, {'Conv/swish_input': 5, 'expanded_conv_1/se_2/swish_input': 3})
  actual = bit_report.cost_report(values, spec, 32)
  assert actual.settings.swish_bits['Conv'].tolist() == [5] * 8
  assert actual.settings.swish_bits['expanded_conv_1/se_2'].tolist() == [3] * 8
  path = str(tmp_path / 'quant_info.json')
  write_quant_info(path, actual.bits, actual.settings)
  info = read_quant_info(path)
  assert cost.count(info.bits, info.settings, TINY) == actual.counts


def test_nodes_and_bits_belong_together():
  every = nodes(TINY, CLASSES, Precision(swish_bits=-1))
  count = sum(node.channels for node in every if node.quantised)
  actual = bit_report.node_bits(np.arange(count), every)
  assert list(actual) == [node.name for node in every]
  quantised = np.concatenate([actual[n.name] for n in every if n.quantised])
  assert quantised.tolist() == list(range(count))
  assert actual['Conv/swish_input'].tolist() == [32] * 8


def test_cost_in_a_line():
  spec = spec_of()
  actual = bit_report.cost_report(bits_of(spec, {'Conv_1/output': 4}), spec, 32)
  by_hand = cost.count(actual.bits, actual.settings, TINY)
  acts = sum(len(b.act) for b in actual.bits.values() if b.act is not None)
  assert actual.counts == by_hand
  assert bit_report.describe_cost(actual) == (
      'metric %.6f (official %.6f), mean bits: weights 8.00, activations %.2f'
      % (by_hand.published.metric, by_hand.official.metric, 8 - 4 * 16 / acts))
