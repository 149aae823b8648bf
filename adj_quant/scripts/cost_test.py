"""Counts: by hand, against brute force, against figures of an independent program."""

import json
import os

from hypothesis import given, settings as run_settings, strategies as st
import numpy as np
import pytest

from scripts import cost
from scripts.effnetb0.architecture import (
    Architecture, Block, EFFICIENTNET_B0, EFFICIENTNET_LITE0, layers)
from scripts.paths import ROOT
from scripts.quant_info import LayerBits, Settings, read_quant_info

GOLDEN = os.path.join(ROOT, '..', 'shared', 'golden')

# Stem 3x3 to 2x2 pixels, one block with skip and squeeze-excite to 1 channel, head of 3.
TINY = Architecture('tiny', 4, 2, (Block(1, 3, 1, 2, 2),), 3, se_ratio=0.5)
TINY_SETTINGS = Settings(image_size=4)


def uniform(architecture, weight, act, classes=1000):
  return {layer.name: LayerBits(np.full(layer.outputs, weight),
                                np.full(layer.outputs, act) if layer.name != 'output' else None)
          for layer in layers(architecture, 224, classes)}


def test_mean_max_by_hand():
  # max of the pairs: 3 5 8 and 4 5 8.
  assert cost.mean_max(np.array([2, 4]), np.array([3, 5, 8])) == 33 / 6


BITS = st.lists(st.sampled_from([2, 3, 4, 5, 6, 7, 8, 32]), min_size=1, max_size=20)


@run_settings(deadline=None)
@given(BITS, BITS)
def test_mean_max_is_that_of_all_pairs(weight, act):
  brute_force = np.mean([max(w, a) for w in weight for a in act])
  assert cost.mean_max(np.array(weight), np.array(act)) == pytest.approx(brute_force, rel=1e-14)


def test_pairs_of_each_kind_of_layer():
  bits = uniform(TINY, 4, 6, classes=2)
  bits['Conv'] = LayerBits(np.array([2, 8]), np.array([8, 2]))
  bits['expanded_conv_0/dws'] = LayerBits(np.array([3, 7]), np.array([5, 5]))
  stem, depthwise, reduce = layers(TINY, 4, 2)[:3]
  assert cost.pair_bits(stem, bits) == 8  # Every pair holds the 8 bits of the image.
  assert cost.pair_bits(depthwise, bits) == (8 + 7) / 2  # Channel with channel.
  assert cost.pair_bits(reduce, bits) == 5  # Reads what dws writes: 5 beats the weights' 4.


def test_tiny_network_by_hand():
  # weights: 54 stem, 18 dws, 2 + 2 SE, 4 project, 6 head, 6 classifier = 92; biases 14.
  # multiply-accumulates: 216, 72, 2, 2, 16, 24, 6 = 338; the stem multiplies at 8 bits, all
  # others at max(4, 6). Swish elements: 8 stem, 8 dws, 1 se_1, 12 head = 29.
  bits = uniform(TINY, 4, 6, classes=2)
  multiplications = (216 * 8 + 122 * 6) / 32
  published = cost.published_parts(bits, TINY_SETTINGS, TINY)
  assert published == (92 * 4 / 32, 14 * 8 / 32, 0, multiplications, multiplications,
                       3 * 29 * 8 / 32, 0, 0, 0)
  # 14 weight and 12 activation channels with learnt bits, 8 swish and 2 sigmoid channels at 8.
  official = cost.official_parts(bits, TINY_SETTINGS, TINY)
  assert official == (92 * 4 / 32, 14 * 8 / 32, (26 * 43 + 10 * 40) / 32, multiplications, 338,
                      4 * 29 + 3 * 2, 8 + 12, 8, 8)
  counts = cost.count(bits, TINY_SETTINGS, TINY)
  assert counts.published == (15, 175.5)
  assert counts.official == (15 + 1518 / 32, 572.875)
  assert counts.official_without_quantizer_storage == (15, 572.875)
  assert counts.published.metric == 15 / 6.9e6 + 175.5 / 1170e6


def test_tiny_network_by_layer():
  bits = uniform(TINY, 4, 6, classes=2)
  published = cost.published_by_layer(bits, TINY_SETTINGS, TINY)
  official = cost.official_by_layer(bits, TINY_SETTINGS, TINY)
  assert list(published) == list(official) == [layer.name for layer in layers(TINY, 4, 2)]
  # Depthwise: 18 weights, 2 biases, 72 multiply-accumulates at 6 bits, 8 elements of swish.
  assert published['expanded_conv_0/dws'] == (18 * 4 / 32, 2 * 8 / 32, 0, 72 * 6 / 32,
                                              72 * 6 / 32, 3 * 8 * 8 / 32, 0, 0, 0)
  # Stored: 2 weight and 2 activation channels with learnt bits, 2 swish channels without. Its
  # 8 elements are pooled and scaled.
  assert official['expanded_conv_0/dws'] == (18 * 4 / 32, 2 * 8 / 32, (4 * 43 + 2 * 40) / 32,
                                             72 * 6 / 32, 72, 4 * 8, 8, 8, 0)
  assert official['expanded_conv_0/project'][-3:] == (0, 0, 8)
  assert official['Conv_1'][-3:] == (12, 0, 0)
  assert official['output'].quantizers == 2 * 43 / 32  # Nothing is quantised behind it.


def test_uniform_b0():
  # Figures of COST.md and its independent program.
  for weight, act, published, official in [(8, 8, 0.3596783797473058, 0.6454851600148643),
                                           (3, 5, 0.18101276570048308, 0.49686575878855443)]:
    counts = cost.count(uniform(EFFICIENTNET_B0, weight, act), Settings(), EFFICIENTNET_B0)
    assert counts.published.metric == pytest.approx(published, rel=1e-12)
    assert counts.official.metric == pytest.approx(official, rel=1e-12)


def test_elements_of_b0():
  bits = uniform(EFFICIENTNET_B0, 8, 8)
  swish, sigmoid = 6157916, 8960
  published = cost.published_parts(bits, Settings(), EFFICIENTNET_B0)
  official = cost.official_parts(bits, Settings(), EFFICIENTNET_B0)
  assert published.nonlinearities == 3 * swish * 8 / 32
  assert official.nonlinearities == 4 * swish + 3 * sigmoid


@pytest.mark.skipif(not os.path.isdir(GOLDEN), reason='needs ../shared/golden')
def test_golden():
  with open(os.path.join(GOLDEN, 'cost_expected.json')) as stream:
    expected = json.load(stream)
  for name, counts in expected.items():
    if name.endswith('.json'):
      bits = read_quant_info(os.path.join(GOLDEN, name)).bits
    else:
      bits = uniform(EFFICIENTNET_B0, int(name[-4]), int(name[-1]))  # uniform_w3_a5
    actual = cost.count(bits, Settings(), EFFICIENTNET_B0)
    for kind, values in counts.items():
      for quantity, value in values.items():
        assert getattr(getattr(actual, kind), quantity) == pytest.approx(value, rel=1e-9, abs=0)


def test_only_quantised_channels_store_a_quantiser():
  def stored(settings, bits):
    return cost.official_parts(bits, settings._replace(image_size=4), TINY).quantizers * 32

  bits = uniform(TINY, 4, 6, classes=2)
  assert stored(Settings(learnt_weight_bits=False), bits) == 14 * 40 + 12 * 43 + 10 * 40
  assert stored(Settings(learnt_act_bits=False), bits) == 14 * 43 + 12 * 40 + 10 * 40
  assert stored(Settings(swish_bits=32), bits) == 26 * 43
  learnt = {'Conv': np.array([2, 32]), 'Conv_1': np.array([4, 4, 4])}  # dws, se_1, se_2 stay at 8.
  assert stored(Settings(swish_bits=learnt), bits) == 26 * 43 + 4 * 43 + 5 * 40
  bits['Conv'] = LayerBits(np.array([32, 32]), bits['Conv'].act)
  assert stored(Settings(), bits) == 24 * 43 + 10 * 40


def test_swish_and_bias_bits():
  bits = uniform(TINY, 4, 6, classes=2)
  learnt = {'Conv': [2, 3], 'expanded_conv_0/dws': [4, 4], 'expanded_conv_0/se_1': [5],
            'Conv_1': [6, 7, 8]}
  settings = Settings(image_size=4, swish_bits=learnt, bias_bits=32)
  published = cost.published_parts(bits, settings, TINY)
  assert published.nonlinearities == 3 * (4 * 5 + 4 * 8 + 1 * 5 + 4 * 21) / 32
  assert published.biases == 14


def test_float_layer_costs_float():
  bits = uniform(TINY, 4, 6, classes=2)
  bits['output'] = LayerBits(np.array([32, 32]), None)
  published = cost.published_parts(bits, TINY_SETTINGS, TINY)
  assert published.weights == (86 * 4 + 6 * 32) / 32
  assert published.multiplications == (216 * 8 + 116 * 6 + 6 * 32) / 32


def test_network_without_swish_and_squeeze_excite():
  lite = TINY._replace(se_ratio=None, activation='relu6')
  bits = uniform(lite, 4, 6, classes=2)
  published = cost.published_parts(bits, TINY_SETTINGS, lite)
  official = cost.official_parts(bits, TINY_SETTINGS, lite)
  assert published.nonlinearities == 0
  assert official.nonlinearities == 2 * (8 + 8 + 12)  # Two comparisons an element.
  assert official.quantizers == (11 + 9) * 43 / 32  # No quantiser before a relu6.
  assert (official.pools, official.scaling, official.skips) == (12, 0, 8)
  metric = cost.count(uniform(EFFICIENTNET_LITE0, 8, 8), Settings(), EFFICIENTNET_LITE0)
  assert metric.published.metric < metric.official.metric


def test_classes_and_image_size():
  b0 = cost.published_parts(uniform(EFFICIENTNET_B0, 8, 8), Settings(), EFFICIENTNET_B0)
  more = cost.published_parts(uniform(EFFICIENTNET_B0, 8, 8, classes=1001), Settings(),
                              EFFICIENTNET_B0)
  assert more.weights - b0.weights == 1280 * 8 / 32
  assert more.biases - b0.biases == 8 / 32
  assert more.multiplications - b0.multiplications == 1280 * 8 / 32
  # 8 px instead of 4: four times the pixels everywhere but in squeeze-excite and classifier.
  larger = cost.published_parts(uniform(TINY, 4, 6, classes=2), Settings(image_size=8), TINY)
  assert larger.multiplications == (4 * 216 * 8 + (4 * (72 + 16 + 24) + 2 + 2 + 6) * 6) / 32


def test_mean_bits():
  bits = uniform(TINY, 4, 6, classes=2)
  bits['Conv'] = LayerBits(np.array([2, 8]), np.array([2, 4]))
  means = cost.mean_bits(bits, TINY_SETTINGS, TINY)
  assert means.mean_weight_bits == (2 + 8 + 12 * 4) / 14
  assert means.mean_act_bits == (2 + 4 + 10 * 6) / 12
  assert means.mean_weight_bits_by_params == pytest.approx((54 * 5 + 38 * 4) / 92)
  assert means.mean_weight_bits_by_ops == pytest.approx((216 * 5 + 122 * 4) / 338)
  assert means.mean_act_bits_by_ops == pytest.approx((72 * 3 + 50 * 6) / 122)  # dws reads Conv.
