"""Processes: when they tell that they work, and what is said when they do not."""

import contextlib
import types

import pytest

from scripts.bench import child, programs, startup, workloads
from scripts.errors import UserError
from scripts.paths import ADJ_QUANT


def program_of(*lines):
  """A command that runs lines of Python beside adj_quant's modules."""
  return ['-c', '\n'.join(('import sys, time', 'sys.path.insert(0, %r)' % ADJ_QUANT,
                           'from scripts import events') + lines)]


def test_seconds_until_a_program_says_so():
  program = program_of('time.sleep(0.3)', 'events.tell("works")', 'time.sleep(60)')
  assert startup.seconds_until(program, 'works') >= 0.3


def test_an_event_of_a_program_that_has_ended_counts():
  assert startup.seconds_until(program_of('events.tell("works")'), 'works') >= 0


@pytest.mark.parametrize('line, limit, said', [
    ('print("begins", flush=True); raise SystemExit("error: no data")', 60, 'error: no data'),
    ('events.tell("other"); print("begins", flush=True); time.sleep(60)', 3.0,
     '(begins|no output)'),
    ('', 60, 'no output')])
def test_a_program_that_never_works(line, limit, said):
  with pytest.raises(UserError, match='ended before it worked: ' + said):
    startup.seconds_until(program_of(line), 'works', limit)


def test_memory_of_a_process_that_fails():
  with pytest.raises(UserError, match='the unknown network in a process failed: error: argument'):
    startup.measure_memory('unknown', workloads.Shape(32, 2), 1)


@pytest.mark.parametrize('name, task', [('float', 'float_step'), ('ops', 'step_ops'),
                                        ('fused', 'step_fused')])
def test_child_trains_and_reports(monkeypatch, name, task):
  shape, calls = workloads.Shape(32, 2), []

  @contextlib.contextmanager
  def program(networks, shapes, impl='float'):
    assert (networks, shapes[0], len(shapes), impl) == ('networks', shape, 2, name)
    yield types.SimpleNamespace(nodes=7, task=lambda *args: lambda: calls.append(args))

  monkeypatch.setattr(programs, 'float_program', program)
  monkeypatch.setattr(programs, 'adjustable_program', program)
  actual = child.train('networks', name, shape, 3)
  assert calls == [(task, shape)] * 3 and actual['graph_nodes'] == 7
  assert 1e7 < actual['peak_bytes'] < 1e11
