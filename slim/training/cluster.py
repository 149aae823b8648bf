"""What slim's processes tell each other, beside what all clusters need (`scripts.cluster`).

With synchronous replicas, all workers compute gradients of the same variables, the chief averages
and applies them, and each worker takes a token before its next step. Without, each worker applies
its own as they come. When the chief ends, all others do, as nobody would save what they learn.
"""

import tensorflow.compat.v1 as tf

from scripts.cluster import servers

# The token queue of SyncReplicasOptimizer: whoever opens a queue of this name has the same one.
_TOKENS = 'sync_token_q'


def departures():
  """int32 []: not 0 when the chief has ended."""
  return _departures().size()


def _departures():
  """The queue on a parameter server in which the chief reports its end."""
  with tf.device(servers.first_server()):
    return tf.FIFOQueue(-1, tf.int32, [()], shared_name='departures_of_the_chief')


def announce_chief(cluster, target):
  """Clears the queue in which the chief of an earlier run reported its end."""
  with tf.Graph().as_default():
    queue = _departures()
    earlier = queue.dequeue_many(queue.size())
    with tf.Session(target, config=servers.session_config(cluster)) as session:
      session.run(earlier)


def leave(cluster, target):
  """Releases what waits for this worker: synchronous workers and the parameter servers.

  When this is the chief, all workers.
  """
  def farewells():
    if cluster.is_chief:
      yield _departures().enqueue(cluster.task)
    if cluster.is_synchronous:
      with tf.device(servers.first_server()):
        yield tf.FIFOQueue(-1, tf.int64, [()], shared_name=_TOKENS).close()

  servers.leave(cluster, target, farewells)


class SynchronousOptimizer(tf.train.SyncReplicasOptimizer):
  """TensorFlow's, except that the end of a session is no error in the updating thread."""

  def get_chief_queue_runner(self):
    """The original's runner, which also accepts the error that the end causes."""
    runner = super(SynchronousOptimizer, self).get_chief_queue_runner()
    return tf.train.QueueRunner(
        runner.queue, runner.enqueue_ops,
        queue_closed_exception_types=(tf.errors.OutOfRangeError, tf.errors.CancelledError))
