"""Who does a step or a validation: this process alone, or a chief with its workers.

The chief decides everything that a run decides: steps, schedules, rollbacks, checkpoints, the end.
Workers follow its orders, see `graph.exchange`. Here `run` is a `Worker`, or `run.loop.Run`, which
has its fields.
"""

from typing import Any, NamedTuple

import numpy as np

from scripts.accuracy import Answers, evaluate
from scripts.errors import UserError
from scripts.trainer.graph import exchange as exchanges
from scripts.trainer.team.patience import Patience

_LOOK_AT_PULSE = 2.0  # Seconds of waiting after which a worker looks whether the chief lives.


class DataFeeds(NamedTuple):
  """What selects the images that a step reads."""
  handles: dict  # Name of a data set -> its handle.
  first_image: Any  # Placeholder for the number of the image that training data begin with.
  batch_size: int  # Images per step of a tower.
  step_images: int  # Images per step of all towers of all workers.


class Worker(NamedTuple):
  """What a process computes with."""
  session: Any
  graph: Any  # train_graph.TrainGraph, or another with what is used of it.
  data: DataFeeds


class Alone:
  """A process without others."""

  def go_to(self, run, step):
    """Finds the place of a step in the training images."""
    _go_to(run, step)

  def step(self, run, step, update, rates):
    """One update; returns, from before it, the parts of the loss and all bit-widths.

    Args:
      run: `loop.Run`.
      step: its number.
      update: one of `run.graph.ops`.
      rates: feed of the learning rates.
    """
    del step
    parts, bits, _ = run.session.run(
        [run.graph.losses, run.graph.student.bits, update],
        {run.graph.batches.source: run.data.handles['train'], **rates})
    return parts, bits

  def validate(self, run, networks):
    """List of the `Answers` of the student and, if `networks` is 2, of the float network."""
    return _answers(run, networks)


class Lead:
  """A chief and its workers."""

  def __init__(self, cluster, token, timeout):
    """Args: `plan.Cluster`, what all know the run by, seconds that a worker may take."""
    self._cluster, self._token, self._timeout = cluster, token, timeout
    self._number = None  # Of the last order.
    self._waited = 0.0

  def go_to(self, run, step):
    """As `Alone.go_to`; workers do so when a step is not the one they expect."""
    _go_to(run, step)

  def step(self, run, step, update, rates):
    """As `Alone.step`, with the mean of all workers' gradients and losses."""
    exchange = run.graph.exchange
    self._order(run, exchanges.TRAIN, step)
    bits, _ = run.session.run(
        [run.graph.student.bits, exchange.push],
        {run.graph.batches.source: run.data.handles['train'], exchange.number: self._number})
    self._wait(run)
    parts, _ = run.session.run([exchange.losses, update], rates)
    return type(run.graph.losses)(*parts), bits

  def validate(self, run, networks):
    """As `Alone.validate`; every worker has a slice of the images."""
    self._order(run, exchanges.VALIDATE, networks)
    _report(run, networks, self._number)
    self._wait(run)
    rows = np.concatenate(run.session.run(run.graph.exchange.all_answers), axis=1)
    return [Answers(rows[2 * i], rows[2 * i + 1]) for i in range(networks)]

  def _order(self, run, kind, argument):
    board = run.graph.exchange.board
    if self._number is None:  # Parameter servers may know orders of this chief before it died.
      is_ordered, are_done = run.session.run([board.is_there.order, board.is_there.done])
      self._number = int(run.session.run(board.order)[0]) if is_ordered else 0
      run.session.run([variable.initializer for variable, is_there in zip(board.done, are_done)
                       if not is_there])
    self._number += 1
    order = exchanges.Order(self._number, kind, argument, self._token)
    board.order.load(np.int64(order), run.session)

  def _wait(self, run):
    """Returns when all workers have carried out the last order."""
    board, patience = run.graph.exchange.board, Patience(self._timeout, self._waited)
    while True:
      done = run.session.run(board.done)
      missing = [worker for worker, number in enumerate(done) if number != self._number]
      if not missing:
        self._waited = patience.waited
        return
      if patience.is_over:
        raise UserError('worker %s has not answered for %d seconds (--worker_timeout): see what it '
                        'says; the same commands resume the run' % (
                            ', '.join(_named(self._cluster, worker) for worker in missing),
                            self._timeout))
      patience.nap()


def follow(run, task, token, timeout):
  """Carries out the chief's orders until the last; returns the status it ends with.

  Args:
    run: `Worker`.
    task: number of this worker.
    token: what all know the run by.
    timeout: seconds that the chief may be silent.
  """
  board, last, step, waited = run.graph.exchange.board, 0, None, 0.0
  if run.session.run(board.is_there.done[task]):  # This worker has been here before.
    last = int(run.session.run(board.done[task]))
  while True:
    order, waited = _next_order(run, last, timeout, waited)
    last = order.number
    if order.kind == exchanges.END:
      return order.argument
    if order.kind == exchanges.NOTHING:
      continue
    if order.token != token:
      raise UserError('the chief (worker 0) has started another run: start this worker again')
    if order.kind == exchanges.VALIDATE:
      _report(run, order.argument, order.number)
      continue
    if order.argument != step:
      _go_to(run, order.argument)
    run.session.run(run.graph.exchange.push, {
        run.graph.batches.source: run.data.handles['train'],
        run.graph.exchange.number: order.number})
    step = order.argument + 1


def _next_order(run, last, timeout, expected):
  """The first `Order` after number `last`, and the seconds waited for it."""
  board, patience = run.graph.exchange.board, Patience(timeout, expected)
  while True:
    if last or run.session.run(board.is_there.order):
      order = exchanges.Order(*map(int, run.session.run(board.order)))
      if order.number > last:
        return order, patience.waited
    if patience.waited > _LOOK_AT_PULSE:
      patience.see(run.session.run(board.pulse))
    if patience.is_over:
      raise UserError('the chief (worker 0) has been silent for %d seconds (--worker_timeout): see '
                      'what it says; the same commands resume the run' % timeout)
    patience.nap()


def _named(cluster, worker):
  return '%d (%s)' % (worker, cluster.hosts[1][worker]) if cluster.hosts else str(worker)


def _go_to(run, step):
  run.session.run(run.graph.batches.initializers['train'],
                  {run.data.first_image: step * run.data.batch_size})


def _answers(run, networks):
  logits = [run.graph.student.logits, run.graph.float_logits][:networks]
  return evaluate(run.session, logits, run.graph.batches.labels,
                  run.graph.batches.initializers['validation'],
                  {run.graph.batches.source: run.data.handles['validation']})


def _report(run, networks, number):
  """Validates this process's slice and stores its answers."""
  exchange = run.graph.exchange
  rows = np.zeros(exchange.answers.shape.as_list(), np.int32)
  if rows.shape[1]:
    rows[:2 * networks] = [row for answers in _answers(run, networks)
                           for row in (answers.ranks, answers.offsets)]
  run.session.run(exchange.report, {exchange.answers: rows, exchange.number: number})
