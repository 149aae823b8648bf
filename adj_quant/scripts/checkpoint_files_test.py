"""Files of checkpoints: listed, copied, told about."""

import json

import pytest
import tensorflow.compat.v1 as tf

from scripts import checkpoint_files
from scripts.errors import UserError


def write_files(folder, name, content='x'):
  """Files as those of a checkpoint."""
  for ending in ('.index', '.data-00000-of-00001', '.json'):
    (folder / (name + ending)).write_text(content)


def test_files_of_a_checkpoint_are_those_of_its_step_only(tmp_path):
  write_files(tmp_path, 'c-1')
  write_files(tmp_path, 'c-12')
  (tmp_path / 'c-1.txt').write_text('')
  expected = [str(tmp_path / ('c-1' + e)) for e in ('.data-00000-of-00001', '.index', '.json')]
  assert checkpoint_files.checkpoint_files(str(tmp_path / 'c-1')) == expected
  checkpoint_files.delete_checkpoint(str(tmp_path / 'c-1'))
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      'c-1.txt', 'c-12.data-00000-of-00001', 'c-12.index', 'c-12.json']


LEFTOVERS = ('c-1.data-00000-of-00001.tempstate123', 'c-1.index.tempstate4',
             'checkpoint.tmp' + '0a' * 16)


@pytest.mark.parametrize('stop, caught', [
    (tf.errors.ResourceExhaustedError(None, None, 'No space left on device'), UserError),
    (OSError(28, 'No space left on device'), UserError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_nothing_is_left_of_a_checkpoint_that_was_not_written(tmp_path, stop, caught):
  write_files(tmp_path, 'c-0')
  before = sorted(p.name for p in tmp_path.iterdir())
  with pytest.raises(caught) as error, checkpoint_files.saving(str(tmp_path / 'c-1')):
    for name in LEFTOVERS + ('c-1.data-00000-of-00001',):
      (tmp_path / name).write_text('')
    raise stop
  if caught is UserError:
    assert str(error.value) == 'cannot write checkpoint %s: No space left on device' % (
        tmp_path / 'c-1')
  assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_checkpoint_that_was_written_stays(tmp_path):
  with checkpoint_files.saving(str(tmp_path / 'c-1')):
    write_files(tmp_path, 'c-1')
  assert len(list(tmp_path.iterdir())) == 3


def test_leftovers_of_tensorflow_are_removed_and_nothing_else(tmp_path):
  kept = ('c-1.tempstate', 'checkpoint', 'checkpoint.tmp', 'notes.tempstate1.txt')
  for name in LEFTOVERS + kept:
    (tmp_path / name).write_text('')
  checkpoint_files.remove_temporary(str(tmp_path))
  assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_copy_replaces_a_checkpoint_of_the_same_name(tmp_path):
  (tmp_path / 'best').mkdir()
  write_files(tmp_path / 'best', 'c-1', 'old')
  write_files(tmp_path, 'c-1', json.dumps({'new': 1}))
  copied = checkpoint_files.copy_checkpoint(str(tmp_path / 'c-1'), str(tmp_path / 'best'))
  assert copied == str(tmp_path / 'best' / 'c-1')
  files = sorted((tmp_path / 'best').iterdir())
  assert [f.suffix for f in files] == ['.data-00000-of-00001', '.index', '.json']
  assert {f.read_text() for f in files} == {'{"new": 1}'}


def test_copy_under_another_name(tmp_path):
  write_files(tmp_path, 'c-1')
  copied = checkpoint_files.copy_checkpoint(str(tmp_path / 'c-1'), str(tmp_path / 'best'), 'c.1-1')
  assert copied == str(tmp_path / 'best' / 'c.1-1')
  assert sorted(path.name for path in (tmp_path / 'best').iterdir()) == [
      'c.1-1' + ending for ending in ('.data-00000-of-00001', '.index', '.json')]


def test_copy_to_a_folder_that_cannot_be_made(tmp_path):
  write_files(tmp_path, 'c-1')
  with pytest.raises(UserError, match='cannot write .*c-1.index/best/c-1.json.*Not a directory'):
    checkpoint_files.copy_checkpoint(str(tmp_path / 'c-1'), str(tmp_path / 'c-1.index' / 'best'))


def test_listing_a_missing_folder(tmp_path):
  with pytest.raises(UserError, match='cannot list .*none: No such file'):
    checkpoint_files.checkpoint_files(str(tmp_path / 'none' / 'c-1'))
