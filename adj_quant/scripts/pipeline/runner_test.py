"""Tests of running stages: once, again after a change, on after a failure."""

import os
import subprocess
import sys

import pytest

from scripts import paths
from scripts.errors import Terminated, UserError
from scripts.pipeline import runner
from scripts.pipeline.stages import Newest, Stage

# Appends its arguments to a file in the folder it is given, and fails while a file `fail` is there.
SCRIPT = '''
import os, sys
folder = sys.argv[1]
open(os.path.join(folder, 'calls'), 'a').write(' '.join(sys.argv[2:]) + chr(10))
print('half way', end=chr(13))
if os.path.exists(os.path.join(folder, '..', 'fail')):
  sys.exit('error: the disk is full')
'''


@pytest.fixture(name='work')
def work_folder(tmp_path):
  """A folder with the script."""
  (tmp_path / 'script.py').write_text(SCRIPT)
  return tmp_path


def stage(work, name, *words, resumes=True):
  """A stage of one call of the script."""
  return Stage(name, 'stage ' + name, ((str(work / 'script.py'), str(work / name)) + words,),
               resumes)


def run(work, *stages, source='data'):
  """Runs stages afresh, as a new process would; returns the `Runner`."""
  stage_runner = runner.Runner(str(work), source, len(stages))
  for each in stages:
    stage_runner.run(each)
  return stage_runner


def calls(work, name):
  """What a stage's script was called with."""
  return (work / name / 'calls').read_text().splitlines()


def test_each_stage_runs_once(work, capsys):
  stages = [stage(work, 'a', 'x'), stage(work, 'b', 'y')]
  assert list(run(work, *stages).seconds) == ['a', 'b']
  first = run(work, *stages).seconds
  assert calls(work, 'a') == ['x'] and calls(work, 'b') == ['y']
  assert all(seconds > 0 for seconds in first.values())  # Those of the run that did the work.
  assert '[2/2] stage b: done' in capsys.readouterr().out


@pytest.mark.parametrize('source, first, expected', [
    ('data', 'x', (['x'], ['y'])), ('data', 'new', (['new'], ['y'])),
    ('other data', 'x', (['x'], ['y']))])
def test_a_change_empties_the_stage_and_those_after_it(work, source, first, expected):
  run(work, stage(work, 'a', 'x'), stage(work, 'b', 'y'))
  (work / 'b' / 'old').write_text('')
  run(work, stage(work, 'a', first), stage(work, 'b', 'y'), source=source)
  assert (calls(work, 'a'), calls(work, 'b')) == expected
  changed = (source, first) != ('data', 'x')
  assert os.path.exists(str(work / 'b' / 'old')) != changed


def test_a_branch_does_not_depend_on_the_branches_before_it(work):
  def run_branches(*names):
    first_runner = runner.Runner(str(work), 'data', len(names) + 1)
    first_runner.run(stage(work, 'a', 'x'))
    for name in names:
      first_runner.run_branch([stage(work, name, 'y'), stage(work, name + '_end', 'z')])
    return list(first_runner.seconds)

  run_branches('b')
  (work / 'b_end' / 'old').write_text('')
  assert run_branches('c', 'b') == ['a', 'c', 'c_end', 'b', 'b_end']
  assert os.path.exists(str(work / 'b_end' / 'old'))
  assert calls(work, 'b_end') == ['z'] and calls(work, 'c') == ['y']


@pytest.mark.parametrize('resumes', [True, False])
def test_a_failure_is_one_line_and_the_stage_is_run_again(work, capsys, resumes):
  (work / 'fail').write_text('')
  stages = [stage(work, 'a', 'x', resumes=resumes)]
  with pytest.raises(UserError, match='script.py ended with status 1; all of its output is in'):
    run(work, *stages)
  assert 'half way\nerror: the disk is full' in capsys.readouterr().err
  assert 'error: the disk is full' in (work / 'a' / 'output.log').read_text()
  (work / 'fail').unlink()
  run(work, *stages)
  assert calls(work, 'a') == (['x', 'x'] if resumes else ['x'])  # Emptied where it cannot go on.


def test_bad_input_is_one_line(work, capsys):
  (work / 'script.py').write_text('import sys\nprint("error: the record is torn")\nsys.exit(2)')
  with pytest.raises(UserError, match='^script.py: the record is torn; all of its output is in '):
    run(work, stage(work, 'a', 'x'))
  assert not capsys.readouterr().err


def test_a_folder_of_somebody_else_is_kept(work):
  (work / 'a').mkdir()
  (work / 'a' / 'train-00000-of-00001').write_text('precious')
  with pytest.raises(UserError, match='a is not a work folder of the demo'):
    run(work, stage(work, 'a', 'x'))
  assert (work / 'a' / 'train-00000-of-00001').read_text() == 'precious'


def test_an_interrupted_script_may_end_its_work(work, monkeypatch):
  (work / 'script.py').write_text(SCRIPT + """
import time
time.sleep(1)
open(os.path.join(folder, 'saved'), 'w')
""")

  def interrupted(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(runner._Progress, 'show', interrupted)
  with pytest.raises(KeyboardInterrupt):
    run(work, stage(work, 'a', 'x'))
  assert (work / 'a' / 'saved').exists()


def test_sigterm_is_passed_on_to_the_script(work, monkeypatch):
  (work / 'script.py').write_text("""
import os, signal, sys, time
def end(*_):
  open(os.path.join(sys.argv[1], 'saved'), 'w')
  os._exit(0)
signal.signal(signal.SIGTERM, end)
print('ready', flush=True)
time.sleep(60)
""")

  def terminated(_, text):
    if text == 'ready':
      raise Terminated

  monkeypatch.setattr(runner._Progress, 'show', terminated)
  with pytest.raises(KeyboardInterrupt):
    run(work, stage(work, 'a', 'x'))
  assert (work / 'a' / 'saved').exists()


def test_a_second_demonstration_waits_for_the_first(work):
  code = 'import sys; sys.path.insert(0, %r)\nfrom scripts.pipeline import runner\n' \
         'with runner.sole_user(%r): print("entered")' % (paths.ADJ_QUANT, str(work))
  with runner.sole_user(str(work)):
    second = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    assert second.stdout.readline().startswith(b'waiting until another demonstration in ')
  assert second.communicate(timeout=300)[0] == b'entered\n' and second.returncode == 0


def test_newest_checkpoint_is_resolved_when_its_turn_comes(work):
  each = Stage('b', 'stage', ((str(work / 'script.py'), str(work / 'b'), Newest(str(work / 'c'))),))
  (work / 'c').mkdir()
  for name in ('m-9.index', 'm-10.index', 'm-10.json', 'm_swa-10.index'):
    (work / 'c' / name).write_text('')
    os.utime(str(work / 'c' / name), (1, 1 if name == 'm-10.index' else 2))
  run(work, each)
  assert calls(work, 'b') == [str(work / 'c' / 'm_swa-10')]


def test_no_checkpoint(work):
  with pytest.raises(UserError, match='there is no checkpoint in'):
    runner.newest_checkpoint(str(work))
  with pytest.raises(UserError, match='cannot list the folder .*missing: No such file'):
    runner.newest_checkpoint(str(work / 'missing'))
