import collections

from scripts.effnetb0.architecture import EFFICIENTNET_B0, EFFICIENTNET_LITE0, block_name, layers
from scripts.effnetb0.nodes import FLOAT, Precision, act_node, find_node, nodes


def by_kind(actual):
  return collections.Counter(node.kind for node in actual)


def test_b0_has_a_node_for_every_tensor_that_a_convolution_reads():
  actual = nodes(EFFICIENTNET_B0, 1000, Precision())
  # 82 kernels and biases; an output for all but the classifier; swish for stem, head, 15 expand,
  # 16 dws, 16 se_1; sigmoid for 16 se_2.
  assert by_kind(actual) == {'weights': 82, 'bias': 82, 'act': 81, 'swish': 65}
  assert len({node.name for node in actual}) == len(actual)
  sums = collections.Counter()
  for node in actual:
    sums[node.kind] += node.channels
  assert sums['weights'] == 31348  # Biases of EfficientNet-B0: one an output channel.
  assert sums['bias'] == 82


def test_names_are_those_of_thresholds_files():
  names = {node.name for node in nodes(EFFICIENTNET_B0, 1000, Precision())}
  assert {'Conv/weights', 'expanded_conv_0/dws/weights', 'Conv/swish_input', 'Conv/output',
          'expanded_conv_3/expand/swish_input', 'expanded_conv_3/expand/output',
          'expanded_conv_3/dws/output', 'expanded_conv_3/se_1/output',
          'expanded_conv_3/se_2/swish_input', 'expanded_conv_3/output',
          'expanded_conv_3/project/output', 'expanded_conv_4/add/output', 'Conv_1/swish_input',
          'Conv_1/output', 'output/weights'} <= names
  assert 'expanded_conv_3/add/output' not in names  # Stride 2: no skip.
  assert 'expanded_conv_4/project/output' not in names  # Quantised after the addition.
  assert 'expanded_conv_0/expand/output' not in names


def test_act_node_is_what_the_next_layer_reads():
  assert act_node('Conv', EFFICIENTNET_B0) == 'Conv/output'
  assert act_node('expanded_conv_2/se_2', EFFICIENTNET_B0) == 'expanded_conv_2/output'
  assert act_node('expanded_conv_2/project', EFFICIENTNET_B0) == 'expanded_conv_2/add/output'
  assert act_node('expanded_conv_1/project', EFFICIENTNET_B0) == 'expanded_conv_1/project/output'


def test_without_squeeze_excite_and_swish():
  actual = nodes(EFFICIENTNET_LITE0, 1000, Precision())
  assert by_kind(actual) == {'weights': 50, 'bias': 50, 'act': 49}


def test_learnt_nodes_come_first():
  actual = nodes(EFFICIENTNET_B0, 1000, Precision(learnt_acts=True))
  learnt = [node.learnt for node in actual]
  assert learnt == sorted(learnt, reverse=True)
  assert {node.kind for node in actual if node.learnt} == {'act'}


def test_precision_reaches_the_nodes():
  precision = Precision(weight_bits=4, act_bits=-1, swish_bits=6, bias_bits=-1)
  for node in nodes(EFFICIENTNET_B0, 1000, precision):
    assert node.bits == {'weights': 4, 'act': FLOAT, 'swish': 6, 'bias': FLOAT}[node.kind]
    assert node.quantised == (node.kind in ('weights', 'swish'))


def test_unquantised_nodes_are_never_learnt():
  precision = Precision(act_bits=-1, learnt_acts=True, learnt_weights=True)
  learnt = {node.kind for node in nodes(EFFICIENTNET_B0, 1000, precision) if node.learnt}
  assert learnt == {'weights'}


def test_float_ends_are_stem_squeeze_excite_and_classifier():
  actual = nodes(EFFICIENTNET_B0, 1000, Precision(float_ends=True))
  floats = {node.layer for node in actual if not node.quantised}
  blocks = range(len(EFFICIENTNET_B0.blocks))
  assert floats == {'Conv', 'output'} | {
      '%s/%s' % (block_name(i), part) for i in blocks for part in ('se_1', 'se_2')}
  assert all(node.kind == 'weights' for node in actual if not node.quantised)


def test_find_node():
  actual = nodes(EFFICIENTNET_B0, 1000, Precision())
  assert find_node(actual, 'act', 'output') is None
  for layer in layers(EFFICIENTNET_B0, 224, 1000):
    assert find_node(actual, 'weights', layer.name).channels == layer.outputs
