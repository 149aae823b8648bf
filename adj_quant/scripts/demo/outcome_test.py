"""Tests of the table that a demonstration ends with."""

import json

import numpy as np
import pytest

from scripts.demo import outcome
from scripts.effnetb0.architecture import EFFICIENTNET_B0, layers
from scripts.quant_info import LayerBits, Settings, write_quant_info
from scripts.reporting.results import read_results
from scripts.testing.reports import hits

CLASSES = 10


@pytest.fixture(name='work')
def work_folder(tmp_path):
  """What the stages leave: 8/8 bits, and 3/5 bits after training."""
  settings = Settings(image_size=32)
  for stage, weight, act, correct in (('uniform', 8, 8, 90), ('evaluation', 3, 5, 80)):
    (tmp_path / stage).mkdir()
    bits = {layer.name: LayerBits(
        np.full(layer.outputs, weight),
        None if layer.name == 'output' else np.full(layer.outputs, act))
            for layer in layers(EFFICIENTNET_B0, 32, CLASSES)}
    write_quant_info(str(tmp_path / stage / 'quant_info.json'), bits, settings)
    (tmp_path / stage / 'eval.json').write_text(json.dumps(
        {'top1': float(correct), 'correct': correct, 'images': 100, 'float_top1': 91.0,
         'float_correct': 91, 'hits': hits(correct, 100), 'float_hits': hits(91, 100)}))
  for stage, correct in (('float', 91), ('qat', 89)):
    (tmp_path / stage).mkdir()
    (tmp_path / stage / 'eval.json').write_text(json.dumps({'correct': correct, 'images': 100}))
  return tmp_path


def test_rows(work):
  rows = outcome.rows_of(str(work))
  assert [(r['model'], r['correct'], r['images'], r['mean_weight_bits'], r['mean_act_bits'])
          for r in rows] == [('float', 91, 100, 32.0, 32.0), ('QAT 8/8', 90, 100, 8.0, 8.0),
                             ('adjustable', 80, 100, 3.0, 5.0)]
  for metric in ('published_metric', 'official_metric'):
    assert rows[0][metric] > rows[1][metric] > rows[2][metric] > 0
  # 4 bytes a value: kernels and biases with batch norm folded, a head of 10 classes.
  assert rows[0]['size_bytes'] == 4 * (5267540 - 1281 * (1000 - CLASSES))


def test_rows_can_be_reported_image_by_image(work, tmp_path):
  rows = outcome.rows_of(str(work))
  assert [row['hits'] for row in rows] == [hits(91, 100), hits(90, 100), hits(80, 100)]
  (tmp_path / 'results.json').write_text(json.dumps(rows))
  assert read_results(str(tmp_path / 'results.json')) == rows


def test_slim_is_described(work):
  assert outcome.describe_slim(str(work)) == (
      'slim\'s own graphs on these images: float 91 of 100, quantised 89 of 100')
