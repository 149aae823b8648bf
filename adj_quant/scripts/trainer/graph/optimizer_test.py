"""Tests of the two optimisers on a handful of variables."""

import collections

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import quantizers
from scripts.effnetb0.student import Parameters
from scripts.effnetb0.variables import create_flat_variable
from scripts.trainer.graph.optimizer import create_train_ops, trained_variables
from scripts.trainer.graph.towers import mean_gradients

LR, LR_BITS = 0.1, 0.01
TRAINED = ('weights', 'alpha', 'shift')
OTHERS = TRAINED[1:] + ('bits_scale',)


def gradients_of(loss, parameters):
  return mean_gradients([loss], [None], trained_variables(parameters))


class Toy:
  """Parameters of two values each, and a loss of which each value but shift is a steep part."""

  def __init__(self, names=TRAINED + ('bits_scale',), train_weights=True, idle=(), **options):
    flats = {name: create_flat_variable(name, collections.OrderedDict([(name, (2,))]),
                                        train_weights or name != 'weights') for name in names}
    self.parameters = Parameters(*[flats.get(name) for name in Parameters._fields])
    used = [flat.variable for name, flat in flats.items() if name not in idle]
    self.loss = tf.add_n([tf.reduce_sum(tf.square(v - 3.0)) for v in used])
    self.ops = create_train_ops(gradients_of(self.loss, self.parameters), self.parameters, LR_BITS,
                                **options)
    self.session = tf.Session()
    self.session.run(tf.global_variables_initializer())

  def step(self, op, learning_rate=LR):
    self.session.run(op, {self.ops.learning_rate: learning_rate})
    return self.values()

  def values(self):
    actual = {name: flat.variable for name, flat in self.parameters._asdict().items() if flat}
    return self.session.run(actual)


@pytest.fixture(autouse=True)
def graph():
  with tf.Graph().as_default():
    yield


def test_frozen_step_leaves_bits_alone_and_first_steps_are_the_learning_rates():
  toy = Toy()
  after = toy.step(toy.ops.train)
  assert after['bits_scale'].tolist() == [0.0, 0.0]
  for name in TRAINED:
    np.testing.assert_allclose(after[name], LR, rtol=1e-5)  # Adam's first step.


def test_step_with_bits_moves_all_each_at_its_rate():
  toy = Toy()
  after = toy.step(toy.ops.train_with_bits)
  np.testing.assert_allclose(after['bits_scale'], LR_BITS, rtol=1e-5)
  for name in TRAINED:
    np.testing.assert_allclose(after[name], LR, rtol=1e-5)


def test_learning_rate_zero_leaves_all_but_bits():
  toy = Toy()
  after = toy.step(toy.ops.train_with_bits, learning_rate=0.0)
  assert all(after[name].tolist() == [0.0, 0.0] for name in TRAINED)
  np.testing.assert_allclose(after['bits_scale'], LR_BITS, rtol=1e-5)


def test_gradients_are_computed_once():
  Toy()
  names = [op.type for op in tf.get_default_graph().get_operations()]
  # One gradient of a square a variable, and one application of Adam.
  assert names.count('ResourceApplyAdam') == 4
  squares = [op for op in tf.get_default_graph().get_operations()
             if op.name.startswith('gradients/Square') and op.name.endswith('/Mul_1')]
  assert len(squares) == 4


def test_a_step_after_reset_is_a_first_step():
  toy = Toy()
  start = toy.values()
  first = toy.step(toy.ops.train_with_bits)
  for _ in range(5):
    toy.step(toy.ops.train_with_bits)
  toy.session.run(toy.ops.reset)
  for name, flat in toy.parameters._asdict().items():
    if flat:
      flat.variable.load(start[name], toy.session)
  again = toy.step(toy.ops.train_with_bits)
  for name, values in first.items():
    assert again[name].tolist() == values.tolist()


def test_reset_zeroes_moments_and_powers_but_no_parameter():
  toy = Toy()
  moved = toy.step(toy.ops.train_with_bits)
  toy.session.run(toy.ops.reset)
  assert all(np.array_equal(moved[name], kept) for name, kept in toy.values().items())
  own = [flat.variable for flat in toy.parameters if flat]
  slots = {v.op.name: toy.session.run(v) for v in tf.global_variables() if v not in own}
  assert len(slots) == 2 * 4 + 2 * 2  # Two moments a variable, two powers an optimiser.
  for name, value in slots.items():
    power = next((p for key, p in (('beta1_power', 0.9), ('beta2_power', 0.999)) if key in name),
                 0.0)
    np.testing.assert_allclose(value, np.full(value.shape, power), rtol=1e-6)


def test_without_learnt_bits_both_steps_are_one():
  toy = Toy(names=TRAINED)
  assert toy.ops.train is toy.ops.train_with_bits


def test_constant_weights_are_not_trained():
  toy = Toy(train_weights=False)
  after = toy.step(toy.ops.train_with_bits)
  assert after['weights'].tolist() == [0.0, 0.0]
  assert all(np.all(after[name] > 0) for name in OTHERS)


@pytest.mark.parametrize('name', ['alpha', 'bits_scale'])
def test_a_variable_that_no_gradient_reaches_is_an_error(name):
  with pytest.raises(ValueError, match='no gradient reaches %s$' % name):
    Toy(idle=[name])


def test_ranges_at_a_rate_of_their_own():
  toy = Toy(ranges_factor=3.0)
  after = toy.step(toy.ops.train_with_bits)
  np.testing.assert_allclose(after['weights'], LR, rtol=1e-5)
  np.testing.assert_allclose(after['alpha'], 3 * LR, rtol=1e-5)
  np.testing.assert_allclose(after['shift'], 3 * LR, rtol=1e-5)
  np.testing.assert_allclose(after['bits_scale'], LR_BITS, rtol=1e-5)


def test_weights_in_units_move_as_adam_moves_their_quotient():
  unit = np.float32([0.5, 4.0])
  toy = Toy(unit=unit)
  for _ in range(20):
    after = toy.step(toy.ops.train)
  with tf.Graph().as_default(), tf.Session() as session:
    quotient = tf.get_variable('u', initializer=np.zeros([2], np.float32))
    loss = tf.reduce_sum(tf.square(quotient * unit - 3.0))
    step = tf.train.AdamOptimizer(LR).minimize(loss)
    session.run(tf.global_variables_initializer())
    for _ in range(20):
      session.run(step)
    expected = session.run(quotient) * unit
  np.testing.assert_allclose(after['weights'], expected, rtol=1e-5)
  np.testing.assert_allclose(after['alpha'][0], after['alpha'][1])


def test_reset_reaches_the_slots_of_units():
  toy = Toy(unit=np.float32([1.0, 1.0]))
  first = toy.step(toy.ops.train)
  for _ in range(3):
    toy.step(toy.ops.train)
  toy.session.run(toy.ops.reset)
  toy.parameters.weights.variable.load(np.zeros([2], np.float32), toy.session)
  assert toy.step(toy.ops.train)['weights'].tolist() == first['weights'].tolist()


class Channels:
  """Channels whose bits, ranges and lower ends a loss pushes straight up or down.

  The loss is `push` times a million times the sum of all bits, widths and lower ends.
  """

  def __init__(self, range_set=5, first_bits=6.0):
    shapes = {name: collections.OrderedDict([(name, (3,))]) for name in OTHERS + ('weights',)}
    flats = {name: create_flat_variable(name, shape) for name, shape in shapes.items()}
    self.parameters = Parameters(*[flats.get(name) for name in Parameters._fields])
    limits = quantizers.LIMITS[range_set]
    self.intervals = Parameters(None, limits.alpha, limits.shift,
                                (np.float32([2.0 / first_bits] * 3), 8.0 / first_bits), None, None)
    alpha, shift, bits_scale, weights = (flats[name].variable.read_value() for name in (
        'alpha', 'shift', 'bits_scale', 'weights'))
    learnt = quantizers.learnt_range(alpha, shift, quantizers.Range(-0.5, tf.ones([3])), limits)
    bits = quantizers.learnt_bits(bits_scale, first_bits)
    self.push = tf.placeholder(tf.float32, [])
    loss = 1e6 * self.push * tf.reduce_sum(bits + learnt.low + learnt.width + weights)
    self.ops = create_train_ops(gradients_of(loss, self.parameters), self.parameters, 0.1,
                                intervals=self.intervals)
    self.session = tf.Session()
    self.session.run(tf.global_variables_initializer())
    for name, value in (('alpha', 0.8), ('shift', 0.0), ('bits_scale', 1.0)):
      flats[name].variable.load(np.full([3], value, np.float32), self.session)

  def step(self, push):
    """One step; returns dict name -> values."""
    self.session.run(self.ops.train_with_bits,
                     {self.push: push, self.ops.learning_rate: 0.1})
    return {name: self.session.run(getattr(self.parameters, name).variable) for name in OTHERS}


@pytest.mark.parametrize('end, push', [(0, 1.0), (1, -1.0)])
@pytest.mark.parametrize('range_set', range(1, 7))
def test_channels_come_back_from_both_ends(range_set, end, push):
  channels = Channels(range_set)
  for _ in range(60):  # 0.1 each, and no interval is longer than 2.3.
    at_end = channels.step(push)
  for name, values in at_end.items():
    np.testing.assert_allclose(values, getattr(channels.intervals, name)[end], rtol=1e-6)
  # Adam's mean of a gradient of 1 (decay 0.9) changes its sign with the seventh gradient of -1.
  for _ in range(12):
    back = channels.step(-push)
  for name, values in back.items():
    assert np.all(push * (values - at_end[name]) > 0.01), name


def test_without_bounds_nothing_is_clipped():
  channels = Channels(range_set=7)
  for _ in range(60):
    values = channels.step(1.0)
  assert np.all(values['alpha'] < -1) and np.all(values['shift'] < -1)
  np.testing.assert_allclose(values['bits_scale'], 2.0 / 6.0, rtol=1e-6)


def test_projection_leaves_the_slots_alone_and_hides_no_nan():
  channels = Channels()
  for _ in range(60):
    channels.step(1.0)
  slots = [v for v in tf.global_variables() if v.op.name.endswith('/Adam')]
  assert all(np.all(channels.session.run(slot) != 0) for slot in slots)
  assert np.all(np.isnan(channels.step(float('nan'))['alpha']))


def test_both_train_ops_project_all_variables():
  """Those that the step does not update as well: a checkpoint may have them anywhere."""
  channels = Channels()
  for op in (channels.ops.train, channels.ops.train_with_bits):
    for name in OTHERS:
      getattr(channels.parameters, name).variable.load(np.float32([-9, 1, 9]), channels.session)
    channels.session.run(op, {channels.push: 1.0, channels.ops.learning_rate: 0.0})
    for name in OTHERS:
      values = channels.session.run(getattr(channels.parameters, name).variable)
      low, high = (np.float32(bound) for bound in getattr(channels.intervals, name))
      assert np.all((low <= values) & (values <= high)), name
