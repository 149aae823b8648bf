"""model_info.json: the shipped file, files of either convention, refusals by name of the layer."""

import json
import os

import pytest

from scripts import model_info as module
from scripts.effnetb0.architecture import EFFICIENTNET_B0, EFFICIENTNET_LITE0, layers
from scripts.errors import UserError
from scripts.model_info import model_info, read_model_info
from scripts.quant_info import flatten, nest

SHIPPED = os.path.join(os.path.dirname(os.path.abspath(module.__file__)), '..', 'model_info.json')


@pytest.fixture
def read(tmp_path):
  """Function from the content of a file to what is read from it."""
  def write_and_read(content, architecture=EFFICIENTNET_B0):
    path = tmp_path / 'model_info.json'
    path.write_text(json.dumps(content))
    return read_model_info(str(path), architecture)
  return write_and_read


def test_shipped_file():
  with open(SHIPPED) as stream:
    assert json.load(stream) == model_info(EFFICIENTNET_B0, 224, 1000)
  assert read_model_info(SHIPPED, EFFICIENTNET_B0) == (224, 1000)


def test_totals_of_b0():
  info = model_info(EFFICIENTNET_B0, 224, 1000)
  assert info.pop('total_bias') == 31348
  totals = [layer['total'] for layer in info.values()]
  assert sum(params for params, _ in totals) == 5267540 - 31348
  assert sum(flops for _, flops in totals) == 2 * 385814752
  assert info['Conv'] == {'total': [3 * 3 * 3 * 32, 2 * 3 * 3 * 3 * 32 * 112 * 112]}
  assert list(info['expanded_conv_0']) == ['dws', 'se_1', 'se_2', 'project', 'total']
  assert list(info['expanded_conv_1']) == ['expand', 'dws', 'se_1', 'se_2', 'project', 'total']


@pytest.mark.parametrize('image_size, classes', [(224, 1001), (32, 10), (380, 1)])
def test_size_and_classes_are_found(read, image_size, classes):
  assert read(model_info(EFFICIENTNET_B0, image_size, classes)) == (image_size, classes)


def test_odd_size_counts_as_the_next_even_one(read):
  assert read(model_info(EFFICIENTNET_B0, 223, 5)) == (224, 5)


def test_architecture_without_squeeze_excite(read):
  info = model_info(EFFICIENTNET_LITE0, 224, 1000)
  assert 'se_1' not in info['expanded_conv_1']
  assert read(info, EFFICIENTNET_LITE0) == (224, 1000)


def test_one_flop_a_multiply_accumulate_and_floats(read):
  flat = flatten(model_info(EFFICIENTNET_B0, 160, 1000))
  flat = {name: [float(value[0]), value[1] / 2] if name != 'total_bias' else float(value)
          for name, value in flat.items()}
  assert read(nest(flat)) == (160, 1000)


def test_other_names_of_block_0(read):
  info = model_info(EFFICIENTNET_B0, 224, 1000)
  info['expanded_conv'] = dict(info.pop('expanded_conv_0'), expand=[0, 0])
  assert read(info) == (224, 1000)


def of_2019(image_size=224, classes=1001, counted_biases=True, norm_params=0, factor=1):
  """The content of a file of the method's repository of 2019, computed layer by layer."""
  content, folded = {}, 0
  for layer in layers(EFFICIENTNET_B0, image_size, classes):
    group, _, part = layer.name.partition('/')
    name = {'expanded_conv_0': 'expanded_conv', 'output': 'Logits'}.get(group, group)
    pair = content.setdefault(name, [{}, {}])
    has_bias = part in ('se_1', 'se_2') or group == 'output'
    folded += 0 if has_bias else layer.outputs
    params = layer.params + layer.outputs * (counted_biases if has_bias else norm_params)
    flops = factor * float(layer.macs)
    if group == 'output' and classes == 1001:
      flops = factor * 1280000.0  # As the original has it, without the background class.
    for counts, number in zip(pair, (params, flops)):
      if part:
        counts[part] = number
      counts['total'] = counts.get('total', 0) + number
  for counts in content['expanded_conv']:
    counts['expand'] = 0
  return dict(content, total_bias=folded)


def test_the_shipped_file_of_2019(read):
  content = of_2019()
  # Numbers of adj_quant/model_info.json in github.com/tilmto/Adjustable-Quantization-MicroNet.
  assert content['Conv'] == [{'total': 864}, {'total': 10838016.0}]
  assert content['expanded_conv'] == [
      {'expand': 0, 'dws': 288, 'se_1': 264, 'se_2': 288, 'project': 512, 'total': 1352},
      {'expand': 0, 'dws': 3612672.0, 'se_1': 256.0, 'se_2': 256.0, 'project': 6422528.0,
       'total': 10035712.0}]
  assert content['expanded_conv_15'][0]['total'] == 711984
  assert content['Logits'] == [{'total': 1282281}, {'total': 1280000.0}]
  assert content['total_bias'] == 21008
  assert read(content) == (224, 1001)


@pytest.mark.parametrize('content, expected', [
    (of_2019(160, 10), (160, 10)),
    (of_2019(counted_biases=False, classes=1000), (224, 1000)),
    (of_2019(factor=2), (224, 1001)),
    (of_2019(norm_params=2), (224, 1001)),
    ({key: value for key, value in of_2019(norm_params=2).items() if key != 'total_bias'},
     (224, 1001))])  # slim/nets/mobilenet/model_info.json of that repository.
def test_variants_of_2019(read, content, expected):
  assert read(content) == expected


@pytest.mark.parametrize('change, message', [
    ({'Logits': [{'total': 1282282}, {'total': 1280000.0}]}, 'layer output has (1282282, 1280000)'),
    ({'Conv_1': [{'total': 409600}]}, 'layer Conv_1 must be {"total": [params, flops], ...}, or'),
    ({'Conv_1': [{'total': 1}, {'totals': 1}]}, 'layer Conv_1 must be {"total"'),
    ({'Conv_1': [{'total': '1'}, {'total': 1}]}, 'layer Conv_1 must be [params, flops] in whole'),
    ({'output': {'total': [1, 2]}}, 'Logits and output are one layer'),
    ({'total_bias': 30348}, 'total_bias has 30348, expected 31349, or 21008 without')])
def test_refuses_changed_files_of_2019(read, change, message):
  with pytest.raises(UserError) as error:
    read(dict(of_2019(), **change))
  assert message in str(error.value)


def test_a_file_that_counts_its_biases_only_in_part(read):
  content = of_2019()
  content['expanded_conv_3'][0]['se_1'] -= 10
  with pytest.raises(UserError, match='layer expanded_conv_3/se_1 has .860, 864.'):
    read(content)


@pytest.mark.parametrize('name, value, message', [
    ('Conv/total', [864, 21676033], 'layer Conv has (864, 21676033), which is not a stem of '),
    ('Conv/total', [864, 0], 'layer Conv has (864, 0)'),
    ('expanded_conv_3/dws', [3600, 5644801],
     'layer expanded_conv_3/dws has (3600, 5644801), expected (3600, 5644800)'),
    ('expanded_conv_3/dws', [3600, 2822400], 'layer expanded_conv_3/dws'),
    ('expanded_conv_5/total', [1, 2], 'layer expanded_conv_5/total has (1, 2)'),
    ('output/total', [1280001, 2560000], 'layer output has (1280001, 2560000)'),
    ('output/total', [0, 0], 'layer output is missing or has no class'),
    ('Conv_1/total', [409600.5, 40140800], 'layer Conv_1 must be [params, flops]'),
    ('Conv_1/total', 409600, 'layer Conv_1 must be [params, flops]'),
    ('Conv_1/total', [1e300, -1], 'layer Conv_1 must be [params, flops]'),
    ('total_bias', 31347, 'total_bias has 31347, expected 31348'),
    ('expanded_conv_16/dws', [1, 2], 'layer expanded_conv_16/dws is not part of eff_b0')])
def test_refuses(read, name, value, message):
  flat = dict(flatten(model_info(EFFICIENTNET_B0, 224, 1000)), **{name: value})
  with pytest.raises(UserError) as error:
    read(nest(flat))
  assert message in str(error.value)


@pytest.mark.parametrize('name', [
    'Conv/total', 'Conv_1/total', 'expanded_conv_3/se_1', 'total_bias'])
def test_refuses_missing_layer(read, name):
  flat = flatten(model_info(EFFICIENTNET_B0, 224, 1000))
  del flat[name]
  with pytest.raises(UserError) as error:
    read(nest(flat))
  assert '%s is missing' % name.replace('/total', '') in str(error.value)


def test_refuses_model_info_of_another_architecture(read):
  with pytest.raises(UserError, match='layer expanded_conv_0/se_1 is not part of eff_lite0'):
    read(model_info(EFFICIENTNET_B0, 224, 1000), EFFICIENTNET_LITE0)
