"""Tests of clusters: real processes."""

import os
import re
import subprocess
import sys

import pytest

from scripts.testing.cluster import free_ports
from testing import run as testing_run

SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A process of its own that knows the tiny network.
_PROGRAM = """
import sys
sys.path[0:1] = [%r, %r]
import train_image_classifier
from scripts.testing.cluster import free_ports
from testing import run as testing_run
with testing_run.known():
  sys.exit(train_image_classifier.main())
""" % (SLIM, os.path.join(os.path.dirname(SLIM), 'adj_quant'))


def test_workers_end_with_their_chief():
  # In a process of its own: servers of TensorFlow 1.13.1 have crashed one with many sessions.
  completed = subprocess.run(
      [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
       os.path.join(SLIM, 'testing', 'servers.py')],
      cwd=os.path.dirname(SLIM), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
  assert completed.returncode == 0, completed.stdout.decode()
  assert b'4 passed' in completed.stdout


def start(flags):
  """A process that trains."""
  return subprocess.Popen([sys.executable, '-c', _PROGRAM] + flags, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)


def finish(process):
  """What a process printed; it must end well."""
  try:
    out = process.communicate(timeout=240)[0]
  finally:
    process.kill()
  assert process.returncode == 0, out
  return out


@pytest.mark.full
def test_two_synchronous_workers_train_as_two_clones(tmp_path):
  """The mean of the workers' losses is the loss of one process with twice the batch.

  Its clones see the workers' images and normalise by them, so only rounding differs. A low rate
  keeps that from growing.
  """
  records = testing_run.write_images(tmp_path)
  servers, workers = (['localhost:%d' % port for port in free_ports(n)] for n in (1, 2))
  common = dict(max_number_of_steps=20, moving_average_decay=0.9,
                learning_rate=0.002)
  cluster = testing_run.flags(
      records, tmp_path / 'cluster', sync_replicas='true', ps_hosts=','.join(servers),
      worker_hosts=','.join(workers), **common)
  processes = [start(cluster + ['--job_name=' + job, '--task=%d' % task])
               for job, task in (('ps', 0), ('worker', 0), ('worker', 1))]
  served, *outs = [finish(process) for process in processes]
  alone = finish(start(testing_run.flags(records, tmp_path / 'alone', num_clones=2,
                                         clone_on_cpu='true', **common)))
  assert 'all 2 workers are done' in served
  expected = testing_run.losses(alone)
  actual = [testing_run.losses(out) for out in outs]
  assert sorted(expected) == sorted(actual[0]) == sorted(actual[1]) == list(range(1, 21))
  for step, loss in expected.items():
    assert (actual[0][step] + actual[1][step]) / 2 == pytest.approx(loss, abs=2e-3), step
  assert len(set(expected.values())) > 1
  assert re.search(r'done at step 20 -> .*model.ckpt-20', outs[0])
