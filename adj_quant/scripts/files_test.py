"""Tests of writing whole files and of reading JSON."""

import errno
import os
import stat

import pytest

from scripts.errors import UserError
from scripts.files import (
    UNFINISHED, check_writable, read_json, remove_unfinished, whole_file, write_file)


@pytest.mark.parametrize('content, expected', [('ä\n', b'\xc3\xa4\n'), (b'\x00\xff', b'\x00\xff')])
def test_write_text_and_bytes_into_a_new_folder(tmp_path, content, expected):
  path = tmp_path / 'a' / 'b' / 'file'
  write_file(str(path), content)
  assert path.read_bytes() == expected
  assert os.listdir(str(path.parent)) == ['file']


def test_write_replaces_and_needs_no_folder_in_the_path(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write_file('file', 'a long first version')
  write_file('file', 'second')
  assert (tmp_path / 'file').read_text() == 'second'


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
  before = os.umask(0o027)
  try:
    write_file(str(tmp_path / 'file'), '')
    assert stat.S_IMODE((tmp_path / 'file').stat().st_mode) == 0o640
    assert os.umask(0o027) == 0o027
  finally:
    os.umask(before)


@pytest.mark.parametrize('function', ['fsync', 'replace'])
@pytest.mark.parametrize('old', [None, 'old'])
def test_full_disk_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, function, old):
  path = tmp_path / 'file'
  if old:
    path.write_text(old)

  def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, function, fail)
  with pytest.raises(UserError) as error:
    write_file(str(path), 'new')
  assert str(error.value) == 'cannot write %s: No space left on device' % path
  assert [p.read_text() for p in tmp_path.iterdir()] == ([old] if old else [])


def test_a_file_is_not_there_before_it_is_whole(tmp_path):
  path = tmp_path / 'file'
  path.write_text('old')
  with whole_file(str(path)) as stream:
    stream.write(b'new')
    stream.flush()
    name, = [n for n in os.listdir(str(tmp_path)) if n != 'file']
    assert name.startswith(UNFINISHED) and path.read_text() == 'old'
  assert path.read_text() == 'new' and os.listdir(str(tmp_path)) == ['file']


@pytest.mark.parametrize('stop', [KeyboardInterrupt, SystemExit, UserError])
def test_nothing_is_left_by_what_ends_a_write(tmp_path, stop):
  with pytest.raises(stop), whole_file(str(tmp_path / 'file')) as stream:
    stream.write(b'half')
    raise stop
  assert os.listdir(str(tmp_path)) == []


def test_what_killed_writes_left_is_removed(tmp_path):
  for name in ('file', '.hidden', UNFINISHED + 'file'):
    (tmp_path / name).write_text('')
  (tmp_path / (UNFINISHED + 'folder')).mkdir()
  (tmp_path / (UNFINISHED + 'folder') / 'x').write_text('')
  remove_unfinished(str(tmp_path))
  assert sorted(os.listdir(str(tmp_path))) == ['.hidden', 'file']


@pytest.mark.parametrize('below', ['x', 'below/x'])
def test_folder_below_a_file(tmp_path, below):
  (tmp_path / 'file').write_text('')
  path = tmp_path / 'file' / below
  with pytest.raises(UserError) as error:
    write_file(str(path), 'new')
  assert str(error.value) == 'cannot write %s: Not a directory' % path


def test_path_of_a_folder(tmp_path):
  (tmp_path / 'folder').mkdir()
  with pytest.raises(UserError, match='cannot write .*folder: Is a directory'):
    write_file(str(tmp_path / 'folder'), 'new')
  assert os.listdir(str(tmp_path)) == ['folder']


def test_check_writable(tmp_path):
  check_writable(str(tmp_path / 'new' / 'folder'))
  assert os.listdir(str(tmp_path / 'new' / 'folder')) == []
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write .*file/folder.*Not a directory'):
    check_writable(str(tmp_path / 'file' / 'folder'))


def test_read_json(tmp_path):
  path = tmp_path / 'file.json'
  path.write_bytes(b'{"a": [1, "\xc3\xa4"]}')
  assert read_json(str(path), 'table') == {'a': [1, 'ä']}
  with pytest.raises(UserError, match='^table .*file.json must hold one JSON list$'):
    read_json(str(path), 'table', list)
  path.write_text('[1]')
  assert read_json(str(path), 'table', list) == [1]


@pytest.mark.parametrize('content, fault', [
    (None, 'cannot read table %s: No such file or directory'),
    (b'', 'table %s is not valid JSON: '),
    (b'{"a": ', 'table %s is not valid JSON: '),
    (b'\xff{}', 'table %s is not valid JSON: '),
    (b'[1]', 'table %s must hold one JSON object'),
])
def test_read_json_refuses(tmp_path, content, fault):
  path = tmp_path / 'file.json'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError) as error:
    read_json(str(path), 'table')
  assert str(error.value).startswith(fault % path)
