"""Tests of clusters: the plan from the flags, and real processes."""

import os
import re
import socket
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from training import loop, testing_run
from training.cluster import Cluster, announce_chief, departures, leave, plan_cluster
from training.config import DeployConfig
from training.hooks import StopHook

HOSTS = DeployConfig(ps_hosts='a:1', worker_hosts='b:1, b:2', job_name='worker')
SLIM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# A process of its own that knows the tiny network.
_PROGRAM = """
import sys
sys.path[0:1] = [%r, %r]
import train_image_classifier
from training import testing_run
with testing_run.known():
  sys.exit(train_image_classifier.main())
""" % (SLIM, os.path.join(os.path.dirname(SLIM), 'adj_quant'))


def test_without_flags_a_process_is_alone():
  assert plan_cluster(DeployConfig()) == Cluster()
  assert Cluster().is_chief and not Cluster().is_synchronous


def test_hosts_say_it_all():
  assert plan_cluster(HOSTS._replace(task=1, worker_replicas=2)) == Cluster(
      'worker', 1, 2, 1, 0, (('a:1',), ('b:1', 'b:2')))
  found = plan_cluster(HOSTS._replace(sync_replicas=True))
  assert found.is_chief and found.aggregate == 2 and found.batches_per_update == 2
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


@pytest.fixture(name='servers', scope='module')
def local_servers():
  """Address of the worker with number 0, and the servers behind it, in this process."""
  hosts = ['localhost:%d' % port for port in free_ports(2)]
  spec = tf.train.ClusterSpec({'ps': hosts[:1], 'worker': hosts[1:]})
  servers = [tf.train.Server(spec, job) for job in ('ps', 'worker')]
  return servers[1].target, servers


def creator(target):
  """Sessions of a worker, on the default graph."""
  with tf.device('/job:ps/task:0'):
    tf.get_variable('x', initializer=1.0)
  return loop.SessionCreator(tf.train.Scaffold(), target, None, chief_left=departures())


def test_a_worker_whose_chief_never_starts_ends(servers, monkeypatch):
  monkeypatch.setattr(loop, '_LONGEST_WAIT_SECONDS', 2)
  monkeypatch.setattr(loop, '_LOOK_SECONDS', 1)
  chief = Cluster(servers=1)
  announce_chief(chief, servers[0])
  with tf.Graph().as_default():
    with pytest.raises(UserError, match='has set no variables'):
      creator(servers[0]).create_session()


def test_a_worker_whose_chief_fails_ends(servers, monkeypatch):
  monkeypatch.setattr(loop, '_LOOK_SECONDS', 1)
  leave(Cluster(servers=1), servers[0])
  with tf.Graph().as_default():
    with pytest.raises(UserError, match='the chief .* ended before the first step'):
      creator(servers[0]).create_session()


@pytest.mark.parametrize('is_chief', [True, False])
def test_workers_end_with_their_chief(servers, is_chief):
  announce_chief(Cluster(servers=1), servers[0])
  with tf.Graph().as_default():
    step = tf.train.get_or_create_global_step()
    hook = StopHook(tf.assign_add(step, 1), None, departures())
    session = tf.train.MonitoredSession(
        tf.train.ChiefSessionCreator(master=servers[0]), [hook])
    session.run(step)
    assert not hook.chief_left and not session.should_stop()
    leave(Cluster(servers=1, workers=2, task=0 if is_chief else 1), servers[0])
    session.run(step)
    assert hook.chief_left == session.should_stop() == is_chief


def free_ports(count):
  """Ports that nobody uses now."""
  sockets = [socket.socket() for _ in range(count)]
  for found in sockets:
    found.bind(('localhost', 0))
  ports = [found.getsockname()[1] for found in sockets]
  for found in sockets:
    found.close()
  return ports


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
  """50 steps: the mean of the workers' losses is the loss of one process with twice the batch.

  Its clones see the workers' images and normalise by them, so only rounding differs.
  """
  records = testing_run.write_images(tmp_path)
  servers, workers = (['localhost:%d' % port for port in free_ports(n)] for n in (1, 2))
  common = dict(max_number_of_steps=50, moving_average_decay=0.9)
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
  found = [testing_run.losses(out) for out in outs]
  assert sorted(expected) == sorted(found[0]) == sorted(found[1]) == list(range(1, 51))
  for step, loss in expected.items():
    assert (found[0][step] + found[1][step]) / 2 == pytest.approx(loss, abs=2e-3), step
  assert expected[50] < expected[1]
  assert re.search(r'done at step 50 -> .*model.ckpt-50', outs[0])
