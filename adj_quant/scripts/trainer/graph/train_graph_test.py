"""The graph of a training run: gradients, projection, what is frozen; its size."""

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime, stack, thresholds
from scripts.effnetb0 import variables
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import EFFICIENTNET_B0, feature_layers
from scripts.effnetb0.nodes import Precision
from scripts.ops import fused
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY
from scripts.trainer import loading
from scripts.trainer.config import TrainConfig
from scripts.trainer.graph import losses
from scripts.trainer.graph.train_graph import build_train_graph, create_batches

needs_fused_ops = pytest.mark.skipif(not fused.available(), reason='the fused ops are not compiled')
both_implementations = pytest.mark.parametrize(
    'impl', ['ops', pytest.param('fused', marks=needs_fused_ops)])
LEARNT = Precision(learnt_weights=True, learnt_acts=True)
NO_PRECISION = Precision(-1, -1, -1, 0)
ROLES = ('weights', 'alpha', 'shift', 'bits_scale')
CONFIG = TrainConfig(alpha=1.0, beta=1e4, metric=1e-9, lr_bits=0.01)
FEATURES_ONLY = TrainConfig(alpha=0.0, beta=0.0, kd_weight=0.0, kd_features=1.0)

# What codes that differ by one, where a value lay on their boundary, may change results by.
OTHER_CODES = 0.0 if stack.HAS_BITS_OF_FUSED_OPS else 0.05


@pytest.fixture(name='network', scope='module')
def tiny_network():
  """(`loading.Network`, weights, images) with ranges of the images."""
  weights = testing_network.random_weights()
  images = np.float32(testing_network.random_images(8)[:, :32, :32])
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', TINY, CLASSES, False)
    recorder = thresholds.RangeRecorder()
    students.efficientnet(tf.constant(images), students.layer_weights(flat), recorder, TINY)
    loading.start_float(session, flat, weights, TINY, CLASSES)
    accumulator = thresholds.RangeAccumulator(recorder.kept)
    accumulator.add(session.run(recorder.extremes))
  ranges, _ = thresholds.complete_thresholds(accumulator.ranges(), 'memory', weights, TINY,
                                             CLASSES)
  spec = students.ModelSpec(TINY, CLASSES, LEARNT)
  return loading.Network(spec, 32, students.first_values(spec, weights, ranges)), weights, images


class Training:
  """A tiny network in a graph and a session of its own: what `train.py` runs in its loop."""

  def __init__(self, network, weights, images, impl, config):
    labels = np.arange(len(images), dtype=np.int32) % CLASSES
    self._first = network, weights
    with tf.Graph().as_default():
      dataset = tf.data.Dataset.from_tensors((images, labels)).repeat()
      self.graph = build_train_graph(network.spec, TINY, {'train': dataset}, 32, config, impl=impl)
      self.spec, self.parameters = network.spec, self.graph.parameters
      self.trained = [getattr(self.parameters, role).variable for role in ROLES]
      self.variables = tf.global_variables()
      self._initialize = tf.global_variables_initializer()
      self.session = runtime.new_session()
      self.session.run(self.graph.batches.initializers['train'])
      self._source = self.session.run(self.graph.batches.handles['train'])

  def start(self):
    """Gives all variables their first values; returns itself."""
    network, weights = self._first
    self.session.run(self._initialize)
    loading.start_float(self.session, self.graph.teacher_weights, weights, TINY, CLASSES)
    students.load_values(self.parameters, network.first_values, self.session)
    return self

  def run(self, fetches, learning_rate=1e-3, lr_bits=0.01):
    """`session.run` on the training images."""
    return self.session.run(fetches, {
        self.graph.batches.source: self._source, self.graph.ops.learning_rate: learning_rate,
        self.graph.lr_bits: lr_bits})

  def train(self, steps, **rates):
    """Losses of `steps` steps with bit-widths, float32 [steps, parts]."""
    return np.array([self.run([self.graph.losses, self.graph.ops.train_with_bits], **rates)[0]
                     for _ in range(steps)])

  def values(self):
    """Dict role -> vector of what is trained."""
    return dict(zip(ROLES, self.session.run(self.trained)))

  def gradients(self):
    """Dict role -> gradient of the loss."""
    with self.session.graph.as_default():
      gradients = tf.gradients(self.graph.losses.total, self.trained)
    return dict(zip(ROLES, self.run(gradients)))


@pytest.fixture(name='trainings', scope='module')
def trainings_of_the_network(network):
  """A function of implementation, config and range set that gives a `Training` at its start."""
  @functools.lru_cache(maxsize=None)
  def build(impl, config, range_set):
    spec = network[0].spec._replace(range_set=range_set)
    return Training(network[0]._replace(spec=spec), *network[1:], impl=impl, config=config)

  def training(impl='ops', config=CONFIG, range_set=5):
    return build(impl, config, range_set).start()

  return training


def test_images_are_read_on_the_cpu():
  """The iterators themselves are where their data sets are, which are on the CPU alone."""
  with tf.Graph().as_default() as graph:
    images = tf.data.Dataset.from_tensors((np.zeros([1, 32, 32, 3], np.float32), np.int32([0])))
    create_batches({'train': images}, 32)
    placed = {op.device for op in graph.get_operations()
              if op.type.startswith(('IteratorGetNext', 'IteratorFromStringHandle'))}
  assert placed == {'/device:CPU:0'}


@needs_fused_ops
@pytest.mark.parametrize('config', [CONFIG, FEATURES_ONLY])
def test_both_implementations_have_the_same_logits_and_gradients(trainings, config):
  have, want = (trainings(impl, config) for impl in ('fused', 'ops'))
  results = [t.run([t.graph.student.logits, t.graph.float_logits]) for t in (have, want)]
  np.testing.assert_allclose(*results, rtol=0, atol=OTHER_CODES * np.abs(results[1]).max())
  results = [t.run(t.graph.losses) for t in (have, want)]
  np.testing.assert_allclose(*results, rtol=max(1e-5, OTHER_CODES))
  expected = want.gradients()
  for role, gradient in have.gradients().items():
    # Terms that cancel are added in another order.
    np.testing.assert_allclose(gradient, expected[role], err_msg=role, rtol=1e-3,
                               atol=max(1e-4, OTHER_CODES) * np.abs(expected[role]).max())


@both_implementations
def test_the_same_run_twice_has_the_same_bits(trainings, impl):
  outcomes = []
  for _ in range(2):
    training = trainings(impl)
    outcomes.append([training.train(5)] + training.session.run(training.variables))
  for a, b in zip(*outcomes):
    assert a.tobytes() == b.tobytes()


@both_implementations
def test_the_distance_of_features_does_not_see_the_classifier(trainings, impl):
  training = trainings(impl, FEATURES_ONLY)
  parts = training.run(training.graph.losses)
  assert parts.total == parts.distillation > 0  # Distillation is all there is.
  shapes = students.weight_shapes(TINY, CLASSES)
  for name, gradient in variables.cut(training.gradients()['weights'], shapes).items():
    assert np.any(gradient) != name.startswith('output/'), name


@both_implementations
def test_the_gradient_of_features_is_the_slope_of_their_distance(network, impl):
  """Against a difference quotient, in float: quantised values have steps, not slopes."""
  _, weights, images = network
  spec = students.ModelSpec(TINY, CLASSES, NO_PRECISION)
  with tf.Graph().as_default(), runtime.new_session() as session:
    parameters = students.create_parameters(spec)
    own = students.build_student(tf.constant(images), spec, parameters, impl).end_points
    flat = students.create_weights('teacher', TINY, CLASSES, False)
    _, other = students.build_float(tf.constant(images), TINY, flat, 'teacher', impl)
    distance = losses.feature_distance(*[[points[layer] for layer in feature_layers(TINY)]
                                         for points in (own, other)])
    variable = parameters.weights.variable
    slope = tf.gradients(distance, variable)[0]
    session.run(tf.global_variables_initializer())  # Those of no ranges, which are empty.
    loading.start_float(session, flat, weights, TINY, CLASSES)
    start = students.weight_vector(testing_network.random_weights(seed=9), TINY, CLASSES)
    variable.load(start, session)
    gradient = session.run(slope)
    norm = np.linalg.norm(gradient)

    def distance_at(move):
      variable.load(np.float32(start + move * gradient / norm), session)
      return session.run(distance)

    move = 0.02 * distance_at(0.0) / norm  # Changes the distance by about 2 %.
    quotient = (distance_at(move) - distance_at(-move)) / (2 * move)
  np.testing.assert_allclose(quotient, norm, rtol=0.02)


def within(training):
  """Asserts that all values lie in their intervals; returns the share of each role at an end."""
  values, at_end = training.values(), {}
  for role, interval in students.intervals(training.spec)._asdict().items():
    if interval:
      low, high = (np.float32(bound) for bound in interval)
      assert np.all((low <= values[role]) & (values[role] <= high)), role
      at_end[role] = np.mean((values[role] == low) | (values[role] == high))
  return at_end


@both_implementations
@pytest.mark.parametrize('range_set', [2, 5])
def test_no_step_leaves_the_intervals(trainings, impl, range_set):
  training = trainings(impl, range_set=range_set)
  for _ in range(4):
    training.train(1, learning_rate=3.0, lr_bits=3.0)
    # A step of Adam is about its rate at first, which is longer than every interval.
    assert all(share > 0 for share in within(training).values())
  for _ in range(3):
    training.run(training.graph.ops.train, learning_rate=3.0)
    within(training)


def test_values_beyond_the_intervals_come_back_with_the_first_step(trainings):
  """As a checkpoint written before projection has them; what the network computes is the same."""
  training = trainings()
  outside = {'alpha': [-0.5, 2.5], 'shift': [-1.0, 1.5], 'bits_scale': [-0.2, 1.3]}
  intervals = students.intervals(training.spec)._asdict()
  logits = []
  for clipped in (True, False):
    for role, ends in outside.items():
      variable = getattr(training.parameters, role).variable
      values = np.resize(np.float32([1.0, ends[0], 1.0, ends[1], 1.0]), int(variable.shape[0]))
      variable.load(np.clip(values, *intervals[role]) if clipped else values, training.session)
    logits.append(training.run(training.graph.student.logits))
  np.testing.assert_array_equal(*logits)
  training.run(training.graph.ops.train, learning_rate=0.0)
  within(training)
  np.testing.assert_array_equal(training.run(training.graph.student.logits), logits[0])


def test_a_run_goes_on_bit_by_bit_from_the_ends_of_the_intervals(trainings):
  rates = dict(learning_rate=0.5, lr_bits=0.5)
  training = trainings()
  training.train(6, **rates)
  expected = training.session.run(training.variables)
  training.start().train(3, **rates)
  assert all(share > 0 for share in within(training).values())
  saved = training.session.run(training.variables)
  training.start()
  for variable, value in zip(training.variables, saved):
    variable.load(value, training.session)
  training.train(3, **rates)
  for a, b in zip(training.session.run(training.variables), expected):
    assert a.tobytes() == b.tobytes()


def moved_weights(trainings, **changed):
  """All names of kernels and biases, and those that a training moves."""
  training = trainings(config=CONFIG._replace(**changed))
  shapes = students.weight_shapes(TINY, CLASSES)
  before = variables.cut(training.values()['weights'], shapes)
  training.train(3)
  after = variables.cut(training.values()['weights'], shapes)
  return set(shapes), {name for name in shapes if not np.array_equal(after[name], before[name])}


@pytest.mark.parametrize('relative', [False, True])
def test_a_frozen_classifier_stays_and_all_else_moves(trainings, relative):
  names, moved = moved_weights(trainings, lr_relative=relative, freeze_classifier=True)
  same = names - moved
  assert {'output/weights', 'output/bias'} <= same
  assert all('/se_' in name for name in same if not name.startswith('output'))  # Widths of 0.


@pytest.mark.parametrize('relative', [False, True])
def test_frozen_kernels_stay_and_biases_move(trainings, relative):
  _, moved = moved_weights(trainings, lr_relative=relative, freeze_kernels=True)
  assert {'Conv/bias', 'output/bias'} <= moved
  assert not any(name.endswith('/weights') for name in moved)


@pytest.mark.full
@needs_fused_ops
def test_size_of_the_graph_of_b0():
  with tf.Graph().as_default() as graph:
    images = tf.data.Dataset.from_tensors((np.zeros([2, 32, 32, 3], np.float32),
                                           np.int32([0, 1])))
    spec = students.ModelSpec(EFFICIENTNET_B0, 1000, LEARNT)
    build_train_graph(spec, EFFICIENTNET_B0, {'train': images}, 32, CONFIG, impl='fused')
    assert len(graph.get_operations()) < 5000
