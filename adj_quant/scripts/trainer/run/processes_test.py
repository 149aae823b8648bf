"""Runs of several processes: the same result as of one, and what they say when something fails."""

import json
import os
import random
import re
import time

import numpy as np
import pytest

from scripts.testing import cluster as testing_cluster
from scripts.testing import network as testing_network
from scripts.trainer.run import state as states


@pytest.fixture(name='experiment', scope='module')
def measured_experiment(tmp_path_factory):
  """An experiment whose ranges are measured, so that all runs start from the same."""
  root = tmp_path_factory.mktemp('experiment')
  experiment = testing_network.write_experiment(root)
  log = root / 'first.txt'
  text_of(testing_cluster.start('train', flags_of(experiment, root / 'first') + [
      '-e', '--max_epoch', 0.25], log), log)
  return experiment


def flags_of(experiment, output):
  return ['--dataset', experiment.dataset, '--weight_path', experiment.weights, '--model', 'tiny',
          '--teacher_path', experiment.weights, '--tea_model', 'tiny', '--batch_size', 4,
          '--ckpt_path_thres', experiment.thresholds, '--weight_bits', 6, '--act_bits', 6,
          '--swish_bits', 8, '--bits_trainable', '--aug', '--mini_epochs', 2, '--max_epoch', 1.5,
          '--iter_train', '--threads', 1, '--lr', 1e-3, '--lr_bits', 0.01, '--output_dir', output]


def arrays_of(output):
  """All variables at the end of a run."""
  state = states.read_state(os.path.join(str(output), 'weights'))
  assert state.finished
  return states._read_arrays(os.path.join(str(output), 'weights', state.point.arrays),
                             state.point.crc32)


def text_of(process, log):
  """What a process printed; it must end well."""
  try:
    assert process.wait(timeout=testing_cluster.LONGEST_SECONDS) == 0, log.read_text()
  finally:
    process.kill()
  return log.read_text()


def epochs(text):
  """What was said of each mini-epoch, without the name of its checkpoint."""
  return re.findall(r'epoch \d[^\n\r]*?->', text)


def test_two_workers_are_two_towers(experiment, tmp_path):
  """The gradients are added in the same order, so the values differ by rounding alone, if at all.
  """
  towers = testing_cluster.start(
      'train', flags_of(experiment, tmp_path / 'towers') + ['--num_clones', 2, '--clone_on_cpu'],
      tmp_path / 'towers.txt')
  with testing_cluster.Cluster(tmp_path, flags_of(experiment, tmp_path / 'cluster')) as cluster:
    cluster.start()
    cluster.end_well()
    expected = epochs(text_of(towers, tmp_path / 'towers.txt'))
    assert 'all 2 workers are done' in cluster.text('ps', 0)
    assert 'the chief is done' in cluster.text('worker', 1)
    assert len(expected) == 3 and epochs(cluster.text('worker', 0)) == expected
  want, have = (arrays_of(tmp_path / name) for name in ('towers', 'cluster'))
  assert sorted(have) == sorted(want)
  for name, values in want.items():
    np.testing.assert_allclose(have[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_an_evaluation_counts_every_image_once(experiment, tmp_path):
  """Of two workers, by flags or by TF_CONFIG, as of two towers as of one process."""
  flags = ['--dataset', experiment.dataset, '--weight_path', experiment.weights, '--model', 'tiny',
           '--teacher_path', experiment.weights, '--tea_model', 'tiny', '--batch_size', 3, '--tfs',
           '--ckpt_path_thres', experiment.thresholds, '--weight_bits', 3, '--act_bits', 4,
           '--val_images', 15, '--quant_info', tmp_path / 'quant_info.json']
  results = {}
  for name, more in (('one', []), ('towers', ['--num_clones', 2, '--clone_on_cpu'])):
    results[name] = tmp_path / (name + '.json')
    log = tmp_path / (name + '.txt')
    text_of(testing_cluster.start('eval', flags + more + ['--json_out', results[name]], log), log)
  for name, by_environment in (('workers', False), ('platform', True)):
    results[name] = tmp_path / (name + '.json')
    with testing_cluster.Cluster(tmp_path, flags + ['--json_out', results[name]], script='eval',
                                 by_environment=by_environment) as cluster:
      cluster.start()
      cluster.end_well()
  expected, *others = [json.loads(path.read_text()) for path in results.values()]
  assert expected['images'] == 15 and '0' in expected['hits'] and '1' in expected['float_hits']
  assert others == [expected] * 3


def test_a_worker_with_other_flags_is_refused(experiment, tmp_path):
  with testing_cluster.Cluster(tmp_path, flags_of(experiment, tmp_path / 'out') + [
      '--max_epoch', 0.5]) as cluster:
    cluster.start(('ps', 0), ('worker', 0))
    cluster.start(('worker', 1), more=['--lr_bits', 0.02])
    assert cluster.wait(('worker', 1)) == [2]
    assert re.search(r'error: this worker has other flags than the chief \(worker 0\): '
                     r'--lr_bits 0\.02 \(the chief has 0\.01\)', cluster.text('worker', 1))
    cluster.start(('worker', 1))  # With the flags of all it takes part.
    cluster.end_well()


def test_a_missing_parameter_server_is_named(experiment, tmp_path):
  with testing_cluster.Cluster(tmp_path, flags_of(experiment, tmp_path / 'out') + [
      '--worker_timeout', 3]) as cluster:
    cluster.start(('worker', 1))
    assert cluster.wait(('worker', 1)) == [2]
    assert re.search(r'error: no answer from the parameter servers localhost:\d+ for 3 seconds',
                     cluster.text('worker', 1))


def test_a_lost_parameter_server_ends_all(experiment, tmp_path):
  with testing_cluster.Cluster(tmp_path, flags_of(experiment, tmp_path / 'out') + [
      '--max_epoch', 1000, '--worker_timeout', 60]) as cluster:
    cluster.start()
    end = time.time() + testing_cluster.LONGEST_SECONDS
    while 'epoch 0.5' not in cluster.text('worker', 0) and time.time() < end:
      time.sleep(0.2)
    cluster.kill('ps', 0)
    assert cluster.wait(('worker', 0), ('worker', 1)) == [2, 2]
    for task in range(2):
      assert 'error: a parameter server was lost' in cluster.text('worker', task)


def test_a_silent_worker_is_named(experiment, tmp_path):
  with testing_cluster.Cluster(tmp_path, flags_of(experiment, tmp_path / 'out') + [
      '--worker_timeout', 8]) as cluster:
    cluster.start(('ps', 0), ('worker', 0))
    assert cluster.wait(('worker', 0)) == [2]
    assert re.search(r'error: worker 1 \(localhost:\d+\) has not answered for 8 seconds',
                     cluster.text('worker', 0))


def run_with_kills(cluster, kills, source):
  """Starts all processes, kills one after the other and starts what has ended; returns who died.

  The first of them are a worker, the chief and a parameter server.
  """
  names = [('worker', 1), ('worker', 0), ('ps', 0)]
  killed = []
  cluster.start()
  while len(killed) < kills and cluster.processes['worker', 0].poll() is None:
    time.sleep(source.uniform(0.0, 12.0))
    victim = names[len(killed)] if len(killed) < 3 else source.choice(names)
    cluster.kill(*victim)
    killed.append(victim)
    if victim[0] == 'ps':  # The others end, unless they wait for it to start.
      time.sleep(10)
      for name in names[:2]:
        assert cluster.processes[name].poll() in (2, None), cluster.text(*name)
        cluster.kill(*name)
      cluster.start()
    else:
      cluster.start(victim)
  return killed


@pytest.mark.full
def test_a_run_whose_processes_are_killed_ends_as_another(experiment, tmp_path):
  """$ADJ_QUANT_KILLS of them; three by default."""
  flags = flags_of(experiment, tmp_path / 'killed') + ['--max_epoch', 12, '--save_steps', 1]
  towers = testing_cluster.start('train', flags + [
      '--output_dir', tmp_path / 'whole', '--num_clones', 2, '--clone_on_cpu'],
                                 tmp_path / 'whole.txt')
  kills = int(os.environ.get('ADJ_QUANT_KILLS', 3))
  with testing_cluster.Cluster(tmp_path, flags) as cluster:
    killed = run_with_kills(cluster, kills, random.Random(0))
    print(killed)
    cluster.end_well()
  text_of(towers, tmp_path / 'whole.txt')
  assert len(killed) == kills
  want, have = (arrays_of(tmp_path / name) for name in ('whole', 'killed'))
  for name, values in want.items():
    np.testing.assert_allclose(have[name], values, rtol=1e-3, atol=1e-5, err_msg=name)
