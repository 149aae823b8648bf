"""Processes: when their output says that they work, and what is said when they do not."""

import contextlib
import re
import types

import pytest

from scripts.bench import child, programs, startup
from scripts.bench import workloads
from scripts.errors import UserError


# That these are what the scripts show is tested beside the scripts.
def test_the_first_loss_tells_the_first_step():
  empty = '\rmini-epoch 1 (bits):   0%|          | 0/5 [00:00<?, ?step/s]'
  assert re.search(startup.FIRST_STEP, 'validation: loss 1' + empty, re.DOTALL) is None
  assert re.search(startup.FIRST_STEP, empty + empty[:-1] + ', loss 3.234, metric', re.DOTALL)


def test_what_follows_the_empty_bar_tells_the_first_batch():
  bar = '\rvalidation: 0batch [00:00, ?batch/s]'
  assert re.search(startup.FIRST_BATCH, '16 validation images' + bar, re.DOTALL) is None
  for following in ('\r' + ' ' * len(bar) + '\r', '\rvalidation: 1batch [00:02,  2.00s/batch]'):
    assert re.search(startup.FIRST_BATCH, bar + following, re.DOTALL)


def test_seconds_until_a_program_says_so():
  program = 'import time\nprint("begins")\ntime.sleep(0.3)\nprint("wor" "ks")\ntime.sleep(60)'
  assert 0.3 < startup.seconds_until(['-c', program], 'begins.*works') < 30


@pytest.mark.parametrize('program, limit, said', [
    ('print("begins")\nraise SystemExit("error: no data")', 60, 'error: no data'),
    ('import time\nprint("begins")\ntime.sleep(60)', 1.0, 'begins'),
    ('', 60, 'no output')])
def test_a_program_that_never_works(program, limit, said):
  with pytest.raises(UserError, match='ended before it worked: ' + said):
    startup.seconds_until(['-c', program], 'works', limit)


def test_memory_of_a_process_that_fails():
  with pytest.raises(UserError, match='the unknown network in a process failed: error: argument'):
    startup.measure_memory('unknown', workloads.Shape(32, 2), 1)


@pytest.mark.parametrize('name, task', [('float', 'float_step'), ('ops', 'step_ops'),
                                        ('fused', 'step_fused')])
def test_child_trains_and_reports(monkeypatch, name, task):
  shape, calls = workloads.Shape(32, 2), []

  @contextlib.contextmanager
  def program(networks, shapes, size, impl='float'):
    assert (networks, shapes[0], len(shapes), size, impl) == ('networks', shape, 2, 32, name)
    yield types.SimpleNamespace(nodes=7, task=lambda *args: lambda: calls.append(args))

  monkeypatch.setattr(programs, 'float_program', program)
  monkeypatch.setattr(programs, 'adjustable_program', program)
  found = child.train('networks', name, shape, 3)
  assert calls == [(task, shape)] * 3 and found['graph_nodes'] == 7
  assert 1e7 < found['peak_bytes'] < 1e11
