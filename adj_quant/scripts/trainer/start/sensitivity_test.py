"""Tests of the Fisher information against the divergence that noise really causes."""

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.trainer.start import sensitivity


def test_expected_loss_is_the_divergence_that_noise_causes():
  """A linear classifier of 2 inputs and 3 outputs, its input and its kernel disturbed."""
  random = np.random.RandomState(0)
  images = np.float32(random.randn(4000, 2))
  kernel = np.float32(random.randn(2, 3))
  widths = {'x': np.float32([0.2, 0.05]), 'k': np.float32([0.1, 0.02, 0.05])}
  with tf.Graph().as_default(), tf.Session() as session:
    probe = sensitivity.Probe()
    x = probe.activation(tf.constant(images), 'x')
    logits = tf.matmul(x, probe.weights(tf.constant(kernel), 'k', 1))
    squares = session.run(sensitivity.squared_gradients(logits, probe, seed=1))
  # One batch has one squared sum for a kernel: small batches make a mean of many.
  assert squares['x'].shape == (2,) and squares['k'].shape == (3,)
  actual = sensitivity.expected_loss(squares, len(images), widths)['x']
  for channel in range(2):
    noise = np.zeros_like(images)
    noise[:, channel] = widths['x'][channel] * random.uniform(-0.5, 0.5, len(images))
    expected = divergence(images.dot(kernel), (images + noise).dot(kernel))
    np.testing.assert_allclose(actual[channel], expected, rtol=0.1)


def test_kernel_noise_over_batches():
  random = np.random.RandomState(2)
  images = np.float32(random.randn(3000, 2))
  kernel = np.float32(random.randn(2, 3))
  sums = 0.0
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.placeholder(tf.float32, [None, 2])
    probe = sensitivity.Probe()
    logits = tf.matmul(batch, probe.weights(tf.constant(kernel), 'k', 1))
    squares = sensitivity.squared_gradients(logits, probe, seed=1)
    for start in range(0, len(images), 6):
      sums = sums + session.run(squares, {batch: images[start:start + 6]})['k']
  actual = sensitivity.expected_loss({'k': sums}, len(images), {'k': np.full([3], 0.05)})['k']
  for channel in range(3):
    expected = []
    for _ in range(200):
      noisy = kernel.copy()
      noisy[:, channel] += random.uniform(-0.025, 0.025, 2)
      expected.append(divergence(images.dot(kernel), images.dot(noisy)))
    np.testing.assert_allclose(actual[channel], np.mean(expected), rtol=0.2)


def divergence(logits, others):
  """Mean Kullback-Leibler divergence of softmax(others) from softmax(logits), in nats."""
  logs = [v - np.log(np.sum(np.exp(np.float64(v)), 1, keepdims=True)) for v in (logits, others)]
  return np.mean(np.sum(np.exp(logs[0]) * (logs[0] - logs[1]), 1))
