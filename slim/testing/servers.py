"""Tests with servers in this process, which cluster_test.py starts: it may not survive them."""

import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.errors import UserError
from scripts.testing.cluster import free_ports
from training import loop
from scripts.cluster.plan import Cluster
from training.cluster import announce_chief, departures, leave
from training.hooks import StopHook


@pytest.fixture(name='servers', scope='module')
def local_servers():
  """Address of the worker with number 0, and the servers behind it, in this process."""
  hosts = ['localhost:%d' % port for port in free_ports(2)]
  spec = tf.train.ClusterSpec({'ps': hosts[:1], 'worker': hosts[1:]})
  servers = [tf.train.Server(spec, job, config=runtime.session_config(distributed=True))
             for job in ('ps', 'worker')]
  return servers[1].target, servers


def creator(target):
  """Sessions of a worker, on the default graph."""
  with tf.device('/job:ps/task:0'):
    tf.get_variable('x', initializer=1.0)
  return loop.SessionCreator(tf.train.Scaffold(), target, None, chief_left=departures())


def test_a_worker_whose_chief_never_starts_ends(servers, monkeypatch):
  monkeypatch.setattr(loop, '_LONGEST_WAIT_SECONDS', 2)
  chief = Cluster(servers=1)
  announce_chief(chief, servers[0])
  with tf.Graph().as_default():
    with pytest.raises(UserError, match='has set no variables'):
      creator(servers[0]).create_session()


def test_a_worker_whose_chief_fails_ends(servers):
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
