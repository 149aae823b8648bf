"""The processes of a cluster before and after they compute: what runs, who lives, who is done."""

import contextlib
import hashlib
import json
import threading
import time
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.checkpoint_files import reason
from scripts.cluster import servers
from scripts.cluster.placement import Placement
from scripts.cluster.plan import Cluster
from scripts.errors import UserError
from scripts.trainer.graph import exchange as exchanges
from scripts.trainer.team.patience import Patience

_PULSE_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_LONGEST_FAREWELL_SECONDS = 10
# Of a parameter server that is gone, or that is another one than before and knows no variables.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.FailedPreconditionError,
         tf.errors.CancelledError, tf.errors.NotFoundError, tf.errors.DeadlineExceededError)


class Processes(NamedTuple):
  """This process among the others; by default there are none."""
  cluster: Cluster = Cluster()
  placement: Placement = Placement()
  timeout: int = 0  # Seconds that one may be silent.
  target: str = ''  # Address of this process's server; '': it has none.


def new_session(processes, allow_growth=False):
  """A session of one of the `Processes` on the default graph."""
  if processes.target:
    return servers.Session(processes.cluster, processes.target, processes.timeout,
                           allow_growth=allow_growth)
  return runtime.new_session(allow_growth)


class Notice(NamedTuple):
  """What a chief tells its workers before they build their graphs."""
  config: dict  # See `resume.configuration`.
  model: dict  # See `loading.describe_network`.
  token: int  # What all know the run by.


def serve_variables(cluster):
  """Runs a parameter server until all workers are done."""
  _server, target = servers.start_server(cluster)
  print('parameter server %d of %d' % (cluster.task + 1, cluster.servers), flush=True)
  servers.serve(cluster, target)
  print('all %d workers are done' % cluster.workers)


@contextlib.contextmanager
def joined(cluster, timeout):
  """Yields the `Member` that this process is, once it has reached the parameter servers.

  Args:
    cluster: `plan.Cluster`.
    timeout: seconds that they may take to start.

  Raises:
    UserError: its server cannot start, or a parameter server does not or was lost.
  """
  _server, target = servers.start_server(cluster)
  try:
    member = Member(cluster, target, timeout)
    member.reach(timeout)
    yield member
  except _LOST as error:
    raise UserError('a parameter server was lost (%s: %s): start all processes again with the same '
                    'commands; a training resumes from its last state'
                    % (type(error).__name__, reason(error)))


class Member:
  """A chief or another worker, with a session of its own for notices."""

  def __init__(self, cluster, target, timeout):
    self.cluster, self.target = cluster, target
    self._graph = tf.Graph()
    with self._graph.as_default():
      self._board = exchanges.create_board(cluster.workers)
      self._beat = self._board.pulse.assign_add(1, read_value=False)
      self._notice = self._board.published.read_value()
      self._new_notice = tf.placeholder(tf.string, [])
      self._publish = self._board.published.assign(self._new_notice, read_value=False)
    # It stays open: TensorFlow 1.13.1 now and then dies when one of several is closed.
    self._session = servers.Session(cluster, target, timeout, self._graph)
    self._ended = threading.Event()

  def reach(self, timeout):
    """Waits for the parameter servers to start; raises UserError where they do not."""
    answers = []

    def ask():
      with contextlib.suppress(tf.errors.OpError):
        answers.append(self._session.run(self._board.is_there.order))

    servers.within_seconds(timeout, ask)
    if not answers:
      raise UserError('no answer from the parameter servers %s for %d seconds (--worker_timeout): '
                      'see whether they run' % (','.join(self.cluster.hosts[0]), timeout))

  @contextlib.contextmanager
  def leading(self):
    """Shows while it lasts that the chief lives; its end, well or not, ends all workers."""
    if not self._session.run(self._board.is_there.pulse):
      self._session.run(self._board.pulse.initializer)
    if self._has_ended():  # A run before this one.
      self._order(exchanges.NOTHING, 0)
    threading.Thread(target=self._keep_beating, daemon=True).start()
    status = 1
    try:
      yield
      status = 0
    finally:
      self._ended.set()
      servers.within_seconds(_LONGEST_FAREWELL_SECONDS, lambda: self._end(status))
      servers.leave(self.cluster, self.target)

  def _keep_beating(self):
    try:
      while not self._ended.wait(_PULSE_SECONDS):
        self._session.run(self._beat)
    except (tf.errors.OpError, RuntimeError):
      pass  # The main thread meets the same.

  def _end(self, status):
    """Gives the last order; again where a call fails, as beside a session that is being closed."""
    while True:
      with contextlib.suppress(tf.errors.OpError):
        return self._order(exchanges.END, status)
      time.sleep(_LOOK_SECONDS)

  def _order(self, kind, argument):
    is_there = self._session.run(self._board.is_there.order)
    number = int(self._session.run(self._board.order)[0]) if is_there else 0
    self._board.order.load(np.int64(exchanges.Order(number + 1, kind, argument, 0)), self._session)

  def _has_ended(self):
    return (self._session.run(self._board.is_there.order)
            and self._session.run(self._board.order)[1] == exchanges.END)

  def publish(self, config, model):
    """Tells all workers what runs (see `Notice`); returns its token."""
    text = json.dumps([config, model], sort_keys=True)
    token = int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)
    self._session.run(self._publish, {
        self._new_notice: json.dumps(Notice(config, model, token)._asdict())})
    return token

  def receive(self, timeout):
    """Waits for the chief's `Notice`; raises UserError where it stays silent or has ended."""
    patience = Patience(timeout)
    while not self._session.run(self._board.is_there.published):
      if self._session.run(self._board.is_there.pulse):
        patience.see(self._session.run(self._board.pulse))
      if self._has_ended():
        raise UserError('the chief (worker 0) has ended before the first step: it says why')
      if patience.is_over:
        raise UserError('the chief (worker 0) has been silent for %d seconds (--worker_timeout): '
                        'start it, then this worker again' % timeout)
      time.sleep(_LOOK_SECONDS)
    return Notice(**json.loads(self._session.run(self._notice).decode()))

  def leave(self):
    """Tells the parameter servers that this worker is done."""
    servers.leave(self.cluster, self.target)
