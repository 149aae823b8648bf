import collections
import contextlib
import os
import shutil
import stat
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime, stack
from scripts.errors import UserError
from scripts.ops import choice, compilation, fused
from scripts.paths import ADJ_QUANT


@pytest.fixture(name='nothing_built')
def empty_folder(tmp_path, monkeypatch):
  """A project in which no fused ops were compiled."""
  monkeypatch.setattr(compilation, 'FOLDER', str(tmp_path / 'ops'))
  return tmp_path


def compiler_that(folder, monkeypatch, text):
  """Puts a shell script in the place of the compiler."""
  path = folder / 'compiler'
  path.write_text('#!/bin/bash\n' + text)
  path.chmod(stat.S_IRWXU)
  monkeypatch.setenv('CXX', str(path))


def test_without_a_compiler_nothing_fails(nothing_built, monkeypatch, capsys):
  monkeypatch.setenv('CXX', 'no-such-compiler')
  assert compilation.compile_missing() == 0
  assert capsys.readouterr().out == (
      'fused ops: no C++ compiler was found; TensorFlow\'s own ops are used (slower)\n')
  assert not fused.available()


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(nothing_built, monkeypatch, capsys):
  compiler_that(nothing_built, monkeypatch, 'echo "no such header" >&2; exit 1')
  assert compilation.compile_missing() == 0
  output = capsys.readouterr().out
  assert 'no such header' in output and 'TensorFlow\'s own ops are used' in output
  assert os.listdir(compilation.FOLDER) == []


def test_a_compiled_library_is_not_compiled_again(nothing_built, monkeypatch, capsys):
  calls = nothing_built / 'calls'
  compiler_that(nothing_built, monkeypatch,
                'echo >>%s; while [ "$1" != -o ]; do shift; done; echo made >"$2"' % calls)
  assert compilation.compile_missing() == 0
  assert capsys.readouterr().out.startswith('fused ops: compiled with ')
  assert os.listdir(compilation.FOLDER) == [os.path.basename(compilation.library_path())]
  first = calls.read_text()
  assert compilation.compile_missing() == 0 and calls.read_text() == first


def test_changed_sources_make_another_library(tmp_path, monkeypatch):
  before = compilation.library_path()
  copied = shutil.copytree(compilation.SOURCES, str(tmp_path / 'cc'))
  monkeypatch.setattr(compilation, 'SOURCES', copied)
  assert compilation.library_path() == before
  with open(os.path.join(copied, 'lanes.h'), 'a') as stream:
    stream.write('// More.\n')
  assert compilation.library_path() != before


@pytest.mark.skipif(not fused.available(), reason='the fused ops are not compiled')
def test_a_folder_that_was_moved_finds_its_library(tmp_path):
  moved = tmp_path / 'moved' / 'adj_quant' / 'scripts'
  shutil.copytree(os.path.join(ADJ_QUANT, 'scripts'), str(moved))
  (tmp_path / 'moved' / 'build' / 'ops').mkdir(parents=True)
  shutil.copy(compilation.library_path(), str(tmp_path / 'moved' / 'build' / 'ops'))
  lines = subprocess.check_output(
      [sys.executable, '-c', 'from scripts.ops import choice, fused; print(fused.__file__); '
       'print(choice.choose("auto"))'],
      env=dict(os.environ, PYTHONPATH=str(moved.parent)), stderr=subprocess.DEVNULL)
  assert lines.decode().splitlines() == [str(moved / 'ops' / 'fused.py'), 'fused']


def test_the_place_of_tensorflow_is_not_in_the_name(monkeypatch):
  """It lies in the folder that was moved."""
  before = compilation.library_path()
  for name, flag in (('get_compile_flags', '-I'), ('get_link_flags', '-L')):
    flags = [flag + '/elsewhere' if old.startswith(flag) else old
             for old in getattr(tf.sysconfig, name)()]
    assert flag + '/elsewhere' in flags
    monkeypatch.setattr(tf.sysconfig, name, lambda flags=flags: flags)
  for name in ('get_lib', 'get_include'):
    monkeypatch.setattr(tf.sysconfig, name, lambda: '/elsewhere')
  assert compilation.library_path() == before


def test_another_tensorflow_makes_another_library(monkeypatch):
  before = compilation.library_path()
  flags = tf.sysconfig.get_compile_flags() + ['-DANOTHER_ABI']
  monkeypatch.setattr(tf.sysconfig, 'get_compile_flags', lambda: flags)
  assert compilation.library_path() != before


def test_auto_takes_ops_where_there_are_no_fused_ops(nothing_built):
  said = []
  assert choice.choose('auto', said.append) == 'ops'
  assert len(said) == 1 and 'not compiled' in said[0] and compilation.PROGRAM in said[0]
  with pytest.raises(UserError, match='--quantizer_impl fused: the fused ops are not compiled'):
    choice.choose('fused')


def test_a_library_that_does_not_load_is_not_used(nothing_built):
  os.makedirs(compilation.FOLDER)
  with open(compilation.library_path(), 'w') as stream:
    stream.write('torn')
  fused.load.cache_clear()
  said = []
  assert choice.choose('auto', said.append) == 'ops'
  assert 'cannot be loaded' in said[0]


def test_xla_is_refused_where_it_cannot_compile_single_ops(monkeypatch):
  monkeypatch.setattr(stack, 'HAS_XLA_SCOPES', True)
  assert choice.choose('xla') == 'xla'
  monkeypatch.setattr(stack, 'HAS_XLA_SCOPES', False)
  with pytest.raises(UserError, match='--xla: .*STACK=current'):
    choice.choose('xla')


@pytest.mark.skipif(not fused.available(), reason='the fused ops are not compiled')
def test_auto_takes_fused_ops_that_are_there():
  said = []
  assert choice.choose('auto', said.append) == 'fused' and said == []
  assert choice.choose('ops') == 'ops'


@pytest.mark.parametrize('allow_growth', [False, True])
def test_a_gpu_is_looked_for_with_the_options_of_the_sessions_to_come(allow_growth, monkeypatch):
  """The first session to open a GPU decides how all of this process take its memory."""
  opened = []
  session = collections.namedtuple('Session', 'list_devices')
  device = collections.namedtuple('Device', 'device_type')

  @contextlib.contextmanager
  def new_session(*options):
    opened.append(options)
    yield session(lambda: [device('CPU'), device('GPU')])

  monkeypatch.setattr(tf.test, 'is_built_with_cuda', lambda: True)
  monkeypatch.setattr(tf.test, 'is_gpu_available', None)
  monkeypatch.setattr(runtime, 'new_session', new_session)
  said = []
  assert choice.choose('auto', said.append, allow_growth) == 'ops' and 'there is a GPU' in said[0]
  assert opened == [(allow_growth,)]
