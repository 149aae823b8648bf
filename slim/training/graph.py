"""The graph of a training run: batches, towers, loss, update, averages, first values."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from contrib import slim
from nets.float_layers import FloatLayers
from nets.nets_factory import get_network
from preprocessing.batches import training_batches
from quantization import scheme
from quantization.ranges import KERNEL_RANGES
from scripts.cluster.placement import cluster_device, place
from scripts.errors import UserError
from training import clones
from training.averages import create_averages
from training.cluster import SynchronousOptimizer
from training.config import scopes
from training.initialization import in_scopes
from training.learning_rates import learning_rate
from training.optimizers import create_optimizer


class Problem(NamedTuple):
  """What is learnt from what."""
  split: Any  # dataset_utils.Split.
  classes: int  # Outputs of the network.
  image_size: int
  labels_offset: int


class TrainGraph(NamedTuple):
  """What a run fetches, restores and needs to know."""
  train_op: Any
  loss: Any  # float32 [], before the update, of this worker's batch.
  learning_rate: Any
  global_step: Any  # int64 [], after the update.
  network: list  # Variables of the network.
  ranges: list  # Variables that the rewrite for quantisation added.
  copies: list  # (variable, average).
  hooks: list  # That the optimizer needs.


def build_train_graph(config, problem, cluster):
  """Builds a run on the default graph.

  Args:
    config: `config.TrainConfig`.
    problem: `Problem`.
    cluster: `plan.Cluster`.

  Returns:
    `TrainGraph`.

  Raises:
    UserError: a scope to train has no variables, or a variable has no gradient.
  """
  with tf.device(cluster_device(cluster, '/device:CPU:0')):
    global_step = tf.train.get_or_create_global_step()
    images, labels = create_batches(config, problem, cluster, global_step)
  towers, ranges = _build_towers(config, problem, cluster, images, labels)
  network = slim.get_model_variables()
  # The range of an averaged kernel is not that of the last one.
  averaged = network + tf.get_collection(KERNEL_RANGES)
  with tf.device(cluster_device(cluster)):
    rate = learning_rate(config.schedule, global_step, steps_per_epoch(config, problem, cluster))
    optimizer, hooks = create_optimizer(config.optimizer, rate), []
    if cluster.is_synchronous:
      optimizer = SynchronousOptimizer(optimizer, cluster.aggregate, cluster.workers)
    steps = global_step + 1
    update = _update(optimizer, towers, _trained(config.network), global_step, steps)
    if cluster.is_synchronous:
      # No tokens at first: with one at hand, a worker would not wait for the first update.
      hooks.append(optimizer.make_session_run_hook(cluster.is_chief, num_tokens=0))
    train_op, copies = _after_update(
        config=config, towers=towers, update=update, averaged=averaged, steps=steps,
        cluster=cluster)
    with tf.control_dependencies([train_op]), tf.colocate_with(global_step):
      step = global_step.read_value()
  return TrainGraph(
      train_op=train_op, loss=towers.loss, learning_rate=rate, global_step=step, network=network,
      ranges=ranges, copies=copies, hooks=hooks)


def batch_of_worker(config):
  """Images of a step of one process."""
  return config.data.batch_size * config.deploy.num_clones


def steps_per_epoch(config, problem, cluster):
  """Updates an epoch, a real number."""
  return problem.split.count / (batch_of_worker(config) * cluster.batches_per_update)


def create_batches(config, problem, cluster, global_step):
  """Images and labels of this worker, continuing where the global step left off.

  The iterator starts with the local variables, when the global step has its value.
  """
  data, batch_size = config.data, batch_of_worker(config)
  rounds = global_step * cluster.batches_per_update // cluster.workers
  batches = training_batches(
      split=problem.split, batch_size=batch_size, image_size=problem.image_size,
      offset=problem.labels_offset, preprocessing_name=data.preprocessing_name, seed=data.seed,
      threads=data.num_preprocessing_threads, shard=(cluster.task, cluster.workers),
      start=rounds * cluster.workers * batch_size, readers=data.num_readers)
  iterator = tf.data.make_initializable_iterator(batches)
  tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
  return iterator.get_next()


def smoothed_cross_entropy(logits, labels, smoothing):
  """float32 []: mean over the batch; `smoothing` of each label is shared by all classes.

  Args:
    logits: float32 [N, K].
    labels: int32 [N], of 0..K-1.
    smoothing: in [0, 1).
  """
  classes = logits.shape.as_list()[1]
  targets = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
  return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(
      labels=tf.stop_gradient(targets), logits=logits))


def _build_towers(config, problem, cluster, images, labels):
  """`clones.Towers`, and the variables that quantisation adds."""
  network, options = get_network(config.network.model_name), config.network
  layers = FloatLayers() if options.quantize_delay < 0 else scheme.training_layers(
      options.quantize_delay, options.freeze_batch_norm_delay)

  def build(images, labels, index):
    logits, _ = network.build(
        images, problem.classes, True, dropout=options.dropout, drop_connect=options.drop_connect,
        batch_norm_decay=options.batch_norm_decay, weight_decay=config.loss.weight_decay,
        reuse=index > 0, seed=_tower_seed(config, cluster, index), layers=layers)
    return smoothed_cross_entropy(logits, labels, config.loss.label_smoothing)

  towers = clones.build_towers(images, labels, place(config.deploy, cluster).towers, build)
  layers.finish(tf.get_default_graph())
  return towers, list(layers.ranges)


def _tower_seed(config, cluster, index):
  """Of the random ops of a tower: another one for each tower of each worker."""
  return config.data.seed + cluster.task * config.deploy.num_clones + index


def _trained(network):
  """Variables of the scopes to train, all without such."""
  wanted, variables = scopes(network.trainable_scopes), tf.trainable_variables()
  for scope in wanted:
    if not any(in_scopes(variable.op.name, [scope]) for variable in variables):
      raise UserError('--trainable_scopes: the network has no variable to train in %s' % scope)
  return [v for v in variables if in_scopes(v.op.name, wanted)] if wanted else variables


def _update(optimizer, towers, variables, global_step, steps):
  """Op that changes the variables, once the loss and `steps` of before have been computed.

  And all gradients: each reads many variables.
  """
  pairs = clones.gradients(towers, optimizer, variables)
  computed = tf.group(towers.loss, steps, *[gradient for gradient, _ in pairs])
  with tf.control_dependencies([computed]):
    pairs = [(tf.identity(gradient), variable) for gradient, variable in pairs]
  return optimizer.apply_gradients(pairs, global_step)


def _after_update(config, towers, update, averaged, steps, cluster):
  """The whole step: moving statistics of batch norm beside the update, averages after both.

  Of synchronous workers only the chief moves them, so that they move once an update.

  Returns:
    Op, list of (variable, average).
  """
  if cluster.is_synchronous and not cluster.is_chief:
    return update, []
  step, decay = tf.group(update, *towers.updates), config.start.moving_average_decay
  if decay is None:
    return step, []
  with tf.control_dependencies([step]):
    move, averages = create_averages(averaged, decay, steps)
  return move, list(zip(averaged, averages))
