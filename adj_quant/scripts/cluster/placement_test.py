"""Where variables and computation go."""

import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.cluster.placement import Placement, check_towers, place
from scripts.cluster.plan import Cluster, Deployment
from scripts.errors import UserError


def devices(placement):
  """Of a shared variable, of an own one, and of an op of each tower."""
  with tf.Graph().as_default(), tf.device(placement.shared):
    shared = tf.get_variable('shared', [2], use_resource=True)
    with tf.device(placement.own):
      own = tf.get_variable('own', [2], use_resource=True)
    computed = []
    for device in placement.towers:
      with tf.device(device):
        computed.append((shared.read_value() + own.read_value()).device)
    return [shared.device, own.device] + computed


def test_a_process_of_one_tower_leaves_it_to_tensorflow():
  assert place(Deployment(), Cluster()) == Placement()
  assert devices(Placement()) == [''] * 3


def test_towers_on_gpus_have_their_variables_on_the_cpu():
  actual = devices(place(Deployment(num_clones=2), Cluster()))
  assert actual == ['/device:CPU:0'] * 2 + ['/device:GPU:0', '/device:GPU:1']


@pytest.mark.parametrize('deploy, gpus, fits', [
    (Deployment(), 0, True), (Deployment(num_clones=2, clone_on_cpu=True), 0, True),
    (Deployment(num_clones=2), 2, True), (Deployment(num_clones=2), 1, False)])
def test_each_tower_needs_a_gpu_of_its_own(monkeypatch, deploy, gpus, fits):
  monkeypatch.setattr(runtime, 'count_gpus', lambda allow_growth: gpus)
  if fits:
    check_towers(deploy)
  else:
    with pytest.raises(UserError, match='--num_clones 2: TensorFlow sees 1 GPUs; --clone_on_cpu'):
      check_towers(deploy)


def test_towers_on_the_cpu():
  actual = devices(place(Deployment(num_clones=2, clone_on_cpu=True), Cluster()))
  assert actual == ['/device:CPU:0'] * 4


def test_a_worker_computes_and_the_parameter_server_keeps_the_variables():
  cluster = Cluster(task=1, workers=2, servers=1, aggregate=2)
  actual = devices(place(Deployment(), cluster))
  assert actual == ['/job:ps/task:0/device:CPU:0', '/job:worker/task:1/device:CPU:0',
                    '/job:worker/task:1']
  actual = devices(place(Deployment(num_clones=2), cluster))
  assert actual[2:] == ['/job:worker/task:1/device:GPU:0', '/job:worker/task:1/device:GPU:1']
