"""The graph of a training run: student, teacher, loss, optimisers on one stream of batches."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import CLASSIFIER, feature_layers
from scripts.trainer.graph import losses
from scripts.trainer.graph.metric import published_metric
from scripts.trainer.graph.optimizer import create_train_ops


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
  ops: Any  # optimizer.TrainOps.
  lr_bits: Any  # Learning rate of the bit-widths, the configuration's unless it is fed.


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
                      impl='ops', any_size=False):
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

  Returns:
    `TrainGraph`.
  """
  batches = create_batches(datasets, None if any_size else image_size)
  parameters = students.create_parameters(spec, train_weights)
  student = students.build_student(batches.images, spec, parameters, impl)
  teacher_weights = students.create_weights('teacher', teacher, spec.classes, False)
  float_logits, float_points = students.build_float(batches.images, teacher, teacher_weights,
                                                    'teacher', impl)
  metric = published_metric(student.bits, spec, image_size, config.gamma)
  features = [[points[layer] for layer in feature_layers(spec.architecture)]
              for points in (student.end_points, float_points)] if config.kd_features else None
  parts = losses.total_loss(student.logits, float_logits, batches.labels, metric, config, features)
  lr_bits = tf.placeholder_with_default(tf.constant(config.lr_bits, tf.float32), [], 'lr_bits')
  factor = 1.0 if config.lr_ranges is None else config.lr_ranges / config.lr
  unit, frozen = None, _frozen(parameters.weights.shapes, config)
  if train_weights and (config.lr_relative or frozen):
    unit = students.weight_units(parameters, config.lr_relative, frozen)
  ops = create_train_ops(
      loss=parts.total, parameters=parameters, lr_bits=lr_bits, ranges_factor=factor, unit=unit,
      intervals=students.intervals(spec))
  return TrainGraph(
      batches=batches, parameters=parameters, student=student, teacher_weights=teacher_weights,
      float_logits=float_logits, losses=parts, ops=ops, lr_bits=lr_bits)


def _frozen(names, config):
  """Those of the names of kernels and biases that do not move."""
  return {name for name in names
          if config.freeze_kernels and name.endswith('/weights')
          or config.freeze_classifier and name.startswith(CLASSIFIER + '/')}
