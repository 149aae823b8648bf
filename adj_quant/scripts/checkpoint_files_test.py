"""Files of checkpoints: listed, copied, told about."""

import json

import pytest

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
