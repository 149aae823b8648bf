"""Tests of clusters: the plan from the flags, and real processes."""

import os
import re
import subprocess
import sys

import pytest

from scripts.errors import UserError
from testing import run as testing_run
from testing.servers import free_ports
from training.cluster import Cluster, plan_cluster
from training.config import DeployConfig

HOSTS = DeployConfig(ps_hosts='a:1', worker_hosts='b:1, b:2', job_name='worker')
SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A process of its own that knows the tiny network.
_PROGRAM = """
import sys
sys.path[0:1] = [%r, %r]
import train_image_classifier
from testing import run as testing_run
with testing_run.known():
  sys.exit(train_image_classifier.main())
""" % (SLIM, os.path.join(os.path.dirname(SLIM), 'adj_quant'))


def test_without_flags_a_process_is_alone():
  assert plan_cluster(DeployConfig()) == Cluster()
  assert Cluster().is_chief and not Cluster().is_synchronous


def test_hosts_say_it_all():
  assert plan_cluster(HOSTS._replace(task=1, worker_replicas=2)) == Cluster(
      'worker', 1, 2, 1, 0, (('a:1',), ('b:1', 'b:2')))
  actual = plan_cluster(HOSTS._replace(sync_replicas=True))
  assert actual.is_chief and actual.aggregate == 2 and actual.batches_per_update == 2
  assert plan_cluster(HOSTS._replace(sync_replicas=True, replicas_to_aggregate=1)).aggregate == 1


def test_a_running_server_needs_the_counts():
  deploy = DeployConfig(master='grpc://b:1', worker_replicas=3, num_ps_tasks=2, task=2)
  assert plan_cluster(deploy) == Cluster('worker', 2, 3, 2, 0, None, 'grpc://b:1')


@pytest.mark.parametrize('deploy, message', [
    (HOSTS._replace(worker_hosts=None), '--ps_hosts and --worker_hosts go together'),
    (HOSTS._replace(job_name=None), '--job_name is needed'),
    (HOSTS._replace(master='grpc://x:1'), '--master names a running server'),
    (HOSTS._replace(task=2), '--task=2: job worker has the tasks 0 to 1'),
    (HOSTS._replace(job_name='ps', task=1), '--task=1: job ps has the tasks 0 to 0'),
    (HOSTS._replace(worker_replicas=3), '--worker_replicas=3: --worker_hosts has 2'),
    (HOSTS._replace(num_ps_tasks=2), '--num_ps_tasks=2: --ps_hosts has 1'),
    (HOSTS._replace(replicas_to_aggregate=2), '--replicas_to_aggregate needs --sync_replicas'),
    (HOSTS._replace(sync_replicas=True, replicas_to_aggregate=3), 'there are 2 workers'),
    (DeployConfig(sync_replicas=True), '--sync_replicas belongs to a cluster'),
    (DeployConfig(task=1), '--task belongs to a cluster'),
    (DeployConfig(master='grpc://x:1', num_ps_tasks=1), '--worker_replicas is needed'),
])
def test_refusals(deploy, message):
  with pytest.raises(UserError) as error:
    plan_cluster(deploy)
  assert message in str(error.value)


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
