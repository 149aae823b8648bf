"""A run that is killed again and again ends as one that is not; flags and disks that end it.

The kills are made by scripts/testing/kills.py, in a process that is allowed to fork.
"""

import collections
import errno
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from scripts.paths import ADJ_QUANT
from scripts.testing import network as testing_network
from scripts.testing.network import run_script
from scripts.trainer.run import best, guard, loop, progress, resume
from scripts.trainer.run import state as states
import train

KILLS = 20


@pytest.fixture(name='killed', scope='module')
def killed_runs(tmp_path_factory):
  """What scripts/testing/kills.py prints."""
  folder = str(tmp_path_factory.mktemp('kills'))
  command = [sys.executable, '-m', 'scripts.testing.kills', folder, str(KILLS), '1']
  output = subprocess.check_output(command, cwd=ADJ_QUANT, stderr=subprocess.DEVNULL)
  return json.loads(output.decode().splitlines()[-1])


def test_kills_hit_every_part_of_a_run(killed):
  assert (killed['whole_status'], set(killed['statuses'])) == (0, {0})
  actual = collections.Counter(killed['phases'])
  print(dict(actual))
  assert sum(actual.values()) == KILLS and actual['start']
  assert actual['steps'] + actual['validation']
  # Those of `kills.FIRST_KILLS`; the others depend on how fast the machine is.
  assert sum(actual[part] for part in ('first state', 'checkpoint', 'arrays', 'commit')) >= 5


def read(*parts):
  with open(os.path.join(*parts), 'rb') as stream:
    return stream.read()


def files_of(output):
  """Dict name -> content of all that a run leaves, but for its logs and its identifier."""
  contents = {}
  for folder in ('weights', 'best_ckpt'):
    for name in sorted(os.listdir(os.path.join(output, folder))):
      content = read(output, folder, name)
      if name.endswith('.json'):
        content = json.loads(content.decode())
        content.pop('run', None)
        content.pop('train', None)  # Has the output folder.
      contents[folder + '/' + name] = content
  return contents


def test_all_files_are_those_of_a_run_that_was_not_killed(killed):
  expected = files_of(killed['whole'])
  metrics = {re.sub(r'ckpt_metric_0\.\d{6}', '', name): content['published_metric']
             for name, content in expected.items() if name.endswith('.json') and 'ckpt_' in name}
  best, = [name for name in metrics if name.startswith('best_ckpt/-')]
  assert set(metrics) == {best, 'weights/-21.json', 'weights/-24.json', 'weights/_swa-24.json'}
  # Bits train up to step 21, and not after.
  assert metrics[best] <= metrics['weights/-21.json'] == metrics['weights/-24.json']
  assert {'weights/state-24.npz', 'weights/state.json', 'best_ckpt/best.json'} < set(expected)
  for output in killed['killed']:
    actual = files_of(output)
    assert sorted(actual) == sorted(expected)
    for name, content in expected.items():
      assert actual[name] == content, name


def test_the_state_holds_all_variables_and_the_average(killed):
  state = states.read_state(os.path.join(killed['whole'], 'weights'))
  arrays = states._read_arrays(
      os.path.join(killed['whole'], 'weights', state.point.arrays), state.point.crc32)
  variables = ('weights', 'alpha', 'shift', 'bits_scale', 'initial_low', 'initial_width')
  slots = ['student/%s/%s' % (name, slot) for name in variables[:4]
           for slot in (('Adam', 'Adam_1') if name != 'bits_scale' else ('AdamBits', 'AdamBits_1'))]
  assert set(arrays) == set(slots) | {'student/' + name for name in variables} | {
      'beta1_power', 'beta2_power', 'beta1_power_1', 'beta2_power_1'} | {
          'average/%d' % i for i in range(3)}
  assert (state.point.averaged, state.factor, state.finished) == (5, 0.5, True)


def lines(output):
  """What a run said of its mini-epochs and rollbacks; a line may come again after a kill."""
  actual = read(output + '.txt').decode().replace('\r', '\n').splitlines()
  wanted = [line.rstrip() for line in actual
            if line.startswith(('epoch ', 'average ', 'a fault '))]
  return list(collections.OrderedDict.fromkeys(wanted))


def test_it_says_the_same(killed):
  expected = lines(killed['whole'])
  assert [line.split(':')[0] for line in expected] == [
      'epoch 0.%d' % n for n in (1, 2, 3, 4)] + ['a fault was put in at step 13'] + [
          'epoch 0.%d' % n for n in (5, 6, 7, 8)] + ['average of 5']
  for output in killed['killed']:
    assert lines(output) == expected


def test_ranges_are_measured_once_for_a_state(killed):
  texts = [read(output + '.txt').decode() for output in killed['killed']]
  later = [text.partition('resuming at step ')[2] for text in texts]
  assert any(later) and not any('ranges of ' in text for text in later)


class Runs:
  """Runs of a few steps in one output folder."""

  def __init__(self, experiment, output):
    self.output, self._experiment = output, experiment
    self.weights = output / 'weights'

  def start(self, *argv, **changed):
    experiment = self._experiment
    values = dict({'dataset': experiment.dataset, 'weight_path': experiment.weights,
                   'model': 'tiny', 'teacher_path': experiment.weights, 'tea_model': 'tiny',
                   'batch_size': 8, 'ckpt_path_thres': experiment.thresholds, 'weight_bits': 0,
                   'act_bits': -1, 'swish_bits': -1, 'bias_bits': 0, 'max_epoch': 0.2,
                   'output_dir': self.output}, **changed)
    return run_script(train.main, list(argv) + [
        part for flag, value in values.items() if value is not None
        for part in ('--' + flag, value)])

  def state(self):
    return states.read_state(str(self.weights))


@pytest.fixture(name='experiment', scope='module')
def measured_experiment(tmp_path_factory):
  root = tmp_path_factory.mktemp('experiment')
  with testing_network.known():
    measured = testing_network.write_experiment(root)
    outcome = Runs(measured, root / 'first').start('-e', max_epoch=0.1)
    assert outcome.status == 0, outcome.err
    yield measured


@pytest.fixture(name='runs')
def fresh_runs(experiment, tmp_path):
  return Runs(experiment, tmp_path / 'run')


class Stop(Exception):
  """Takes the place of a kill in a test."""


def interrupted(monkeypatch, start, owner, name, call):
  """Calls `start` with a function that raises `Stop` at its `call`-th call."""
  calls, original = [], getattr(owner, name)

  def stopping(*args, **options):
    calls.append(None)
    if len(calls) == call:
      raise Stop
    return original(*args, **options)

  with monkeypatch.context() as patch:
    patch.setattr(owner, name, stopping)
    with pytest.raises(Stop):
      start()


def test_a_finished_run_says_so_and_gives_way_to_other_flags(runs):
  assert runs.start(max_epoch=0.1).status == 0
  before = files_of(str(runs.output))
  outcome = runs.start('--tfs', max_epoch=0.1, threads=3)
  assert (outcome.status, outcome.err) == (0, '')
  first, last, highest = outcome.out.splitlines()
  assert first == 'this run is complete (--restart starts over)'
  assert last.startswith('last checkpoint: %s/ckpt_metric_' % runs.weights)
  assert highest.startswith('best checkpoint: %s/best_ckpt/ckpt_metric_' % runs.output)
  assert files_of(str(runs.output)) == before
  tuned = runs.start('--finetune', model=None, weight_path=None, ckpt_path_thres=None,
                     weight_bits=None, act_bits=None, swish_bits=None, bias_bits=None,
                     ckpt_path=os.path.join(str(runs.output), 'best_ckpt'), max_epoch=0.1)
  assert tuned.status == 0, tuned.err
  assert 'epoch 0.1: ' in tuned.out
  after = files_of(str(runs.output))  # The best one of the former run stays, and all others.
  assert all(after.get(name) == content for name, content in before.items()
             if 'ckpt_metric_' in name)


def test_other_flags_are_refused_until_restart(runs, monkeypatch):
  interrupted(monkeypatch, runs.start, progress, 'measure', 2)
  state = runs.state()
  assert (state.point.step, state.finished, len(state.kept)) == (1, False, 1)
  refused = runs.start('--finetune', lr=0.5)
  assert (refused.status, refused.err) == (
      2, 'error: the unfinished run in %s had other flags: --finetune True (was False), --lr 0.5 '
      '(was 3e-06); it resumes with its own flags, and --restart starts over\n' % runs.output)
  resumed = runs.start(threads=2, keep=1)
  assert resumed.status == 0 and 'epoch 0.1: ' not in resumed.out
  assert 'resuming at step 1 of 2 (mini-epoch 2 of 2)\n' in resumed.out
  assert len(runs.state().kept) == 1
  again = runs.start('--restart')
  assert again.status == 0 and 'epoch 0.1: ' in again.out


def test_a_run_goes_on_under_another_tensorflow_and_says_so(runs, monkeypatch):
  interrupted(monkeypatch, runs.start, progress, 'measure', 2)
  path, current = str(runs.weights / 'state.json'), runs.state().tensorflow
  content = json.loads(read(path).decode())
  with open(path, 'w') as stream:
    json.dump(dict(content, tensorflow='0.1'), stream)
  resumed = runs.start()
  assert resumed.status == 0, resumed.err
  assert ('resuming at step 1 of 2 (mini-epoch 2 of 2)\nnote: TensorFlow was 0.1 and is %s, so the '
          'run goes on with the same values but not with the same last bits\n' % current
          ) in resumed.out
  assert runs.state().tensorflow == current


def test_a_changed_file_is_refused(runs, monkeypatch, tmp_path):
  weights = str(tmp_path / 'weights.pickle')
  testing_network.save_weights(weights, testing_network.random_weights())

  def start():
    return runs.start(weight_path=weights)

  interrupted(monkeypatch, start, loop, 'train', 1)
  testing_network.save_weights(weights, testing_network.random_weights(seed=9))
  outcome = start()
  assert outcome.status == 2
  assert 'had other flags: --weight_path %s (its content has changed); ' % weights in outcome.error


def test_a_disk_that_is_too_small_is_refused_before_training(runs, monkeypatch):
  usage = collections.namedtuple('usage', 'free')
  monkeypatch.setattr(resume.shutil, 'disk_usage', lambda folder: usage(10000))
  outcome = runs.start()
  assert outcome.status == 2
  assert outcome.error.startswith('error: a run writes up to 0.') and (
      'more to %s and 0.0 MB are free' % runs.output in outcome.error)
  assert 'epoch 0.1' not in outcome.out


def test_a_disk_that_fills_up_later_loses_nothing(runs, experiment, tmp_path, monkeypatch):
  options = dict(metric=1e-9, lr_bits=0.05)  # Each checkpoint is the best.
  whole = Runs(experiment, tmp_path / 'whole')
  assert whole.start(**options).status == 0
  fsync, places = os.fsync, (
      (states.Store, 'write', 0), (best, 'keep_if_best', 0), (states.Store, 'write', 0),
      (states.Store, 'commit', 1))
  for number, (owner, name, step) in enumerate(places):
    def full(handle):
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def call(*args, original=getattr(owner, name), **arguments):
      before = runs.state()
      if number and (before is None or before.point.step != step):
        return original(*args, **arguments)
      os.fsync = full
      try:
        return original(*args, **arguments)
      finally:
        os.fsync = fsync

    with monkeypatch.context() as patch:
      patch.setattr(owner, name, call)
      outcome = runs.start(**options)
    assert outcome.status == 2 and outcome.err.count('error: ') == 1, outcome.err
    assert outcome.error.endswith(': No space left on device') and 'Traceback' not in outcome.err
    for folder in ('weights', 'best_ckpt'):
      assert not [n for n in os.listdir(str(runs.output / folder)) if n.startswith('.')]
    assert (runs.state().point.step if number else runs.state()) == (step if number else None)
  assert runs.start(**options).status == 0
  assert files_of(str(runs.output)) == files_of(str(whole.output))


def test_a_rollback_is_resumed(runs, monkeypatch):
  check_values, overflows = guard.check_values, [np.inf, np.inf]

  def check_overflowing_values(values, step):
    check_values(dict(values, bits=overflows.pop()) if overflows else values, step)

  def start():
    return runs.start(metric=1e-9)

  monkeypatch.setattr(guard, 'check_values', check_overflowing_values)
  # Killed in the mini-epoch after the first rollback, at whose end the second comes.
  interrupted(monkeypatch, start, loop, '_train_mini_epoch', 2)
  assert (runs.state().factor, runs.state().rollbacks) == (0.5, 1)
  outcome = start()
  assert outcome.status == 0, outcome.err
  assert 'resuming at step 0 of 2 (mini-epoch 1 of 2), learning rates x 0.5\n' in outcome.out
  assert 'learning rates x 0.25 (rollback 2 of 3)\n' in outcome.out
  assert (runs.state().factor, runs.state().rollbacks) == (0.25, 0)


def test_a_loss_that_makes_no_sense_ends_a_run(runs, monkeypatch):
  monkeypatch.setattr(guard, '_SENSELESS', 0)
  outcome = runs.start(max_epoch=0.1)
  assert (outcome.status, outcome.out.count('(rollback ')) == (2, guard.ROLLBACKS)
  assert outcome.error.startswith('error: the mean loss without the metric is ')


def test_a_second_run_in_the_folder_is_refused(runs):
  os.makedirs(str(runs.weights))
  with resume.locked(str(runs.weights)):
    assert runs.start().error == (
        'error: another run is using %s: choose another --output_dir' % runs.output)


@pytest.mark.parametrize('value', [-1, -5])
def test_save_steps_out_of_range(runs, value):
  assert runs.start(save_steps=value).error == (
      'error: --save_steps %d: must be 0 or more' % value)
