"""Tests of kernels whose rounding errors cancel out."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import architecture as arch
from scripts.effnetb0 import student as students
from scripts.effnetb0.quantizers import Grid
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY
from scripts.trainer.start import rounding

IMAGES = np.random.RandomState(2).randint(0, 256, [6, 32, 32, 3]).astype(np.float32)


def moments_of(x):
  """`Moments` of x [G, outputs, I]."""
  return rounding.Moments(np.matmul(x.transpose(0, 2, 1), x), x.sum(axis=1), x.shape[1])


def correlated(random, outputs, groups=2, inputs=12):
  """Inputs [G, outputs, I] that share most of their variance, around a mean."""
  mixing = np.random.RandomState(7).normal(size=[groups, 3, inputs])
  return (np.matmul(random.normal(size=[groups, outputs, 3]), mixing) + 2.0 +
          0.1 * random.normal(size=[groups, outputs, inputs]))


@pytest.fixture(name='problem')
def rounding_problem():
  """Kernel, its grid of 8 codes, and inputs of two halves and of other images."""
  random = np.random.RandomState(0)
  kernel = random.normal(size=[2, 12, 5])
  low, high = kernel.min(axis=1), kernel.max(axis=1)
  step = (high - low) / 7
  lowest = np.rint(low / step)
  return (kernel, Grid(step, lowest, lowest + 7),
          [correlated(random, 400) for _ in range(3)])


def change(x, kernel, rounded, added):
  """Mean squared change of the sums of inputs x."""
  return np.mean(np.square(np.matmul(x, rounded - kernel) + added[:, np.newaxis]))


def test_sums_of_other_images_change_less_than_with_the_nearest_codes(problem):
  kernel, grid, (first, second, other) = problem
  rounded, added = rounding.round_layer(kernel, [moments_of(first), moments_of(second)], grid)
  step, lowest, highest = (part[:, np.newaxis] for part in grid)
  codes = rounded / step
  np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
  assert np.all(codes > lowest - 0.5) and np.all(codes < highest + 0.5)
  nearest = np.clip(np.rint(kernel / step), lowest, highest) * step
  both = np.concatenate([first, second], axis=1)
  correction = np.einsum('gi,gio->go', both.mean(axis=1), kernel - nearest)
  assert change(other, kernel, rounded, added) < 0.3 * change(other, kernel, nearest, correction)


def test_errors_are_passed_on_in_parts_as_in_one_go(problem, monkeypatch):
  kernel, grid, (first, second, _) = problem
  halves = [moments_of(first), moments_of(second)]
  expected = rounding.round_layer(kernel, halves, grid)
  monkeypatch.setattr(rounding, '_ROWS', 5)
  for own, other in zip(rounding.round_layer(kernel, halves, grid), expected):
    np.testing.assert_allclose(own, other, atol=1e-9)


def test_the_loss_on_other_images_has_a_part_for_their_mean():
  one = np.ones([1, 1, 1])
  own, other = (rounding.Statistics(3 * one, mean * one[0], None) for mean in (1.0, 6.0))
  assert rounding._loss(2 * one, own, other) == 2 * 3 * 2 + (2 * 5) ** 2


def test_the_bias_keeps_the_mean_of_all_images(problem):
  kernel, grid, (first, second, _) = problem
  rounded, added = rounding.round_layer(kernel, [moments_of(first), moments_of(second)], grid)
  both = np.concatenate([first, second], axis=1)
  means = np.matmul(both, rounded - kernel).mean(axis=1) + added
  np.testing.assert_allclose(means, 0, atol=1e-9)


def test_the_damping_is_the_best_for_the_other_half():
  random = np.random.RandomState(3)
  kernel = random.normal(size=[1, 40, 3])
  halves = [moments_of(correlated(random, 8, 1, 40)) for _ in range(2)]
  grid = Grid(np.full([1, 3], 0.5), np.full([1, 3], -3.0), np.full([1, 3], 4.0))
  rounded, _ = rounding.round_layer(kernel, halves, grid)
  first, second = map(rounding._statistics, halves)
  losses = {}
  for damping in rounding.DAMPINGS:
    errors = [rounding._compensated(kernel, own, grid, damping) - kernel for own in (first, second)]
    losses[damping] = (rounding._loss(errors[0], first, second) +
                       rounding._loss(errors[1], second, first))
  best = min(losses, key=losses.get)
  both = rounding._statistics(rounding.Moments(*[a + b for a, b in zip(*halves)]))
  assert best != rounding.DAMPINGS[0]
  np.testing.assert_array_equal(rounded, rounding._compensated(kernel, both, grid, best))


def test_constant_inputs_are_no_error(problem):
  kernel, grid, _ = problem
  for second in (np.zeros([2, 9, 12]), 1e4 * np.ones([2, 9, 12])):
    halves = [moments_of(np.zeros([2, 9, 12])), moments_of(second)]
    # As rounded sums leave it: a variance a little below 0.
    halves = [half._replace(products=half.products * (1 - 1e-9)) for half in halves]
    rounded, added = rounding.round_layer(kernel, halves, grid)
    assert np.all(np.isfinite(rounded)) and np.all(np.isfinite(added))


@pytest.fixture(name='measured', scope='module')
def measured_moments():
  """Moments of the tiny network's layers over IMAGES, and the tensors that its layers read."""
  weights = testing_network.random_weights()
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', TINY, CLASSES, False)
    images = tf.constant(IMAGES)
    moments = rounding.input_moments(images, students.layer_weights(flat), TINY, CLASSES)
    _, end_points = students.build_float(images, TINY, flat, 'float')
    flat.variable.load(students.weight_vector(weights, TINY, CLASSES), session)
    batch, end_points = session.run([moments, end_points])
  accumulator = rounding.MomentsAccumulator()
  accumulator.add(batch)
  return accumulator.moments(), end_points


def test_moments_are_those_of_what_a_layer_reads(measured):
  moments, end_points = measured
  layers = {layer.name: layer for layer in arch.layers(TINY, 32, CLASSES)}
  assert set(moments) == set(layers)
  for name in ('expanded_conv_0/se_1', 'expanded_conv_2/project', 'output'):
    x = end_points[layers[name].reads]
    expected = moments_of(x.reshape(1, -1, x.shape[-1]))
    for own, other in zip(moments[name], expected):
      np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-2)


def test_moments_of_depthwise_kernels_are_those_of_windows(measured):
  moments, end_points = measured
  x = np.pad(end_points['expanded_conv_2/expand'], [(0, 0), (1, 1), (1, 1), (0, 0)], 'constant')
  side = x.shape[1] - 2
  windows = np.stack([x[:, i:i + side, j:j + side] for i in range(3) for j in range(3)], axis=-1)
  expected = moments_of(windows.transpose(3, 0, 1, 2, 4).reshape(x.shape[-1], -1, 9))
  for own, other in zip(moments['expanded_conv_2/dws'], expected):
    np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-2)


def test_all_inputs_of_a_strided_stem(measured):
  moments, _ = measured
  assert moments['Conv'].products.shape == (1, 27, 27) and moments['Conv'].count == 6 * 16 * 16


def test_many_outputs_are_thinned_out(monkeypatch):
  monkeypatch.setattr(rounding, 'SIDE', 4)
  layer = {layer.name: layer
           for layer in arch.layers(TINY, 32, CLASSES)}['expanded_conv_0/project']
  x = np.random.RandomState(0).normal(size=[2, 16, 16, layer.inputs]).astype(np.float32)
  with tf.Graph().as_default(), tf.Session() as session:
    actual = session.run(rounding._inputs(tf.constant(x), layer))
  np.testing.assert_array_equal(actual, x[:, ::4, ::4].reshape(1, -1, layer.inputs))


def test_batches_add_up():
  x = np.random.RandomState(1).normal(size=[2, 50, 3]) + 1e4  # A mean far above the deviation.
  accumulator = rounding.MomentsAccumulator()
  for part in (x[:, :20], x[:, 20:]):
    mean = part.mean(axis=1)
    centred = np.float32(part - mean[:, np.newaxis])
    accumulator.add({'a': rounding.BatchMoments(
        np.matmul(centred.transpose(0, 2, 1), centred), mean, part.shape[1])})
  for own, expected in zip(accumulator.moments()['a'], moments_of(x)):
    np.testing.assert_allclose(own, expected, rtol=1e-9)
