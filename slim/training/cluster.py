"""Processes of one training: parameter servers hold the variables, workers compute.

This is TensorFlow's own runtime (gRPC). With synchronous replicas, all workers compute gradients of
the same variables, the chief averages and applies them, and each worker takes a token before its
next step. Without, each worker applies its own as they come. When the chief ends, all others do, as
nobody would save what they learn.
"""

import threading
import time
from typing import NamedTuple, Optional, Tuple

import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.errors import UserError

_POLL_SECONDS = 0.5
# The token queue of SyncReplicasOptimizer: whoever opens a queue of this name has the same one.
_TOKENS = 'sync_token_q'


class Cluster(NamedTuple):
  """What a process needs to know about the others; by default there are none."""
  job: str = 'worker'
  task: int = 0
  workers: int = 1
  servers: int = 0  # Parameter servers; 0: this process is alone.
  aggregate: int = 0  # Gradients averaged into an update; 0: updates are asynchronous.
  hosts: Optional[Tuple[Tuple[str, ...], Tuple[str, ...]]] = None  # Servers' and workers'.
  master: str = ''  # A running server to use, where `hosts` is None.

  @property
  def is_chief(self):
    """Whether this process initialises, saves and logs."""
    return self.task == 0

  @property
  def is_synchronous(self):
    """Whether an update averages the gradients of several workers."""
    return self.aggregate > 0

  @property
  def batches_per_update(self):
    """Workers' batches that one update sees."""
    return max(1, self.aggregate)


def plan_cluster(deploy):
  """The `Cluster` that a `config.DeployConfig` describes; raises UserError."""
  servers, workers = _hosts(deploy.ps_hosts), _hosts(deploy.worker_hosts)
  if bool(servers) != bool(workers):
    raise UserError('--ps_hosts and --worker_hosts go together: give both')
  if servers and deploy.master:
    raise UserError('--master names a running server, --ps_hosts start one: give one of both')
  if not servers and not deploy.master:
    return _alone(deploy)
  if servers and not deploy.job_name:
    raise UserError('--job_name is needed with --ps_hosts: ps or worker')
  workers_count = _count(deploy, 'worker_replicas', workers, 'worker_hosts')
  servers_count = _count(deploy, 'num_ps_tasks', servers, 'ps_hosts')
  job = deploy.job_name or 'worker'
  tasks = servers_count if job == 'ps' else workers_count
  if deploy.task >= tasks:
    raise UserError('--task=%d: job %s has the tasks 0 to %d' % (deploy.task, job, tasks - 1))
  if job == 'ps' and deploy.master:
    raise UserError('--job_name=ps cannot be used with --master: that server runs already')
  aggregate = 0
  if deploy.sync_replicas:
    aggregate = deploy.replicas_to_aggregate or workers_count
    if aggregate > workers_count:
      raise UserError('--replicas_to_aggregate=%d: there are %d workers'
                      % (aggregate, workers_count))
  elif deploy.replicas_to_aggregate:
    raise UserError('--replicas_to_aggregate needs --sync_replicas')
  return Cluster(
      job=job, task=deploy.task, workers=workers_count, servers=servers_count, aggregate=aggregate,
      hosts=(servers, workers) if servers else None, master=deploy.master or '')


def _alone(deploy):
  for flag in ('job_name', 'task', 'worker_replicas', 'num_ps_tasks', 'sync_replicas',
               'replicas_to_aggregate'):
    if getattr(deploy, flag) and (flag, getattr(deploy, flag)) != ('worker_replicas', 1):
      raise UserError('--%s belongs to a cluster: give --ps_hosts and --worker_hosts, or --master'
                      % flag)
  return Cluster()


def _hosts(text):
  return tuple(host.strip() for host in (text or '').split(',') if host.strip())


def _count(deploy, flag, hosts, hosts_flag):
  given = getattr(deploy, flag)
  if hosts:
    if given not in (None, len(hosts)):
      raise UserError('--%s=%d: --%s has %d' % (flag, given, hosts_flag, len(hosts)))
    return len(hosts)
  if not given:
    raise UserError('--%s is needed with --master, at least 1' % flag)
  return given


def start_server(cluster):
  """Starts this process's server where hosts are given; returns (server or None, its address)."""
  if not cluster.hosts:
    return None, cluster.master
  spec = tf.train.ClusterSpec({'ps': list(cluster.hosts[0]), 'worker': list(cluster.hosts[1])})
  try:
    server = tf.train.Server(spec, cluster.job, cluster.task, config=session_config(cluster))
  except (tf.errors.OpError, ValueError) as error:
    host = cluster.hosts[0 if cluster.job == 'ps' else 1][cluster.task]
    raise UserError('cannot start a server at %s (is the port free?): %s'
                    % (host, str(error).partition('\n')[0]))
  return server, server.target


def session_config(cluster, allow_growth=False):
  """`tf.ConfigProto` of all sessions of a training."""
  filters = ['/job:ps', '/job:worker/task:%d' % cluster.task] if cluster.servers else None
  # A worker neither waits for the others to start nor fails when they end.
  return runtime.session_config(allow_growth, distributed=bool(cluster.servers),
                                allow_soft_placement=True, device_filters=filters)


def cluster_device(cluster, compute=''):
  """What `tf.device` takes: variables on the parameter servers, all else on this worker.

  Args:
    cluster: `Cluster`.
    compute: '/device:GPU:1' or the like; '': where TensorFlow likes.
  """
  if cluster.servers:
    return tf.train.replica_device_setter(
        cluster.servers, ps_device='/job:ps/device:CPU:0',
        worker_device='/job:worker/task:%d%s' % (cluster.task, compute))
  if 'GPU' in compute:
    return tf.train.replica_device_setter(1, ps_device='/device:CPU:0', worker_device=compute)
  return compute or None


def _finished(server, workers):
  """The queue on a parameter server in which workers report their end."""
  with tf.device('/job:ps/task:%d/device:CPU:0' % server):
    return tf.FIFOQueue(2 * workers, tf.int32, [()], shared_name='finished_workers')


def departures():
  """int32 []: not 0 when the chief has ended."""
  return _departures().size()


def _departures():
  """The queue on a parameter server in which the chief reports its end."""
  with tf.device('/job:ps/task:0/device:CPU:0'):
    return tf.FIFOQueue(-1, tf.int32, [()], shared_name='departures_of_the_chief')


def announce_chief(cluster, target):
  """Clears the queue in which the chief of an earlier run reported its end."""
  with tf.Graph().as_default():
    queue = _departures()
    earlier = queue.dequeue_many(queue.size())
    with tf.Session(target, config=session_config(cluster)) as session:
      session.run(earlier)


def serve(cluster, target):
  """Runs a parameter server until every worker has called `leave`."""
  with tf.Graph().as_default():
    queue = _finished(cluster.task, cluster.workers)
    size, item = queue.size(), queue.dequeue()
    finished = set()
    config = runtime.session_config(
        distributed=True, device_filters=['/job:ps/task:%d' % cluster.task])
    with tf.Session(target, config=config) as session:
      while len(finished) < cluster.workers:
        while session.run(size):
          finished.add(session.run(item))
        time.sleep(_POLL_SECONDS)


def leave(cluster, target):
  """Releases what waits for this worker: synchronous workers and the parameter servers.

  When this is the chief, all workers.
  """
  within_seconds(10, lambda: _tell(cluster, target))


def within_seconds(seconds, function):
  """Calls a function that may wait for ever for processes that are gone; gives up in time."""
  thread = threading.Thread(target=function, daemon=True)
  thread.start()
  thread.join(seconds)


def _tell(cluster, target):
  with tf.Graph().as_default():
    ops = [_finished(server, cluster.workers).enqueue(cluster.task)
           for server in range(cluster.servers)] if cluster.hosts else []
    if cluster.is_chief:
      ops.insert(0, _departures().enqueue(cluster.task))
    if cluster.is_synchronous:
      with tf.device('/job:ps/task:0/device:CPU:0'):
        ops.append(tf.FIFOQueue(-1, tf.int64, [()], shared_name=_TOKENS).close())
    with tf.Session(target, config=session_config(cluster)) as session:
      for op in ops:
        try:
          session.run(op)
        except tf.errors.OpError:
          pass  # Such as for a queue that another worker has closed.


class SynchronousOptimizer(tf.train.SyncReplicasOptimizer):
  """TensorFlow's, except that the end of a session is no error in the updating thread."""

  def get_chief_queue_runner(self):
    """The original's runner, which also accepts the error that the end causes."""
    runner = super(SynchronousOptimizer, self).get_chief_queue_runner()
    return tf.train.QueueRunner(
        runner.queue, runner.enqueue_ops,
        queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError))
