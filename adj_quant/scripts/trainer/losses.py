"""The loss: distillation + alpha * classification + sign * beta * metric.

N images, K classes.
"""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf


class Losses(NamedTuple):
  """Parts of the loss, float32 scalars."""
  total: Any
  distillation: Any
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


def classification(logits, labels):
  """Mean softmax cross entropy of logits [N, K] with labels int32 [N] of 0..K-1, in nats."""
  return tf.reduce_mean(
      tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def total_loss(student, teacher, labels, metric, config):
  """The training loss of a `TrainConfig`.

  While the metric is above its target the loss pushes it down, below it up.

  Returns:
    `Losses`.
  """
  kd = distillation(student, teacher, config.kd_loss)
  ce = classification(student, labels)
  sign = tf.where(metric > config.metric, 1.0, -1.0)
  return Losses(kd + config.alpha * ce + sign * config.beta * metric, kd, ce, metric)
