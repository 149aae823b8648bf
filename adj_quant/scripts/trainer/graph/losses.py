"""The loss: distillation + alpha * classification + sign * beta * metric.

N images, K classes, C channels.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf


class Losses(NamedTuple):
  """Parts of the loss, float32 scalars."""
  total: Any
  distillation: Any  # Of logits and features, weighted.
  classification: Any
  metric: Any


def distillation(student, teacher, kind):
  """How far the logits of student and teacher (float32 [N, K]) are apart.

  Args:
    kind: 'abs', 0.01 * the sum of smoothed absolute differences (the original recipe); 'mse',
      their mean square; 'kl', the divergence of the softmax distributions, in nats. All are means
      over the batch.
  """
  teacher = tf.stop_gradient(teacher)
  if kind == 'mse':
    return tf.reduce_mean(tf.squared_difference(student, teacher))
  if kind == 'kl':
    target = tf.nn.softmax(teacher)
    difference = tf.nn.log_softmax(teacher) - tf.nn.log_softmax(student)
    return tf.reduce_mean(tf.reduce_sum(target * difference, 1))
  smooth = tf.sqrt(tf.squared_difference(student, teacher) + 1e-5)
  return 0.01 * tf.reduce_mean(tf.reduce_sum(smooth, 1))


def feature_distance(student, teacher):
  """How far features of student and teacher are apart, in units of the teacher's variance.

  Args:
    student: list of float32 [..., C], one a layer.
    teacher: the same of the float network.

  Returns:
    float32 scalar, the mean over layers of the mean over channels of the mean squared difference
    over the variance that the teacher's channel has in this batch. A variance below a thousandth
    of the layer's mean hardly lowers the divisor any more.
  """
  return tf.add_n([_layer_distance(own, tf.stop_gradient(other))
                   for own, other in zip(student, teacher)]) / len(student)


def _layer_distance(student, teacher):
  axes = list(range(teacher.shape.ndims - 1))
  _, variance = tf.nn.moments(teacher, axes)
  floor = 1e-3 * tf.reduce_mean(variance) + 1e-12  # The last for a layer that is constant.
  return tf.reduce_mean(
      tf.reduce_mean(tf.squared_difference(student, teacher), axes) / (variance + floor))


def classification(logits, labels):
  """Mean softmax cross entropy of logits [N, K] with labels int32 [N] of 0..K-1, in nats."""
  return tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def total_loss(student, teacher, labels, metric, config, features=None):
  """The training loss of a `TrainConfig`.

  While the metric is above its target the loss pushes it down, below it up.

  Args:
    student, teacher: logits float32 [N, K].
    labels: int32 [N].
    metric: float32 scalar.
    config: `TrainConfig`.
    features: lists of the student's and the teacher's features, see `feature_distance`; needed
      where `config.kd_features` is not 0.

  Returns:
    `Losses`.
  """
  kd = config.kd_weight * distillation(student, teacher, config.kd_loss)
  if config.kd_features:
    kd += config.kd_features * feature_distance(*features)
  ce = classification(student, labels)
  sign = tf.where(metric > config.metric, 1.0, -1.0)
  return Losses(kd + config.alpha * ce + sign * config.beta * metric, kd, ce, metric)
