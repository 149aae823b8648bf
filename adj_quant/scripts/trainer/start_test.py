"""Tests of first bit-widths and ranges in the vectors of a network."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import testing_network
from scripts import thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import Precision, places
from scripts.trainer import start
from testing_network import CLASSES, TINY

SPEC = students.ModelSpec(TINY, CLASSES, Precision(4, 5, learnt_weights=True, learnt_acts=True))


@pytest.fixture(name='weights', scope='module')
def random_weights():
  return testing_network.random_weights()


def first_values(weights):
  found = students.quantised_nodes(SPEC)
  ranges = {n.name: (np.full([n.channels], -1.0), np.full([n.channels], 2.0)) for n in found}
  ranges.update(thresholds.kernel_ranges(weights, TINY, CLASSES))
  return students.first_values(SPEC, weights, ranges)


def test_bits_of_the_graph_have_the_metric(weights):
  lines = []
  losses = {n.name: np.ones([n.channels]) for n in students.quantised_nodes(SPEC) if n.learnt}
  first = start.with_bits(first_values(weights), SPEC, 32, losses, 7e-5, lines.append)
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(SPEC)
    bits = students.channel_bits(SPEC, parameters)
    parameters.bits_scale.variable.load(first.bits_scale, session)
    found = session.run(bits)
  assert lines == ['start: ' + start.describe_cost(start.cost_report(found, SPEC, 32))]
  assert start.cost_report(found, SPEC, 32).counts.published.metric <= 7e-5


def test_activations_that_cost_as_much_get_more_bits_than_kernels(weights, monkeypatch):
  losses = {n.name: np.ones([n.channels]) for n in students.quantised_nodes(SPEC) if n.learnt}

  def bits_of_acts(act_weight):
    monkeypatch.setattr(start, 'ACT_WEIGHT', act_weight)
    first = start.with_bits(first_values(weights), SPEC, 32, losses, 7e-5, print)
    return np.mean(5 * first.bits_scale[places(students.quantised_nodes(SPEC))['Conv/output']])

  assert bits_of_acts(50.0) > bits_of_acts(1.0)


def test_a_lower_exponent_brings_bits_closer_together(weights, monkeypatch):
  random = np.random.RandomState(0)
  losses = {n.name: np.exp(random.uniform(-6, 6, n.channels))
            for n in students.quantised_nodes(SPEC) if n.learnt}

  def spread(exponent):
    monkeypatch.setattr(start, 'EXPONENT', exponent)
    first = start.with_bits(first_values(weights), SPEC, 32, losses, 7e-5, print)
    before = start.first_bits([n for n in students.quantised_nodes(SPEC) if n.learnt])
    return np.std(before * first.bits_scale)

  assert spread(0.5) < spread(1.0)


def test_fitted_kernels_have_less_error_and_keep_their_zero(weights):
  first = first_values(weights)
  fitted = start.with_fitted_kernels(first, SPEC, weights)
  errors = [kernel_error(values, weights) for values in (first, fitted)]
  assert errors[1] < 0.99 * errors[0]
  acts = places(students.quantised_nodes(SPEC))['Conv/output']
  assert np.all(fitted.alpha[acts] == 1) and np.all(fitted.shift[acts] == 0)


def kernel_error(first, weights):
  """Sum of squared errors of all kernels, through the graph of the quantiser."""
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(SPEC)
    bits = students.channel_bits(SPEC, parameters)
    layers, quantize = students._composed(SPEC, parameters, bits, False)
    total = 0.0
    for layer in students.arch.layers(TINY, 32, CLASSES):
      kernel = layers[layer.name].weights
      total += tf.reduce_sum(tf.squared_difference(kernel, quantize.weights(
          kernel, layer.name + '/weights', layer.channel_axis)))
    for flat, values in zip(parameters, first):
      flat.variable.load(values, session)
    return session.run(total)
