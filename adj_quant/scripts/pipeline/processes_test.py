"""Tests of scripts in forks: what they see, what they say, how they end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from scripts.pipeline import processes

HERE = os.path.dirname(os.path.abspath(__file__))
ADJ_QUANT = os.path.dirname(os.path.dirname(HERE))


@pytest.fixture(name='run')
def script_runner(tmp_path):
  """A function (text of a script, words) -> its status and output; text None: the one before."""
  def run(text, *words):
    path = tmp_path / 'script.py'
    path.write_text(text)
    with open(str(tmp_path / 'out'), 'wb') as out:
      status = processes.join(processes.start([str(path)] + list(words), out.fileno()))
    return status, (tmp_path / 'out').read_text()
  return run


def test_a_script_is_run_as_by_python(run, tmp_path):
  (tmp_path / 'beside.py').write_text('NAME = "beside"')
  status, out = run('''
import sys, beside
if __name__ == '__main__':
  print(sys.argv[1:], beside.NAME, repr(sys.stdin.read()), flush=False)
  print('to the other stream', file=sys.stderr)
  sys.exit(3)
''', 'a', '--b=c d')
  assert status == 3
  assert out == "['a', '--b=c d'] beside ''\nto the other stream\n"


@pytest.mark.parametrize('last, expected', [
    ('', 0), ('raise SystemExit("bad")', 1), ('1 / 0', 1),
    ('import os, signal; os.kill(os.getpid(), signal.SIGTERM)', -signal.SIGTERM)])
def test_status(run, last, expected):
  assert run(last)[0] == expected


def test_a_script_changes_nothing_here(run):
  before = list(sys.path), list(sys.argv), os.getcwd()
  run('import os, sys; sys.path.insert(0, "x"); sys.argv = []; os.chdir("/")')
  assert before == (list(sys.path), list(sys.argv), os.getcwd())


def test_a_script_gets_sigterm_when_the_demonstration_is_killed(tmp_path):
  (tmp_path / 'script.py').write_text('''
import os, signal, time
def end(*_):
  open('ended', 'w')
  os._exit(0)
signal.signal(signal.SIGTERM, end)
open('started', 'w')
time.sleep(60)
''')
  starter = ('import sys; sys.path.insert(0, %r)\nfrom scripts.pipeline import processes\n'
             'processes.join(processes.start([%r]))' % (ADJ_QUANT, str(tmp_path / 'script.py')))
  parent = subprocess.Popen([sys.executable, '-c', starter], cwd=str(tmp_path))
  wait_for(tmp_path / 'started')
  parent.kill()
  parent.wait()
  wait_for(tmp_path / 'ended')


def wait_for(path):
  end = time.time() + 300  # Of a busy machine.
  while not path.exists():
    assert time.time() < end, path
    time.sleep(0.02)
