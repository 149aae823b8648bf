"""The command line of cost.py."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import cost as script
from scripts import cost
from scripts.effnetb0.architecture import EFFICIENTNET_B0, layers
from scripts.model_info import model_info
from scripts.quant_info import LayerBits, Settings, write_quant_info

FOLDER = os.path.dirname(os.path.abspath(script.__file__))


def uniform(architecture, weight, act, classes=1000):
  return {layer.name: LayerBits(np.full(layer.outputs, weight),
                                np.full(layer.outputs, act) if layer.name != 'output' else None)
          for layer in layers(architecture, 224, classes)}


@pytest.fixture
def quant_info(tmp_path):
  path = str(tmp_path / 'quant_info.json')
  write_quant_info(path, uniform(EFFICIENTNET_B0, 3, 5))
  return path


def test_json_without_tensorflow(quant_info):
  command = ('import sys, cost; status = cost.main(sys.argv[1:]); '
             'sys.exit(status or "tensorflow" in sys.modules)')
  output = subprocess.check_output([sys.executable, '-c', command, quant_info, '--json'],
                                   cwd=FOLDER)
  actual = json.loads(output.decode())
  assert actual['published']['metric'] == pytest.approx(0.18101276570048308, rel=1e-9)
  assert actual['official']['params'] == 617309
  assert actual['official_without_quantizer_storage']['ops'] == 476658803
  assert (actual['mean_weight_bits'], actual['mean_act_bits']) == (3, 5)
  assert (actual['classes'], actual['image_size'], actual['architecture']) == (1000, 224, 'eff_b0')


def test_text_shows_both_counts_side_by_side(quant_info, capsys):
  assert script.main([quant_info]) == 0
  lines = {tuple(line.split()) for line in capsys.readouterr().out.splitlines()}
  assert ('metric', '0.181013', '0.496866') in lines
  assert ('quantisers', '0.0', '118,579.0') in lines
  assert ('per', 'channel', '3.0000', '5.0000') in lines


def test_model_info_gives_the_image_size(quant_info, tmp_path, capsys):
  path = tmp_path / 'model_info.json'
  path.write_text(json.dumps(model_info(EFFICIENTNET_B0, 128, 1000)))
  assert script.main([quant_info, '--json', '--model_info', str(path)]) == 0
  actual = json.loads(capsys.readouterr().out)
  expected = cost.count(uniform(EFFICIENTNET_B0, 3, 5), Settings(image_size=128), EFFICIENTNET_B0)
  assert actual['image_size'] == 128
  assert actual['official']['ops'] == expected.official.ops


@pytest.mark.parametrize('classes', [999, 1002])
def test_refuses_model_info_of_other_classes(quant_info, tmp_path, capsys, classes):
  path = tmp_path / 'model_info.json'
  path.write_text(json.dumps(model_info(EFFICIENTNET_B0, 224, classes)))
  assert script.main([quant_info, '--model_info', str(path)]) == 2
  error = capsys.readouterr().err
  assert 'layer output has 1000 channels' in error and 'but %d in' % classes in error


def test_model_info_with_a_background_class(quant_info, tmp_path, capsys):
  path = tmp_path / 'model_info.json'
  path.write_text(json.dumps(model_info(EFFICIENTNET_B0, 224, 1001)))
  assert script.main([quant_info, '--json', '--model_info', str(path)]) == 0
  out, err = capsys.readouterr()
  assert json.loads(out)['published']['metric'] == pytest.approx(0.18101276570048308, rel=1e-9)
  assert err == 'note: %s counts 1001 classes, %s has 1000: counting 1000\n' % (path, quant_info)


def test_refuses_missing_file(tmp_path, capsys):
  assert script.main([str(tmp_path / 'none.json')]) == 2
  assert capsys.readouterr().err.startswith('error: cannot read quant_info file')
