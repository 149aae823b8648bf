"""Tests of the loss against NumPy and by its gradients."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.trainer.config import TrainConfig
from scripts.trainer.graph import losses

STUDENT = np.float32([[1.0, 2.0, -1.0], [0.0, 0.5, 3.0]])
TEACHER = np.float32([[1.5, 1.0, -1.0], [0.0, 0.0, 2.0]])
LABELS = np.int32([1, 0])


def evaluate(build):
  """The value of what `build` returns, in a graph of its own."""
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(build())


def softmax(x):
  return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def expected_abs():
  # Differences -0.5, 1, 0 and 0, 0.5, 1; a difference of 0 counts sqrt(1e-5).
  sums = [np.sqrt(0.25001) + np.sqrt(1.00001) + np.sqrt(1e-5)] * 2
  return 0.01 * np.mean(sums)


def expected_kl():
  p, q = softmax(TEACHER), softmax(STUDENT)
  return np.mean(np.sum(p * np.log(p / q), 1))


@pytest.mark.parametrize('kind, expected', [
    ('abs', expected_abs()), ('mse', (0.25 + 1.0 + 0.25 + 1.0) / 6), ('kl', expected_kl())])
def test_distillation(kind, expected):
  actual = evaluate(lambda: losses.distillation(STUDENT, TEACHER, kind))
  np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize('kind', ['abs', 'mse', 'kl'])
def test_distillation_teaches_the_student_alone(kind):
  def gradients():
    student, teacher = tf.constant(STUDENT), tf.constant(TEACHER)
    loss = losses.distillation(student, teacher, kind)
    assert tf.gradients(loss, teacher) == [None]
    return tf.gradients(loss, student)[0]

  gradient = evaluate(gradients)
  assert gradient.shape == STUDENT.shape
  assert gradient[0, 0] < 0 < gradient[1, 2]  # Towards the teacher: up from 1, down from 3.


def test_distance_of_features():
  random = np.random.RandomState(0)
  teacher = [np.float32(random.randn(6, 3, 3, 2) * [1.0, 5.0]), np.float32(random.randn(6, 4))]
  student = [np.float32(t + random.randn(*t.shape)) for t in teacher]
  expected = []
  for own, other in zip(student, teacher):
    axes = tuple(range(other.ndim - 1))
    variance = other.var(axes)
    expected.append(np.mean(np.square(own - other).mean(axes)
                            / (variance + 1e-3 * variance.mean())))
  actual = evaluate(lambda: losses.feature_distance(list(map(tf.constant, student)),
                                                    list(map(tf.constant, teacher))))
  np.testing.assert_allclose(actual, np.mean(expected), rtol=1e-5)


def test_distance_of_constant_features_is_finite():
  assert evaluate(lambda: losses.feature_distance([tf.zeros([2, 3])], [tf.zeros([2, 3])])) == 0


def test_weights_of_logits_and_features():
  config = TrainConfig(alpha=0.0, beta=0.0, kd_loss='mse', kd_weight=3.0, kd_features=5.0)
  features = [np.float32([[0.0], [2.0]])], [np.float32([[1.0], [-1.0]])]

  def build():
    constants = [[tf.constant(layer) for layer in network] for network in features]
    return (losses.total_loss(tf.constant(STUDENT), tf.constant(TEACHER), LABELS, 0.1, config,
                              constants).total, losses.feature_distance(*constants))

  total, distance = evaluate(build)
  np.testing.assert_allclose(total, 3.0 * 2.5 / 6 + 5.0 * distance, rtol=1e-6)
  np.testing.assert_allclose(distance, 5.0 / 1.001, rtol=1e-5)


def test_classification():
  actual = evaluate(lambda: losses.classification(tf.constant(STUDENT), LABELS))
  expected = -np.mean(np.log(softmax(STUDENT)[[0, 1], LABELS]))
  np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize('metric, sign', [(0.3, 1.0), (0.2001, 1.0), (0.1999, -1.0), (0.1, -1.0)])
def test_metric_is_pushed_towards_its_target_from_both_sides(metric, sign):
  config = TrainConfig(alpha=7.0, beta=85.0, metric=0.2, kd_loss='mse')

  def build():
    value = tf.constant(metric, tf.float32)
    parts = losses.total_loss(tf.constant(STUDENT), tf.constant(TEACHER), LABELS, value, config)
    return parts, tf.gradients(parts.total, value)[0]

  parts, slope = evaluate(build)
  np.testing.assert_allclose(slope, sign * 85.0)
  np.testing.assert_allclose(
      parts.total, parts.distillation + 7.0 * parts.classification + sign * 85.0 * metric,
      rtol=1e-6)
  np.testing.assert_allclose(parts.distillation, 2.5 / 6, rtol=1e-6)
  np.testing.assert_allclose(parts.metric, metric, rtol=1e-6)
