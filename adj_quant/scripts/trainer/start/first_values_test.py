"""Tests of first bit-widths and ranges in the vectors of a network."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import thresholds
from scripts.effnetb0 import variables
from scripts.effnetb0 import architecture as arch
from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import Precision, places
from scripts.effnetb0.quantizers import LIMITS
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY
from scripts.trainer.start import first_values, rounding

SPEC = students.ModelSpec(TINY, CLASSES, Precision(4, 5, learnt_weights=True, learnt_acts=True))


@pytest.fixture(name='weights', scope='module')
def random_weights():
  return testing_network.random_weights()


def measured(weights):
  quantised = students.quantised_nodes(SPEC)
  ranges = {n.name: (np.full([n.channels], -1.0), np.full([n.channels], 2.0)) for n in quantised}
  ranges.update(thresholds.kernel_ranges(weights, TINY, CLASSES))
  return students.first_values(SPEC, weights, ranges)


def test_bits_of_the_graph_have_the_metric(weights):
  lines = []
  losses = {n.name: np.ones([n.channels]) for n in students.quantised_nodes(SPEC) if n.learnt}
  first = first_values.with_bits(measured(weights), SPEC, 32, losses, 7e-5, lines.append)
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(SPEC)
    bits = students.channel_bits(SPEC, parameters)
    parameters.bits_scale.variable.load(first.bits_scale, session)
    actual = session.run(bits)
  report = first_values.cost_report(actual, SPEC, 32)
  assert lines == ['start: ' + first_values.describe_cost(report)]
  assert report.counts.published.metric <= 7e-5


def test_activations_that_cost_as_much_get_more_bits_than_kernels(weights, monkeypatch):
  losses = {n.name: np.ones([n.channels]) for n in students.quantised_nodes(SPEC) if n.learnt}

  def bits_of_acts(act_weight):
    monkeypatch.setattr(first_values, 'ACT_WEIGHT', act_weight)
    first = first_values.with_bits(measured(weights), SPEC, 32, losses, 7e-5, print)
    return np.mean(5 * first.bits_scale[places(students.quantised_nodes(SPEC))['Conv/output']])

  assert bits_of_acts(50.0) > bits_of_acts(1.0)


def test_a_lower_exponent_brings_bits_closer_together(weights, monkeypatch):
  random = np.random.RandomState(0)
  losses = {n.name: np.exp(random.uniform(-6, 6, n.channels))
            for n in students.quantised_nodes(SPEC) if n.learnt}

  def spread(exponent):
    monkeypatch.setattr(first_values, 'EXPONENT', exponent)
    first = first_values.with_bits(measured(weights), SPEC, 32, losses, 7e-5, print)
    before = first_values.first_bits([n for n in students.quantised_nodes(SPEC) if n.learnt])
    return np.std(before * first.bits_scale)

  assert spread(0.5) < spread(1.0)


def test_fitted_kernels_have_less_error_and_keep_their_zero(weights):
  first = measured(weights)
  fitted = first_values.with_fitted_kernels(first, SPEC, weights, print)
  errors = [kernel_error(values) for values in (first, fitted)]
  assert errors[1] < errors[0]  # The whole range is one of the candidates.
  acts = places(students.quantised_nodes(SPEC))['Conv/output']
  assert np.all(fitted.alpha[acts] == 1) and np.all(fitted.shift[acts] == 0)


@pytest.mark.parametrize('range_set', sorted(LIMITS))
def test_fitted_ranges_lie_in_the_range_set(weights, range_set, monkeypatch):
  monkeypatch.setattr(first_values, 'SHARES', np.array([0.45, 1.0]))
  weights = with_an_outlier(weights)
  spec, notes = SPEC._replace(range_set=range_set, precision=Precision(2)), []
  ranges = {n.name: (np.full([n.channels], -1.0), np.full([n.channels], 2.0))
            for n in students.quantised_nodes(spec)}
  ranges.update(thresholds.kernel_ranges(weights, TINY, CLASSES))
  first = students.first_values(spec, weights, ranges)
  fitted = first_values.with_fitted_kernels(first, spec, weights, notes.append)
  limits = LIMITS[range_set]
  for values, (low, high) in ((fitted.alpha, limits.alpha), (fitted.shift, limits.shift)):
    assert np.all((np.float32(low) <= values) & (values <= np.float32(high)))
  unbounded = first_values.with_fitted_kernels(first, spec._replace(range_set=7), weights, print)
  changed = np.sum(unbounded.alpha != fitted.alpha)
  assert notes == ['note: --range %d excludes the best range of --fit_ranges for %d of %d channels '
                   'of kernels; these take the best that it allows' % (
                       range_set, changed, kernel_channels(spec))] * bool(changed)
  assert changed or range_set > 2


def with_an_outlier(weights):
  """Weights with a channel that prefers 0.45 of its range at 2 bits: 0.15 is the step of that."""
  kernel = weights['Conv'].weights.copy()
  kernel[..., 0] = 0.15
  kernel[0, 0, :2, 0] = 0.0, 1.0
  return dict(weights, Conv=weights['Conv']._replace(weights=kernel))


def kernel_channels(spec):
  return sum(n.channels for n in students.quantised_nodes(spec) if n.kind == 'weights')


def kernel_error(first):
  """Sum of squared errors of all kernels, through the graph of the quantiser."""
  own = latent(first)
  return sum(np.sum(np.square(kernel - own[name + '/weights']))
             for name, kernel in quantised_kernels(first).items())


def quantised_kernels(first):
  """Dict layer -> kernel, through the graph of the quantiser."""
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(SPEC)
    bits = students.channel_bits(SPEC, parameters)
    layers, quantize = students._composed(SPEC, parameters, bits, False)
    kernels = {layer.name: quantize.weights(layers[layer.name].weights, layer.name + '/weights',
                                            layer.channel_axis)
               for layer in arch.layers(TINY, 32, CLASSES)}
    students.load_values(parameters, first, session)
    return session.run(kernels)


def test_rounded_kernels_are_on_their_grids_and_keep_the_sums_better(weights):
  first = first_values.with_fitted_kernels(measured(weights), SPEC, weights, print)
  random = np.random.RandomState(4)
  halves = [random_moments(random), random_moments(random)]
  rounded = first_values.with_rounded_kernels(first, SPEC, weights, halves)
  assert kernel_error(rounded) < 1e-10
  np.testing.assert_array_equal(rounded.alpha, first.alpha)
  errors = [sum_error(values, weights, random_moments(random)) for values in (first, rounded)]
  assert errors[1] < 0.8 * errors[0]
  place = places(students.quantised_nodes(SPEC))['Conv/bias']
  bias = latent(rounded)['Conv/bias']
  assert rounded.initial_low[place] == bias.min()
  assert rounded.initial_low[place] + rounded.initial_width[place] == pytest.approx(bias.max())


def test_float_kernels_are_not_rounded(weights):
  spec = SPEC._replace(precision=Precision(4, 5, float_ends=True, bias_bits=-1))
  ranges = {n.name: (np.full([n.channels], -1.0), np.full([n.channels], 2.0))
            for n in students.quantised_nodes(spec)}
  first = students.first_values(spec, weights, ranges)
  random = np.random.RandomState(4)
  rounded = first_values.with_rounded_kernels(
      first, spec, weights, [random_moments(random), random_moments(random)])
  np.testing.assert_array_equal(latent(rounded)['Conv/weights'], weights['Conv'].weights)
  assert np.any(latent(rounded)['expanded_conv_0/dws/weights'] !=
                weights['expanded_conv_0/dws'].weights)


def test_rounding_keeps_the_mean_of_every_channel_of_every_layer(weights):
  images = np.random.RandomState(6).randint(0, 256, [4, 32, 32, 3]).astype(np.float32)
  first = first_values.with_fitted_kernels(measured(weights), SPEC, weights, print)
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', TINY, CLASSES, False)
    pieces = students.layer_weights(flat)
    batch = rounding.input_moments(tf.constant(images), pieces, TINY, CLASSES)
    _, reads = students.build_float(tf.constant(images), TINY, flat, 'float')
    reads['image'] = tf.constant((images - np.float32(TINY.mean)) / np.float32(TINY.std))
    means = {layer.name: layer_means(reads[layer.reads], pieces[layer.name], layer)
             for layer in arch.layers(TINY, 32, CLASSES)}
    flat.variable.load(first.weights, session)
    batch, reads, expected = session.run([batch, reads, means])
    accumulator = rounding.MomentsAccumulator()
    accumulator.add(batch)
    rounded = first_values.with_rounded_kernels(first, SPEC, weights, [accumulator.moments()] * 2)
    flat.variable.load(rounded.weights, session)
    fixed = {name: tf.constant(x) for name, x in reads.items()}
    actual = session.run({layer.name: layer_means(fixed[layer.reads], pieces[layer.name], layer)
                         for layer in arch.layers(TINY, 32, CLASSES)})
  for name in expected:
    np.testing.assert_allclose(actual[name], expected[name], atol=1e-4, err_msg=name)


def layer_means(x, weights, layer):
  """Means over images and pixels of a convolution with its bias, [C]."""
  stride = int(round(int(x.shape[1]) / layer.pixels ** 0.5))
  convolve = (tf.nn.depthwise_conv2d if layer.kind == 'depthwise' else tf.nn.conv2d)
  sums = convolve(x, weights.weights, [1, stride, stride, 1], 'SAME')
  return tf.reduce_mean(sums, [0, 1, 2]) + weights.bias


def latent(first):
  """Dict name -> kernel or bias of first values."""
  return variables.cut(first.weights, students.weight_shapes(TINY, CLASSES))


def random_moments(random):
  """Dict layer -> `Moments` of inputs that share a part of their variance."""
  moments = {}
  for layer in arch.layers(TINY, 32, CLASSES):
    groups = layer.outputs if layer.kind == 'depthwise' else 1
    inputs = layer.params // layer.outputs
    x = random.normal(size=[groups, 500, inputs]) + random.normal(size=[groups, 500, 1])
    moments[layer.name] = rounding.Moments(np.matmul(x.transpose(0, 2, 1), x), x.sum(axis=1), 500)
  return moments


def sum_error(first, weights, moments):
  """How much the sums of all kernels but depthwise ones change by their quantisation."""
  kernels = quantised_kernels(first)
  total = 0.0
  for layer in arch.layers(TINY, 32, CLASSES):
    if layer.kind != 'depthwise':
      error = (kernels[layer.name] - weights[layer.name].weights).reshape(-1, layer.outputs)
      total += np.sum(error * np.matmul(moments[layer.name].products[0], error))
  return total
