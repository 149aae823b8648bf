"""Variables on the parameter servers through which the workers of a run work together.

The chief writes an order; every worker carries it out, stores its part of the result and then the
number of the order. When all have, the chief uses the results. A result is stored in the place of
the worker's last one and never added to anything. So a worker that is killed at any moment and
starts again carries the order out again, and nothing counts twice; TensorFlow's own
SyncReplicasOptimizer counts gradients, whoever they are from.

W workers, V trained variables.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.cluster.servers import first_server

NOTHING, TRAIN, VALIDATE, END = range(4)  # Kinds of orders.
ROWS = 4  # Numbers of an answer: rank and offset, of student and float network.
COLLECTION = 'exchange'  # Such variables are not part of a run's state.


class Board(NamedTuple):
  """What all processes read; each variable is an int64 unless another type is named."""
  order: Any  # [4]: number, kind, argument, token of the run.
  done: list  # W variables []: the number of the last order that each worker has carried out.
  pulse: Any  # []: grows while the chief lives.
  published: Any  # string []: what workers need to know before they build their graphs.
  is_there: Any  # A `Board` of bool []: which of them have a value.


class Order(NamedTuple):
  """What all workers are to do next."""
  number: int
  kind: int  # NOTHING, TRAIN, VALIDATE or END.
  argument: int  # The step; how many networks to validate; the status of the process.
  token: int  # Of the run.


class Exchange(NamedTuple):
  """The results of one worker, and for the chief those of all."""
  board: Board
  number: Any  # Placeholder int64 []: of the order that the next ops belong to.
  push: Any  # Op: stores the gradients and losses of a batch.
  answers: Any  # Placeholder int32 [rows, images].
  report: Any  # Op: stores them.
  gradients: list  # V tensors, the means of all workers'; None without a chief.
  losses: Any  # float32 [parts], likewise.
  all_answers: list  # W tensors int32 [rows, images of the worker]; likewise.


def create_board(workers):
  """The `Board` on the first parameter server; it is not initialised here."""
  with tf.device(first_server()), tf.variable_scope('board'):
    order, pulse = _create('order', [4], tf.int64), _create('pulse', [], tf.int64)
    published = _create('published', [], tf.string)
    done = [_create('done_%d' % worker, [], tf.int64) for worker in range(workers)]
    is_there = Board(
        order.is_initialized(), [each.is_initialized() for each in done], pulse.is_initialized(),
        published.is_initialized(), None)
    return Board(order, done, pulse, published, is_there)


def create_exchange(cluster, gradients, losses, variables, images, rows):
  """Creates the results of this worker, and for the chief those of all.

  Args:
    cluster: `plan.Cluster`.
    gradients: of this worker, one a variable.
    losses: float32 [parts] of this worker.
    variables: list of the trained ones.
    images: how many each worker validates.
    rows: numbers that an answer to an image has, for all networks.

  Returns:
    `Exchange`.
  """
  board, number = create_board(cluster.workers), tf.placeholder(tf.int64, [], 'number')
  answers = tf.placeholder(tf.int32, [rows, images[cluster.task]], 'answers')
  workers = range(cluster.workers) if cluster.is_chief else [cluster.task]
  stores = {worker: _create_store(worker, variables, losses, [rows, images[worker]])
            for worker in workers}
  own = stores[cluster.task]

  def store(pairs):
    with tf.control_dependencies([place.assign(value, read_value=False) for place, value in pairs]):
      return board.done[cluster.task].assign(number, read_value=False)

  push = store(list(zip(own.gradients, gradients)) + [(own.losses, losses)])
  report = store([(own.answers, answers)])
  if not cluster.is_chief:
    return Exchange(board, number, push, answers, report, None, None, None)
  means = []
  for index, variable in enumerate(variables):
    with tf.device(variable.device):
      means.append(_mean([stores[worker].gradients[index] for worker in workers]))
  with tf.device(first_server()):
    mean_losses = _mean([stores[worker].losses for worker in workers])
  return Exchange(board, number, push, answers, report, means, mean_losses,
                  [stores[worker].answers.read_value() for worker in workers])


class _Store(NamedTuple):
  """Where a worker stores its results."""
  gradients: list
  losses: Any
  answers: Any


def _create_store(worker, variables, losses, shape):
  with tf.variable_scope('worker_%d' % worker):
    gradients = []
    for variable in variables:
      with tf.device(variable.device):
        gradients.append(_create('gradient/' + variable.op.name, variable.shape, tf.float32))
    with tf.device(first_server()):
      return _Store(gradients, _create('losses', losses.shape, tf.float32),
                    _create('answers', shape, tf.int32))


def _create(name, shape, dtype):
  return tf.get_variable(name, shape, dtype, tf.zeros_initializer() if dtype != tf.string else
                         tf.constant_initializer(''), trainable=False, use_resource=True,
                         collections=[COLLECTION])


def _mean(places):
  return tf.add_n([place.read_value() for place in places]) / len(places)
