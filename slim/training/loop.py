"""A run: session, hooks and steps, from the first value or the last checkpoint to the end."""

from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.trainer.checkpoints import open_checkpoint, reason
from training import initialization
from training.cluster import session_config, within_seconds
from training.config import scopes
from training.graph import batch_of_worker
from training.hooks import LogHook, SaveHook, StopHook

_LONGEST_WAIT_SECONDS = 7200  # Of a worker for its chief.
_GRACE_SECONDS = 2  # For the thread that applies updates in synchronous training.


class Outcome(NamedTuple):
  """How a run ended."""
  step: int
  path: Optional[str]  # The last checkpoint this process wrote.
  signal: Optional[int]  # That ended it.


class SessionCreator(tf.train.SessionCreator):
  """Sessions of a chief or of a worker that waits for it.

  Other than TensorFlow's own, a worker looks every second instead of every 30, and a session is not
  made again after its cluster has failed: the new one would wait for lost processes without end.
  """

  def __init__(self, scaffold, target, config, checkpoint_dir=None):
    """`checkpoint_dir`: of the chief, for the latest checkpoint; None: not the chief."""
    self._scaffold = scaffold
    self._target = target
    self._config = config
    self._checkpoint_dir = checkpoint_dir
    self._is_used = False

  def create_session(self):
    """The session, when all variables are set."""
    if self._is_used:
      raise UserError('another process of the cluster was lost: end all processes and start them '
                      'again; they go on from the last checkpoint')
    self._is_used = True
    scaffold = self._scaffold.finalize()
    manager = tf.train.SessionManager(
        local_init_op=scaffold.local_init_op, ready_op=scaffold.ready_op,
        ready_for_local_init_op=scaffold.ready_for_local_init_op, graph=tf.get_default_graph(),
        recovery_wait_secs=1)
    if self._checkpoint_dir:
      session = manager.prepare_session(
          self._target, saver=scaffold.saver, checkpoint_dir=self._checkpoint_dir,
          config=self._config, init_op=scaffold.init_op, init_feed_dict=scaffold.init_feed_dict)
    else:
      session = manager.wait_for_session(self._target, config=self._config,
                                         max_wait_secs=_LONGEST_WAIT_SECONDS)
    if self._target:
      close = session.close
      session.close = lambda: within_seconds(_GRACE_SECONDS, close)
    return session


def train(config, graph, cluster, target, log=print):
  """Runs the steps of a graph that is complete.

  Args:
    config: `config.TrainConfig`.
    graph: `graph.TrainGraph` on the default graph.
    cluster: `cluster.Cluster`.
    target: address of the server to use, '' for this process alone.
    log: receives lines for the user.

  Returns:
    `Outcome`.

  Raises:
    UserError: no checkpoint can be read or written, or the loss became no number.
  """
  folder, loop = config.start.train_dir, config.loop
  stop = StopHook(graph.global_step, loop.max_number_of_steps)
  saver = tf.train.Saver(max_to_keep=loop.keep, save_relative_paths=True)
  save = SaveHook(saver, folder, graph.global_step, loop)
  images = batch_of_worker(config) * cluster.batches_per_update
  hooks = graph.hooks + [stop, LogHook(graph, loop, images, folder if cluster.is_chief else None)]
  if cluster.is_chief:
    hooks.append(save)
  creator = _session_creator(config, graph, cluster, target, saver, log)
  source = tf.train.latest_checkpoint(folder) or config.start.checkpoint_path
  with stop, _started(creator, hooks, source) as session:
    while not session.should_stop():
      session.run([graph.train_op, graph.global_step])
  return Outcome(stop.step, save.path, stop.signal)


def _started(creator, hooks, source):
  """The session, with variables that have their first values or those of the checkpoint `source`.
  """
  try:
    return tf.train.MonitoredSession(creator, hooks, _GRACE_SECONDS)
  except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError,
          tf.errors.OutOfRangeError) as error:
    if not source:
      raise
    raise UserError('checkpoint %s is damaged, start from another one with --checkpoint_path and a '
                    'new --train_dir: %s' % (source, reason(error)))


def _session_creator(config, graph, cluster, target, saver, log):
  session = session_config(cluster, config.loop.allow_growth)
  if not cluster.is_chief:
    return SessionCreator(tf.train.Scaffold(saver=saver), target, session)
  folder = config.start.train_dir
  if tf.train.latest_checkpoint(folder):
    unread = '; --checkpoint_path is not read' if config.start.checkpoint_path else ''
    log('goes on from %s%s' % (tf.train.latest_checkpoint(folder), unread))
    scaffold = tf.train.Scaffold(saver=saver)
  else:
    first = _initialization(config.start, graph, log)
    scaffold = tf.train.Scaffold(init_op=first.op, init_feed_dict=first.feed, saver=saver)
  return SessionCreator(scaffold, target, session, folder)


def _initialization(start, graph, log):
  """First values of all variables: the initialisers', or a checkpoint's as far as planned."""
  plan = path = None
  if start.checkpoint_path:
    path = initialization.find_checkpoint(start.checkpoint_path)
    shapes = {v.op.name: v.shape.as_list() for v in graph.network + graph.ranges}
    stored = open_checkpoint(path).get_variable_to_shape_map()
    plan = initialization.plan_start(
        shapes, {v.op.name for v in graph.ranges}, stored, path,
        scopes(start.checkpoint_exclude_scopes), start.ignore_missing_vars)
    log(initialization.describe_plan(plan, path))
  return initialization.create_initialization(tf.global_variables(), graph.copies, plan, path)
