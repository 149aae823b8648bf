"""Tests of what the recipe refuses before it makes anything, and of what it says at its end."""

import json
import os

import pytest

import headline
from scripts.testing.network import run_script


@pytest.mark.parametrize('argv, message', [
    (['--dataset', 'DIR', '--epochs', 0], 'error: --epochs 0: must be a multiple of 1'),
    (['--dataset', 'DIR', '--finetune_epochs', '1.5'], 'finetune_epochs: invalid int value'),
    (['--dataset', 'DIR'], 'error: no files validation-* in '), ([], 'dataset')])
def test_refusals(tmp_path, argv, message):
  folder = tmp_path / 'records'
  folder.mkdir()
  argv = [str(folder) if word == 'DIR' else word for word in argv]
  outcome = run_script(headline.main, argv + ['--work_dir', tmp_path / 'work'])
  assert outcome.status == 2 and message in outcome.error
  assert not os.path.exists(str(tmp_path / 'work'))


def test_result_is_told_beside_the_float_network(tmp_path, capsys):
  path = tmp_path / 'result.json'
  path.write_text(json.dumps({
      'top1': 50.0, 'correct': 2, 'images': 4, 'hits': '1100', 'float_top1': 75.0,
      'float_correct': 3, 'float_hits': '1110', 'published_metric': 0.2, 'official_metric': 0.5,
      'mean_weight_bits': 3.0, 'mean_act_bits': 5.0}))
  headline.report(str(path))
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == ('float 75.00 % (3 of 4), compressed 50.00 % (2 of 4), metric 0.200000 '
                      '(official 0.500000), mean bits: weights 3.00, activations 5.00')
  assert lines[1].startswith('compressed to float: -25.00 points (paired 95 % -')
