"""Devices of variables and of computation."""

from typing import Any, NamedTuple, Tuple

import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.errors import UserError


class Placement(NamedTuple):
  """Devices, each as `tf.device` takes it; None: where TensorFlow likes."""
  shared: Any = None  # Of variables that all towers and workers share, and of what is left.
  own: Any = None  # Of variables of this process.
  towers: Tuple[Any, ...] = (None,)


def place(deploy, cluster):
  """The `Placement` of a process.

  Args:
    deploy: `plan.Deployment`.
    cluster: `plan.Cluster`.
  """
  towers = _towers(deploy, cluster)
  if cluster.servers:
    return Placement(cluster_device(cluster), '/job:worker/task:%d/device:CPU:0' % cluster.task,
                     towers)
  several = '/device:CPU:0' if len(towers) > 1 else None
  return Placement(several, several, towers)


def check_towers(deploy, allow_growth=False):
  """Raises UserError where a `plan.Deployment` has more towers than there are GPUs for them."""
  if deploy.num_clones == 1 or deploy.clone_on_cpu:
    return
  gpus = runtime.count_gpus(allow_growth)
  if gpus < deploy.num_clones:
    raise UserError('--num_clones %d: TensorFlow sees %d GPUs; --clone_on_cpu puts the towers on '
                    'the CPU' % (deploy.num_clones, gpus))


def _towers(deploy, cluster):
  if deploy.clone_on_cpu:
    return (cluster_device(cluster, '/device:CPU:0'),) * deploy.num_clones
  if deploy.num_clones == 1:
    return (cluster_device(cluster),)
  return tuple(cluster_device(cluster, '/device:GPU:%d' % index)
               for index in range(deploy.num_clones))


def cluster_device(cluster, compute=''):
  """What `tf.device` takes: variables on the parameter servers, all else on this worker.

  Args:
    cluster: `plan.Cluster`.
    compute: '/device:GPU:1' or the like; '': where TensorFlow likes.
  """
  if cluster.servers:
    return tf.train.replica_device_setter(
        cluster.servers, ps_device='/job:ps/device:CPU:0',
        worker_device='/job:worker/task:%d%s' % (cluster.task, compute))
  if 'GPU' in compute:
    return tf.train.replica_device_setter(1, ps_device='/device:CPU:0', worker_device=compute)
  return compute or None
