"""Tests of model.json."""

import contextlib

import pytest

from scripts.errors import UserError
from scripts.testing.mutations import mutations
from training.model_file import Model, check_same, read_model, write_model

MODEL = Model('efficientnet_b0', 10, 32, 0, True, 0.999)


def test_what_is_written_is_read_beside_any_checkpoint(tmp_path):
  write_model(str(tmp_path), MODEL, optimizer='sgd')
  for path in (tmp_path, tmp_path / 'model.ckpt-7'):
    actual, content = read_model(str(path))
    assert actual == MODEL and content['optimizer'] == 'sgd'
  assert read_model(str(tmp_path / 'elsewhere' / 'x')) is None


@pytest.mark.parametrize('key, value', [('num_classes', True), ('quantized', 1), ('model_name', 3)])
def test_a_wrong_type_is_refused(tmp_path, key, value):
  write_model(str(tmp_path), MODEL._replace(**{key: value}))
  with pytest.raises(UserError, match='model.json: "%s" must be ' % key):
    read_model(str(tmp_path))


def test_mutated_files_are_read_or_refused(tmp_path):
  write_model(str(tmp_path), MODEL, flags={'learning_rate': 1})
  whole = (tmp_path / 'model.json').read_bytes()
  for content in mutations(whole, 100):
    (tmp_path / 'model.json').write_bytes(content)
    with contextlib.suppress(UserError):
      read_model(str(tmp_path))


def test_the_first_difference_is_named():
  check_same({'image_size': 32}, {'image_size': 32, 'else': 1}, 'run')
  with pytest.raises(UserError, match='run holds checkpoints with image_size 32, this run has 64'):
    check_same({'model_name': 'a', 'image_size': 64}, {'model_name': 'a', 'image_size': 32}, 'run')


@pytest.mark.parametrize('start, advice', [
    (None, '--checkpoint_path=logs/ starts it from these checkpoints'),
    ('float', '--checkpoint_path=float can stay')])
def test_a_float_run_and_a_quantised_one_need_two_folders(start, advice):
  with pytest.raises(UserError) as error:
    check_same({'quantized': True}, {'quantized': False}, 'logs/', start)
  assert str(error.value) == (
      'logs/ holds float checkpoints, this run is quantisation-aware: choose another --train_dir, '
      'such as logs_2; ' + advice)
