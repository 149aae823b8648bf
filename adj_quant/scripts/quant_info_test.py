"""quant_info.json: what is written is read back, what does not fit is refused by name."""

import json
import os

import numpy as np
import pytest

from scripts import quant_info
from scripts.effnetb0.architecture import EFFICIENTNET_B0, EFFICIENTNET_LITE0, layers
from scripts.errors import UserError
from scripts.quant_info import LayerBits, Settings, read_quant_info, write_quant_info

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(quant_info.__file__)),
                      '..', '..', '..', 'shared', 'golden')


def random_bits(architecture, classes=10):
  rng = np.random.RandomState(1)
  return {layer.name: LayerBits(rng.randint(2, 9, layer.outputs),
                                rng.randint(2, 9, layer.outputs)
                                if layer.name != 'output' else None)
          for layer in layers(architecture, 224, classes)}


@pytest.fixture
def path(tmp_path):
  return str(tmp_path / 'quant_info.json')


@pytest.fixture
def content(path):
  """The JSON object of a valid file."""
  write_quant_info(path, random_bits(EFFICIENTNET_B0))
  with open(path) as stream:
    return json.load(stream)


def refusal(path, content):
  """Message for a file with the given content."""
  with open(path, 'w') as stream:
    json.dump(content, stream)
  with pytest.raises(UserError) as error:
    read_quant_info(path)
  assert path in str(error.value)
  return str(error.value)


def test_flatten_and_nest():
  tree = {'a': {'b': [1], 'c': {'d': 2}}, 'e': 3}
  flat = {'a/b': [1], 'a/c/d': 2, 'e': 3}
  assert quant_info.flatten(tree) == flat
  assert quant_info.nest(flat) == tree


@pytest.mark.parametrize('architecture, settings', [
    (EFFICIENTNET_B0, Settings()),
    (EFFICIENTNET_LITE0, Settings('eff_lite0', image_size=192, bias_bits=32,
                                  learnt_weight_bits=False))])
def test_round_trip(path, architecture, settings):
  bits = random_bits(architecture)
  write_quant_info(path, bits, settings)
  actual = read_quant_info(path)
  assert actual.settings == settings
  assert list(actual.bits) == list(bits)
  for name, expected in bits.items():
    np.testing.assert_array_equal(actual.bits[name].weight, expected.weight)
    np.testing.assert_array_equal(actual.bits[name].act, expected.act)


def test_format(content):
  bits = random_bits(EFFICIENTNET_B0)
  assert content['Conv']['weight'] == bits['Conv'].weight.tolist()
  assert content['expanded_conv_3']['expand']['act'] == bits['expanded_conv_3/expand'].act.tolist()
  assert list(content['output']) == ['weight']
  assert 'settings' not in content


def test_settings_hold_only_what_differs(path):
  write_quant_info(path, random_bits(EFFICIENTNET_B0), Settings(image_size=160))
  with open(path) as stream:
    assert json.load(stream)['settings'] == {'image_size': 160}


def test_float_bits_of_a_session_are_written_whole(path):
  bits = random_bits(EFFICIENTNET_B0)
  bits['Conv'] = LayerBits(np.full(32, 32, np.float32), np.full(32, 5, np.float32))
  write_quant_info(path, bits)
  with open(path) as stream:
    assert '"Conv": {"weight": [32, 32, ' in stream.read()


def test_learnt_swish_bits(path):
  bits = random_bits(EFFICIENTNET_B0)
  swish = {layer.name: np.full(layer.outputs, 4) for layer in layers(EFFICIENTNET_B0, 224, 10)
           if layer.nonlinearity == 'swish'}
  assert len(swish) == 15 + 16 + 16 + 2  # expand, dws, se_1, stem and head
  write_quant_info(path, bits, Settings(swish_bits=swish))
  actual = read_quant_info(path).settings.swish_bits
  assert sorted(actual) == sorted(swish)
  assert actual['Conv'].tolist() == [4] * 32
  del swish['Conv_1']
  with pytest.raises(UserError, match='layer Conv_1: "swish_bits".* is missing'):
    write_quant_info(path, bits, Settings(swish_bits=swish))
  swish['Conv_1'] = [4] * 1280
  swish['expanded_conv_0/project'] = [4] * 16
  with pytest.raises(UserError, match='expanded_conv_0/project is not a layer of eff_b0 with'):
    write_quant_info(path, bits, Settings(swish_bits=swish))


def of_2019(content):
  """A file's content as the repository of 2019 wrote it."""
  floats = {name: [float(bits) for bits in values]
            for name, values in quant_info.flatten(content).items()}
  floats.update({'output/act': 0.0, 'expanded_conv_0/expand/weight': 0.0,
                 'expanded_conv_0/expand/act': 0.0})
  return quant_info.nest(floats)


def read(path, content):
  with open(path, 'w') as stream:
    json.dump(content, stream)
  return read_quant_info(path)


def test_floats_and_placeholders_of_2019(path, content):
  expected = read_quant_info(path)
  bits, settings = read(path, of_2019(content))
  assert settings == expected.settings == Settings()
  for name, layer_bits in expected.bits.items():
    np.testing.assert_equal(bits[name], layer_bits)


def test_one_number_for_all_channels_as_in_2019(path, content):
  scalars = {name: 4 if name.endswith('weight') else 8.0 for name in quant_info.flatten(content)}
  bits, settings = read(path, quant_info.nest(scalars))
  assert bits['Conv'].weight.tolist() == [4] * 32 and bits['Conv'].act.tolist() == [8] * 32
  assert bits['output'].weight.tolist() == [4] * 1000
  assert settings == Settings(learnt_weight_bits=False, learnt_act_bits=False)
  scalars['Conv/weight'] = [2.0] * 32  # The bits of this layer were trained.
  assert read(path, quant_info.nest(scalars)).settings == Settings(learnt_act_bits=False)


@pytest.mark.parametrize('name, value, message', [
    ('expanded_conv_0/expand/weight', 4.0, 'expanded_conv_0/expand/weight is not part of eff_b0'),
    ('output/act', 8.0, 'output/act is not part of eff_b0'),
    ('Conv/weight', 0.0, 'layer Conv: "weight" holds 0.0, but bits are whole numbers'),
    ('Conv/weight', True, 'layer Conv: "weight", a list of the bits of every channel, is missing')])
def test_refuses_changed_files_of_2019(path, content, name, value, message):
  changed = dict(quant_info.flatten(of_2019(content)), **{name: value})
  assert message in refusal(path, quant_info.nest(changed))


def test_refuses_missing_layer(path, content):
  del content['expanded_conv_3']['expand']
  assert 'layer expanded_conv_3/expand: "weight"' in refusal(path, content)


def test_refuses_missing_classifier(path, content):
  content['output'] = {}
  assert 'layer output: needs "weight"' in refusal(path, content)


def test_refuses_wrong_length(path, content):
  content['Conv']['act'].pop()
  assert 'layer Conv: "act" has 31 channels, expected 32' in refusal(path, content)


@pytest.mark.parametrize('bits', [1, 9, 16, 4.5, -4, True, None, '4', [4]])
def test_refuses_bits(path, content, bits):
  content['Conv_1']['weight'][7] = bits
  assert 'layer Conv_1: "weight" holds %r' % (bits,) in refusal(path, content)


def test_refuses_to_write_bad_bits_and_keeps_the_old_file(path, content):
  bits = random_bits(EFFICIENTNET_B0)
  bits['Conv'] = LayerBits(bits['Conv'].weight + 0.5, bits['Conv'].act)
  with pytest.raises(UserError, match='layer Conv: "weight" holds'):
    write_quant_info(path, bits)
  with open(path) as stream:
    assert json.load(stream) == content


@pytest.mark.parametrize('where', ['expanded_conv_99', 'Conv_2'])
def test_refuses_unknown_layer(path, content, where):
  content[where] = {'weight': [4]}
  assert '%s/weight is not part of eff_b0' % where in refusal(path, content)


@pytest.mark.parametrize('settings, message', [
    ({'archtecture': 'eff_b0'},
     'settings: "archtecture" is unknown; known are architecture, image_size'),
    ({'architecture': 'vgg'}, 'settings: "architecture" must be one of eff_b0, eff_b1'),
    ({'image_size': 0}, '"image_size" must be a whole number from 1 to 4096, not 0'),
    ({'swish_bits': 1},
     '"swish_bits" must be a whole number from 2 to 32, or the bits of each layer, not 1'),
    ({'bias_bits': 8.5}, '"bias_bits" must be a whole number from 2 to 32, not 8.5'),
    ({'learnt_act_bits': 1}, '"learnt_act_bits" must be true or false, not 1'),
    ([8], 'settings must be an object')])
def test_refuses_settings(path, content, settings, message):
  content['settings'] = settings
  assert message in refusal(path, content)


@pytest.mark.skipif(not os.path.isdir(GOLDEN), reason='needs ../shared/golden')
def test_golden_file_is_written_back_unchanged(path):
  golden = os.path.join(GOLDEN, 'quant_info_a.json')
  write_quant_info(path, *read_quant_info(golden))
  with open(path) as actual, open(golden) as expected:
    assert json.load(actual) == json.load(expected)
