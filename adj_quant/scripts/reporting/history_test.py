"""Event files become phases: consecutive runs, resumed ones, torn ends, refusals."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.reporting.history import read_logs, short_names
from scripts.testing.reports import write_events


def points(phase, tag):
  return list(zip(phase.series[tag].steps.tolist(), phase.series[tag].values.tolist()))


def test_folders_are_phases_in_the_order_given(tmp_path):
  write_events(tmp_path / 'b' / 'logs', {'loss': {0: 4.0, 10: 2.0}})
  write_events(tmp_path / 'a' / 'logs', {'loss': {0: 1.0}, 'top1': {20: 50.0}})
  first, second = read_logs([str(tmp_path / 'b' / 'logs'), str(tmp_path / 'a' / 'logs')])
  assert (first.name, second.name) == ('b/logs', 'a/logs')
  assert points(first, 'loss') == [(0, 4.0), (10, 2.0)]
  assert (first.last_step, second.last_step) == (10, 20)


def test_a_run_that_went_on_is_one_phase(tmp_path):
  write_events(tmp_path, {'loss': {0: 5.0, 10: 4.0, 20: 9.0}}, '.1')
  write_events(tmp_path, {'loss': {20: 3.0, 30: 2.0}}, '.2')
  phase, = read_logs([str(tmp_path)])
  assert points(phase, 'loss') == [(0, 5.0), (10, 4.0), (20, 3.0), (30, 2.0)]


def test_a_run_from_the_start_is_a_phase_of_its_own(tmp_path):
  write_events(tmp_path / 'logs', {'loss': {0: 5.0}}, '.1')
  write_events(tmp_path / 'logs', {'loss': {0: 4.0}}, '.2')
  assert [phase.name for phase in read_logs([str(tmp_path / 'logs')])] == ['logs', 'logs (2)']


def test_histograms_are_passed_over(tmp_path):
  writer = tf.summary.FileWriter(str(tmp_path))
  writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag='bits', histo=tf.HistogramProto())]))
  writer.close()
  with pytest.raises(UserError, match='^--logs .*: its event files hold no scalars$'):
    read_logs([str(tmp_path)])


def test_a_torn_end_is_passed_over(tmp_path):
  write_events(tmp_path, {'loss': {0: 5.0, 10: 4.0}})
  path = str(tmp_path / os.listdir(str(tmp_path))[0])
  with open(path, 'r+b') as stream:
    stream.truncate(os.path.getsize(path) - 5)
  phase, = read_logs([str(tmp_path)])
  assert points(phase, 'loss') == [(0, 5.0)]


def test_refusals(tmp_path):
  with pytest.raises(UserError, match='^--logs .*none: cannot read the folder: No such file'):
    read_logs([str(tmp_path / 'none')])
  with pytest.raises(UserError, match='^--logs .*: no TensorBoard event files'):
    read_logs([str(tmp_path)])
  (tmp_path / 'events.out.tfevents.1.host').write_bytes(b'something else')
  with pytest.raises(UserError, match='^--logs .*: its event files hold no scalars$'):
    read_logs([str(tmp_path)])


def test_short_names():
  assert short_names([]) == []
  assert short_names(['/x/a/logs']) == ['logs']
  assert short_names(['/x/a/logs', '/x/b/logs/', '/x/c']) == ['a/logs', 'b/logs', 'c']
  assert short_names(['/a/logs', '/x/a/logs']) == ['/a/logs', 'x/a/logs']
  assert short_names(['/a', '/a']) == ['/a', '/a']


def test_steps_rise(tmp_path):
  write_events(tmp_path, {'loss': {20: 1.0, 0: 2.0, 10: float('nan')}})
  series = read_logs([str(tmp_path)])[0].series['loss']
  assert series.steps.tolist() == [0, 10, 20] and np.isnan(series.values[1])
