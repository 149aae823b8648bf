"""A run: session, hooks and steps, from the first value or the last checkpoint to the end."""

import time
from typing import NamedTuple, Optional

import tensorflow.compat.v1 as tf

from scripts.checkpoint_files import open_checkpoint
from scripts.checkpoint_paths import find_checkpoint
from scripts.cluster.servers import close_in_time, session_config
from scripts.errors import UserError
from training import initialization
from training.cluster import departures
from training.config import scopes
from training.graph import batch_of_worker
from training.hooks import LogHook, SaveHook, StopHook

_LONGEST_WAIT_SECONDS = 600  # Of a worker for its chief.
_LOOK_SECONDS = 1  # Between its looks at the variables, and whether the chief is gone.
_GRACE_SECONDS = 2  # For the thread that applies updates in synchronous training.


class Outcome(NamedTuple):
  """How a run ended."""
  step: int
  path: Optional[str]  # The last checkpoint this process wrote.
  signal: Optional[int]  # That ended it.
  chief_left: bool = False  # Which ended it.


class SessionCreator(tf.train.SessionCreator):
  """Sessions of a chief or of a worker that waits for it.

  Other than TensorFlow's own, a worker looks every second instead of every 30, and a session is not
  made again after its cluster has failed: the new one would wait for lost processes without end.
  """

  def __init__(self, scaffold, target, config, checkpoint=None, chief_left=None):
    """Describes the sessions.

    Args:
      scaffold: `tf.train.Scaffold`.
      target: address of the server, '' for none.
      config: `tf.ConfigProto`.
      checkpoint: that the chief goes on from; None: it runs the scaffold's `init_op`.
      chief_left: int32 [], not 0 when the chief has ended; None: this process is the chief.
    """
    self._scaffold = scaffold
    self._target = target
    self._config = config
    self._checkpoint = checkpoint
    self._chief_left = chief_left
    self._is_used = False

  def create_session(self):
    """The session, when all variables are set."""
    if self._is_used:
      raise UserError('another process of the cluster was lost: end all processes and start them '
                      'again; they resume from the last checkpoint')
    self._is_used = True
    scaffold = self._scaffold.finalize()
    if self._chief_left is None:
      manager = tf.train.SessionManager(
          local_init_op=scaffold.local_init_op, ready_op=scaffold.ready_op,
          ready_for_local_init_op=scaffold.ready_for_local_init_op, graph=tf.get_default_graph())
      session = manager.prepare_session(
          self._target, saver=scaffold.saver, checkpoint_filename_with_path=self._checkpoint,
          config=self._config, init_op=scaffold.init_op, init_feed_dict=scaffold.init_feed_dict)
    else:
      session = tf.Session(self._target, config=self._config)
      self._wait(session, scaffold)
    if self._target:
      close_in_time(session)
    return session

  def _wait(self, session, scaffold):
    """Waits in a worker's session until the chief has set all variables.

    One session for all looks: TensorFlow 1.13.1 now and then dies when one is closed.
    """
    end = time.time() + _LONGEST_WAIT_SECONDS
    while time.time() < end:
      if session.run(self._chief_left):
        raise UserError('the chief (worker 0) ended before the first step, it has said why: '
                        'start all processes again')
      if not session.run(scaffold.ready_for_local_init_op).size:
        session.run(scaffold.local_init_op)
        return
      time.sleep(_LOOK_SECONDS)
    raise UserError('the chief (worker 0) has set no variables for %d minutes: see what it says, '
                    'and start all processes again' % (_LONGEST_WAIT_SECONDS // 60))


def train(config, graph, cluster, target, log=print):
  """Runs the steps of a graph that is complete.

  Args:
    config: `config.TrainConfig`.
    graph: `graph.TrainGraph` on the default graph.
    cluster: `plan.Cluster`.
    target: address of the server to use, '' for this process alone.
    log: receives lines for the user.

  Returns:
    `Outcome`.

  Raises:
    UserError: no checkpoint can be read or written, or the loss became no number.
  """
  folder, loop = config.start.train_dir, config.loop
  chief_left = None if cluster.is_chief else departures()
  stop = StopHook(graph.global_step, loop.max_number_of_steps, chief_left)
  saver = tf.train.Saver(max_to_keep=loop.keep, save_relative_paths=True)
  save = SaveHook(saver, folder, graph.global_step, loop)
  images = batch_of_worker(config) * cluster.batches_per_update
  hooks = graph.hooks + [stop, LogHook(graph, loop, images, folder if cluster.is_chief else None)]
  if cluster.is_chief:
    hooks.append(save)
  session_options = session_config(cluster, loop.allow_growth)
  if cluster.is_chief:
    scaffold, checkpoint, source = _first_values(config.start, graph, saver, log)
    creator = SessionCreator(scaffold, target, session_options, checkpoint)
  else:
    creator, source = SessionCreator(tf.train.Scaffold(saver=saver), target, session_options,
                                     chief_left=chief_left), None
  with stop, _started(creator, hooks, source) as session:
    while not session.should_stop():
      session.run([graph.train_op, graph.global_step])
  return Outcome(stop.step, save.path, stop.signal, stop.chief_left)


def _started(creator, hooks, source):
  """The session, with variables that have their first values or those of the checkpoint `source`.
  """
  try:
    return tf.train.MonitoredSession(creator, hooks, _GRACE_SECONDS)
  except tf.errors.OpError:
    if source:
      try:
        initialization.check_readable(source)
      except UserError as error:
        raise UserError('%s; start from another one with --checkpoint_path and a new --train_dir'
                        % error)
    raise


def _first_values(start, graph, saver, log):
  """How the chief sets all variables.

  Returns:
    (`tf.train.Scaffold`, the checkpoint to go on from or None, the one that is read or None).
  """
  # The chief need not ask whether all variables are set, with a node for each: it sets them all.
  ready = dict.fromkeys(('ready_op', 'ready_for_local_init_op'), tf.constant([], tf.string))
  latest = initialization.latest_checkpoint(start.train_dir, log)
  if not latest:
    first, path = _initialization(start, graph, log)
    return tf.train.Scaffold(init_op=first.op, init_feed_dict=first.feed, saver=saver,
                             **ready), None, path
  unread = '; --checkpoint_path is not read' if start.checkpoint_path else ''
  log('resuming from %s%s' % (latest, unread))
  initialization.plan_reading({v.op.name: v.shape.as_list() for v in tf.global_variables()},
                              open_checkpoint(latest).get_variable_to_shape_map(), latest, False)
  saver.recover_last_checkpoints(initialization.checkpoints(start.train_dir))
  return tf.train.Scaffold(saver=saver, **ready), latest, latest


def _initialization(start, graph, log):
  """First values of all variables: the initialisers', or a checkpoint's as far as planned.

  Returns:
    (`initialization.Initialization`, the checkpoint or None).
  """
  plan = path = None
  if start.checkpoint_path:
    path = find_checkpoint(start.checkpoint_path, log)
    shapes = {v.op.name: v.shape.as_list() for v in graph.network + graph.ranges}
    stored = open_checkpoint(path).get_variable_to_shape_map()
    plan = initialization.plan_start(
        model=shapes, optional={v.op.name for v in graph.ranges}, checkpoint=stored, path=path,
        excluded_scopes=scopes(start.checkpoint_exclude_scopes),
        ignore_missing=start.ignore_missing_vars)
    log(initialization.describe_plan(plan, path))
  return initialization.create_initialization(
      tf.global_variables(), graph.copies, plan, path), path
