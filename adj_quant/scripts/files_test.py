"""Tests of writing whole files and of reading JSON."""

import errno
import json
import os
import stat
import threading

import pytest

from scripts.errors import UserError
from scripts.files import (
    UNFINISHED, check_replaceable, check_result, check_writable, parse_json, read_file,
    read_json, remove_unfinished, whole_file, write_file, write_new_file)


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


@pytest.mark.parametrize('name', [b'caf\xe9', b'n' * 255])
def test_names_that_are_not_utf8_and_long_ones(tmp_path, name):
  path = os.path.join(os.fsencode(str(tmp_path)), name)
  write_file(os.fsdecode(path), 'folder ' + os.fsdecode(name[:4]))
  with open(path, 'rb') as stream:
    assert stream.read() == b'folder ' + name[:4]  # The bytes that the name has on the disk.
  assert os.listdir(os.fsencode(str(tmp_path))) == [name]


def test_a_pipe_is_written_to_and_stays(tmp_path):
  path = str(tmp_path / 'pipe')
  os.mkfifo(path)
  received = []

  def receive():
    with open(path, 'rb') as stream:
      received.append(stream.read())

  reader = threading.Thread(target=receive)
  reader.start()
  write_file(path, b'content')
  reader.join()
  assert received == [b'content'] and stat.S_ISFIFO(os.stat(path).st_mode)
  assert os.listdir(str(tmp_path)) == ['pipe']


def test_a_file_with_other_content_is_replaced_only_where_told(tmp_path):
  path = str(tmp_path / 'file')
  check_replaceable(path)
  assert write_new_file(path, b'mine')
  assert not write_new_file(path, b'mine')  # It is there already.
  for write in (lambda: write_new_file(path, b'new'), lambda: check_replaceable(path)):
    with pytest.raises(UserError, match='^.*file exists already: --overwrite replaces it$'):
      write()
  assert (tmp_path / 'file').read_bytes() == b'mine'
  check_replaceable(path, overwrite=True)
  assert write_new_file(path, b'new', overwrite=True)
  assert (tmp_path / 'file').read_bytes() == b'new'


@pytest.mark.parametrize('content, replaceable', [
    (None, True), ('', True), ('{"top1": 3}', True), ('{"other": 3}', False), ('{', False)])
def test_an_earlier_result_is_replaced_and_nothing_else(tmp_path, content, replaceable):
  path = tmp_path / 'result.json'
  if content is not None:
    path.write_text(content)

  def read(name):
    if 'top1' not in read_json(name, 'result'):
      raise UserError('no result')

  check_result(str(path), read, overwrite=True)
  if replaceable:
    check_result(str(path), read)
  else:
    with pytest.raises(UserError, match='exists already and is another kind of file: --overwrite'):
      check_result(str(path), read)


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


def test_the_probe_of_a_folder_has_no_name_that_another_process_could_use(tmp_path, monkeypatch):
  names = []
  fsync = os.fsync
  monkeypatch.setattr(os, 'fsync', lambda handle: (names.extend(os.listdir(str(tmp_path))),
                                                   fsync(handle)))
  check_writable(str(tmp_path))
  assert names == []


def test_check_writable_on_a_full_disk(tmp_path, monkeypatch):
  def fail(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(UserError) as error:
    check_writable(str(tmp_path))
  assert str(error.value) == 'cannot write to the folder %s: No space left on device' % tmp_path


def test_read_file_refuses_what_is_larger_or_endless(tmp_path):
  path = str(tmp_path / 'file')
  write_file(path, b'0123456789')
  assert read_file(path, 'table', 10) == b'0123456789'
  with pytest.raises(UserError, match='table .*file is larger than 0 MiB: is it the right file'):
    read_file(path, 'table', 9)
  if os.path.exists('/dev/zero'):
    with pytest.raises(UserError, match='table /dev/zero is larger than 3 MiB'):
      read_file('/dev/zero', 'table', 3 * 2**20)


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


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-32'])
def test_json_of_windows(encoding):
  assert parse_json('{"a": "\xe4"}'.encode(encoding), 'table') == {'a': 'ä'}


@pytest.mark.parametrize('text, fault', [
    ('[' * 10**5 + ']' * 10**5, 'nested too deeply'),
    ('{"a": ' * 10**5 + '1' + '}' * 10**5, 'nested too deeply'),
    ('[' * 100 + ']' * 100, 'nested too deeply'),  # Deep for functions in Python only.
    ('{"a": NaN}', 'NaN is not a finite number'), ('[1e999]', '1e999 is not a finite number'),
    ('{"a": -Infinity}', '-Infinity is not a finite number'),
    ('{"a": 1, "b": 2, "a": 1}', "the key 'a' occurs twice"),
    ('["\\ud800"]', 'surrogates not allowed'),
    ('{"%s": 1}' % ('x' * 5000), 'a key has 5000 characters'),
    ('{"a": 1%s}' % ('0' * 10**6), 'a number has 1000001 digits')])
def test_json_that_no_reader_could_use(text, fault):
  with pytest.raises(UserError) as error:
    parse_json(text.encode(), 'table')
  assert str(error.value).startswith('table is ') and fault in str(error.value)
  assert len(str(error.value)) < 120


def test_json_holds_names_of_files_that_are_not_utf8():
  assert parse_json(json.dumps(['caf\udce9', '\U0001f600']).encode(), 'table', list) == [
      'caf\udce9', '\U0001f600']


def test_json_of_usual_depth_and_size():
  assert parse_json(b'{"a": {"b": [{"c": [-999999999999999999, 1e300]}]}}', 'table') == {
      'a': {'b': [{'c': [-999999999999999999, 1e300]}]}}
