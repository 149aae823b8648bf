import pytest

from scripts.effnetb0 import architecture as arch


def test_b0_has_the_published_size():
  # Tan and Le 2019, table 2: 5.3 M parameters, 0.39 B multiply-accumulates; batch norm folded.
  actual = arch.layers(arch.EFFICIENTNET_B0, 224, 1000)
  assert len(actual) == 82
  assert sum(layer.params + layer.outputs for layer in actual) == 5267540
  assert sum(layer.macs for layer in actual) == 385814752
  kinds = [layer.kind for layer in actual]
  assert [kinds.count(kind) for kind in ('conv', 'depthwise', 'classifier')] == [65, 16, 1]


def test_b0_blocks():
  blocks = arch.EFFICIENTNET_B0.blocks
  assert len(blocks) == 16
  assert blocks[0] == arch.Block(1, 3, 1, 32, 16)
  assert blocks[3] == arch.Block(6, 5, 2, 24, 40)
  assert blocks[15] == arch.Block(6, 3, 1, 192, 320)
  assert [i for i, b in enumerate(blocks) if b.has_skip] == [2, 4, 6, 7, 9, 10, 12, 13, 14]


@pytest.mark.parametrize('architecture, image_size, params', [
    # Parameters with batch norm as in the published models: 7,794,184 (B1) and 4,652,008 (Lite0).
    (arch.EFFICIENTNET_B1, 240, 7794184), (arch.EFFICIENTNET_LITE0, 224, 4652008)])
def test_relatives_have_their_published_parameters(architecture, image_size, params):
  actual = arch.layers(architecture, image_size, 1000)
  # A batch norm has scale and shift where a folded convolution has a bias.
  normed = sum(layer.outputs for layer in actual
               if not layer.name.endswith(('/se_1', '/se_2', 'output')))
  assert sum(layer.params + layer.outputs for layer in actual) + normed == params


def test_each_layer_reads_what_a_layer_before_it_wrote():
  for architecture in arch.ARCHITECTURES.values():
    channels = {'image': 3}
    for layer in arch.layers(architecture, 224, 10):
      assert channels[layer.reads] == layer.inputs, layer.name
      channels[layer.name] = layer.outputs


def test_shapes_and_axes():
  actual = {layer.name: layer for layer in arch.layers(arch.EFFICIENTNET_B0, 224, 1001)}
  assert actual['expanded_conv_3/dws'].weights_shape == (5, 5, 144, 1)
  assert actual['expanded_conv_3/dws'].channel_axis == 2
  assert actual['output'].weights_shape == (1, 1, 1280, 1001)
  assert actual['Conv'].weights_shape == (3, 3, 3, 32) and actual['Conv'].channel_axis == 3
  assert actual['expanded_conv_0/se_1'].outputs == 8
  assert actual['expanded_conv_0/dws'].file_name == 'expanded_conv/dws'
  assert actual['expanded_conv_10/dws'].file_name == 'expanded_conv_10/dws'


def test_same_padding_rounds_sizes_up():
  pixels = {layer.name: layer.pixels for layer in arch.layers(arch.EFFICIENTNET_B0, 33, 10)}
  assert pixels['Conv'] == 17 * 17
  assert pixels['expanded_conv_1/dws'] == 9 * 9
  assert pixels['Conv_1'] == 2 * 2


@pytest.mark.parametrize('channels, width, expected', [
    (32, 1.0, 32), (32, 1.1, 32), (16, 1.1, 16), (80, 1.1, 88), (24, 0.5, 16), (320, 1.4, 448)])
def test_round_channels(channels, width, expected):
  assert arch.round_channels(channels, width) == expected


def test_nonlinearities():
  def count(architecture):
    kinds = [layer.nonlinearity for layer in arch.layers(architecture, 224, 10)]
    return {kind: kinds.count(kind) for kind in set(kinds)}

  assert count(arch.EFFICIENTNET_B0) == {'swish': 49, 'sigmoid': 16, None: 17}
  assert count(arch.EFFICIENTNET_LITE0) == {'relu6': 33, None: 17}
