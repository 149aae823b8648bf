"""The graph of a training run: student, teacher, loss, optimisers on one stream of batches."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.cluster.placement import Placement
from scripts.cluster.plan import Cluster
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import CLASSIFIER, feature_layers
from scripts.trainer.graph import losses, towers
from scripts.trainer.graph.exchange import ROWS, create_exchange
from scripts.trainer.graph.metric import published_metric
from scripts.trainer.graph.optimizer import create_train_ops, trained_variables


class Batches(NamedTuple):
  """Images and labels that come from one of several data sets."""
  images: Any  # float32 [N, S, S, 3], RGB 0..255.
  labels: Any  # int32 [N].
  source: Any  # Placeholder for the handle of the data set to read.
  handles: dict  # Name -> handle tensor.
  initializers: dict  # Name -> op that starts the data set.


class TrainGraph(NamedTuple):
  """What a training run fetches and feeds."""
  batches: Batches
  parameters: students.Parameters
  student: students.Student
  teacher_weights: Any  # FlatVariable, not trained.
  float_logits: Any  # Of the teacher, float32 [N, K].
  losses: losses.Losses
  ops: Any  # optimizer.TrainOps, None in a worker that is not the chief.
  lr_bits: Any  # Learning rate of the bit-widths, the configuration's unless it is fed.
  exchange: Any  # exchange.Exchange of a cluster, None without one.


def create_batches(datasets, image_size):
  """One pair of tensors for several data sets.

  Args:
    datasets: dict name -> `tf.data.Dataset` of (images [N, S, S, 3], labels [N]).
    image_size: S; None where the data sets have several, for gradients go by what a shape says.

  Returns:
    `Batches`.
  """
  with tf.device('/device:CPU:0'):
    source = tf.placeholder(tf.string, [], 'data_source')
    iterators = {n: tf.data.make_initializable_iterator(d) for n, d in datasets.items()}
    images, labels = tf.data.Iterator.from_string_handle(
        source, (tf.float32, tf.int32)).get_next()
  images.set_shape([None, image_size, image_size, 3])
  labels.set_shape([None])
  return Batches(images, labels, source,
                 {n: i.string_handle() for n, i in iterators.items()},
                 {n: i.initializer for n, i in iterators.items()})


def build_train_graph(spec, teacher, datasets, image_size, config, train_weights=True,
                      impl='ops', any_size=False, placement=Placement(), cluster=Cluster(),
                      validated=()):
  """Builds everything a training run needs on the default graph.

  Args:
    spec: `student.ModelSpec` of the student.
    teacher: `Architecture` of the float network.
    datasets: dict with 'train' and 'validation', see `create_batches`.
    image_size: pixels a side, of which the metric is.
    config: `TrainConfig`.
    train_weights: False keeps kernels and biases constant.
    impl: of the quantisers, see `student.build_student`.
    any_size: the data sets have images of other sizes as well.
    placement: where its parts go.
    cluster: `plan.Cluster`; the graph of a worker that is not the chief has no optimisers.
    validated: images that each worker validates, for a cluster.

  Returns:
    `TrainGraph`.
  """
  def build(images, labels):
    student = students.build_student(images, spec, parameters, impl)
    float_logits, float_points = students.build_float(images, teacher, teacher_weights, 'teacher',
                                                      impl)
    metric = published_metric(student.bits, spec, image_size, config.gamma)
    features = [[points[layer] for layer in feature_layers(spec.architecture)]
                for points in (student.end_points, float_points)] if config.kd_features else None
    return student, float_logits, losses.total_loss(student.logits, float_logits, labels, metric,
                                                    config, features)

  with tf.device(placement.shared):
    batches = create_batches(datasets, None if any_size else image_size)
    parameters = students.create_parameters(spec, train_weights)
    with tf.device(placement.own):
      teacher_weights = students.create_weights('teacher', teacher, spec.classes, False)
    networks, float_logits, by_tower = zip(*towers.build(batches.images, batches.labels,
                                                         placement.towers, build))
    parts = losses.Losses(*map(towers.mean, zip(*by_tower)))
    gradients = towers.mean_gradients([each.total for each in by_tower], placement.towers,
                                      trained_variables(parameters))
    exchange = None
    if cluster.servers:
      exchange = create_exchange(cluster, gradients, tf.stack(parts), trained_variables(parameters),
                                 validated, ROWS)
    lr_bits = tf.placeholder_with_default(tf.constant(config.lr_bits, tf.float32), [], 'lr_bits')
    ops = None
    if cluster.is_chief:
      ops = create_train_ops(
          gradients=exchange.gradients if exchange else gradients, parameters=parameters,
          lr_bits=lr_bits,
          ranges_factor=1.0 if config.lr_ranges is None else config.lr_ranges / config.lr,
          unit=_unit(parameters, config, train_weights), intervals=students.intervals(spec))
  return TrainGraph(
      batches=batches, parameters=parameters,
      student=networks[0]._replace(logits=towers.joined([each.logits for each in networks])),
      teacher_weights=teacher_weights, float_logits=towers.joined(float_logits),
      losses=parts, ops=ops, lr_bits=lr_bits, exchange=exchange)


def _unit(parameters, config, train_weights):
  """Of the learning rate of the weights, None for 1."""
  frozen = _frozen(parameters.weights.shapes, config)
  if not train_weights or not (config.lr_relative or frozen):
    return None
  with tf.device(parameters.weights.variable.device):
    return students.weight_units(parameters, config.lr_relative, frozen)


def _frozen(names, config):
  """Those of the names of kernels and biases that do not move."""
  return {name for name in names
          if config.freeze_kernels and name.endswith('/weights')
          or config.freeze_classifier and name.startswith(CLASSIFIER + '/')}
