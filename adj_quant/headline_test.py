"""Tests of what the recipe refuses before it makes anything."""

import os

import pytest

import headline
from testing_network import run_script


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
