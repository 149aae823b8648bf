"""Servers of a cluster, from their start to their end: TensorFlow's own runtime (gRPC).

Parameter servers hold the variables, workers compute. A parameter server ends when all workers have
said that they are done.
"""

import threading
import time

import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.checkpoint_files import reason
from scripts.errors import UserError

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 2  # For a session to close.


def start_server(cluster):
  """Starts this process's server where hosts are given; returns (server or None, its address)."""
  if not cluster.hosts:
    return None, cluster.master
  spec = tf.train.ClusterSpec({'ps': list(cluster.hosts[0]), 'worker': list(cluster.hosts[1])})
  try:
    server = tf.train.Server(spec, cluster.job, cluster.task, config=session_config(cluster))
  except (tf.errors.OpError, ValueError) as error:
    host = cluster.hosts[0 if cluster.job == 'ps' else 1][cluster.task]
    raise UserError('cannot start a server at %s (is the port free?): %s' % (host, reason(error)))
  return server, server.target


def session_config(cluster, allow_growth=False):
  """`tf.ConfigProto` of all sessions of a process."""
  filters = ['/job:ps', '/job:worker/task:%d' % cluster.task] if cluster.servers else None
  # A worker neither waits for the others to start nor fails when they end.
  return runtime.session_config(allow_growth, distributed=bool(cluster.servers),
                                allow_soft_placement=True, device_filters=filters)


def first_server():
  """Device of what all processes share apart from the trained variables."""
  return '/job:ps/task:0/device:CPU:0'


def _finished(server, workers):
  """The queue on a parameter server in which workers report their end."""
  with tf.device('/job:ps/task:%d/device:CPU:0' % server):
    return tf.FIFOQueue(2 * workers, tf.int32, [()], shared_name='finished_workers')


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


def leave(cluster, target, farewells=None):
  """Tells the parameter servers that this worker is done; gives up after ten seconds.

  Args:
    cluster: `Cluster`.
    target: address of this worker's server.
    farewells: function that gives ops to run before, on the default graph; None: there are none.
  """
  within_seconds(10, lambda: _tell(cluster, target, farewells))


def _tell(cluster, target, farewells):
  with tf.Graph().as_default():
    ops = list(farewells()) if farewells else []
    if cluster.hosts:
      ops += [_finished(server, cluster.workers).enqueue(cluster.task)
              for server in range(cluster.servers)]
    with tf.Session(target, config=session_config(cluster)) as session:
      for op in ops:
        _run_if_possible(session, op)


def _run_if_possible(session, op, attempts=3):
  for _ in range(attempts):
    try:
      return session.run(op)
    except tf.errors.CancelledError:
      return None  # Another worker has closed the queue.
    except tf.errors.OpError:  # As beside a session that is being closed.
      time.sleep(_POLL_SECONDS)
  return None


def within_seconds(seconds, function):
  """Calls a function that may wait for ever for processes that are gone; gives up in time."""
  thread = threading.Thread(target=function, daemon=True)
  thread.start()
  thread.join(seconds)


class Session(tf.Session):
  """A session of a cluster, which neither waits nor lives longer than it should.

  Where a parameter server is lost, TensorFlow 1.13.1 may wait for it for ever, closing the session
  may take for ever, and so may what a destructor does.
  """

  def __init__(self, cluster, target, timeout, graph=None, allow_growth=False):
    """Args: `plan.Cluster`, address of this process's server, seconds that a call may take."""
    super(Session, self).__init__(target, graph, session_config(cluster, allow_growth))
    self._options = tf.RunOptions(timeout_in_ms=1000 * timeout)

  def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
    """As TensorFlow's; raises DeadlineExceededError where the time is over."""
    return super(Session, self).run(fetches, feed_dict, options or self._options, run_metadata)

  def close(self):
    """Closes the session, or gives up in time."""
    within_seconds(_GRACE_SECONDS, super(Session, self).close)

  def __del__(self):
    pass


def close_in_time(session):
  """Lets a session be closed in time, once: what a destructor does is left as it is.

  That runs when Python ends, and then no thread starts any more.
  """
  close = session.close

  def close_once():
    session.close = close
    within_seconds(_GRACE_SECONDS, close)

  session.close = close_once
