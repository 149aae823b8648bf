"""Tests of what the comparison refuses before it makes anything."""

import os

import pytest

import compare
from scripts.testing.network import run_script


@pytest.mark.parametrize('argv, message', [
    (['--epochs', 0], 'error: --epochs 0: must be a multiple of 0.5'),
    (['--epochs', 0.7], 'error: --epochs 0.7: must be a multiple of 0.5'),
    (['--epochs', 'nan'], 'error: --epochs nan: must be a multiple of 0.5'),
    (['--variants', 'uniform_9_9'], "invalid choice: 'uniform_9_9'"),
    ([], 'error: no files validation-* in ')])
def test_refusals(tmp_path, argv, message):
  folder = tmp_path / 'records'
  folder.mkdir()
  outcome = run_script(compare.main, ['--dataset', folder, '--work_dir', tmp_path / 'work'] + argv)
  assert outcome.status == 2 and message in outcome.error
  assert not os.path.exists(str(tmp_path / 'work'))
