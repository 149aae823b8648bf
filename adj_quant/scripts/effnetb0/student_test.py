import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import stack, thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0 import variables
from scripts.effnetb0.architecture import Architecture, Block
from scripts.effnetb0.nodes import Precision
from scripts.effnetb0.student import ModelSpec
from scripts.testing.network import logits_of, random_weights

TINY = Architecture('tiny', 32, 8, (Block(1, 3, 1, 8, 8), Block(6, 3, 1, 8, 8)), 16)
LEARNT = Precision(learnt_weights=True, learnt_acts=True)
CLASSES = 5
IMAGES = np.random.RandomState(5).randint(0, 256, [4, 32, 32, 3]).astype(np.float32)


@pytest.fixture(scope='module')
def weights():
  return random_weights(TINY, CLASSES)


@pytest.fixture(scope='module')
def ranges(weights):
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', TINY, CLASSES, False)
    recorder = thresholds.RangeRecorder()
    students.efficientnet(tf.constant(IMAGES), students.layer_weights(flat), recorder, TINY)
    flat.variable.load(students.weight_vector(weights, TINY, CLASSES), session)
    accumulator = thresholds.RangeAccumulator(recorder.kept)
    accumulator.add(session.run(recorder.extremes))
  return thresholds.complete_thresholds(accumulator.ranges(), 'memory', weights, TINY, CLASSES)[0]


class Built:
  """A student with its first values in a session of its own."""

  def __init__(self, precision, weights, ranges, train_weights=True, impl='ops'):
    self.spec = ModelSpec(TINY, CLASSES, precision)
    self.parameters = students.create_parameters(self.spec, train_weights)
    self.student = students.build_student(tf.constant(IMAGES), self.spec, self.parameters, impl)
    self.session = tf.Session()
    students.load_values(self.parameters, students.first_values(self.spec, weights, ranges),
                         self.session)

  def run(self, fetches):
    return self.session.run(fetches)


@pytest.fixture(autouse=True)
def fresh_graph():
  with tf.Graph().as_default():
    yield


def test_eight_bits_are_near_the_float_network(weights, ranges):
  expected = logits_of(IMAGES, weights, TINY, CLASSES)
  built = Built(LEARNT, weights, ranges)
  logits = built.run(built.student.logits)
  np.testing.assert_allclose(logits, expected, atol=0.05 * np.ptp(expected))
  assert np.any(logits != expected)


@pytest.mark.skipif(not stack.HAS_XLA_SCOPES, reason='no XLA for single ops')
def test_xla_computes_what_the_ops_compute(weights, ranges):
  """But for rounding: a value between two codes may get either."""
  values = []
  for impl in ('ops', 'xla'):
    with tf.Graph().as_default() as graph:
      built = Built(LEARNT, weights, ranges, impl=impl)
      loss = tf.reduce_sum(tf.square(built.student.logits))
      trained = [built.parameters.bits_scale] + built.parameters.trained
      values.append(built.run([built.student.logits] + tf.gradients(
          loss, [flat.variable for flat in trained])))
      compiled = [op for op in graph.get_operations() if '_XlaCompile' in op.node_def.attr]
      assert bool(compiled) == (impl == 'xla')
  for ours, theirs in zip(*values):
    assert np.abs(ours - theirs).mean() < 0.02 * np.abs(theirs).max()


def test_nothing_quantised_is_the_float_network(weights, ranges):
  built = Built(Precision(-1, -1, -1, -1), weights, ranges)
  # A session's rewriter may join convolution and bias in one of the two, which rounds otherwise.
  np.testing.assert_allclose(built.run(built.student.logits),
                             logits_of(IMAGES, weights, TINY, CLASSES), rtol=1e-5, atol=1e-6)
  assert built.student.nodes == [] and built.student.bits.shape == [0]


def test_everything_trained_has_a_finite_gradient_in_every_layer(weights, ranges):
  built = Built(LEARNT, weights, ranges)
  flats = [built.parameters.bits_scale] + built.parameters.trained
  assert {flat.variable for flat in flats} == set(tf.trainable_variables())
  # Only values beyond a range move `shift`: 0.9 of the range of a kernel leaves out its largest.
  alpha = built.parameters.alpha.variable
  alpha.load(np.full(alpha.shape.as_list(), 0.9, np.float32), built.session)
  loss = tf.reduce_sum(tf.square(built.student.logits))
  gradients = built.run(tf.gradients(loss, [flat.variable for flat in flats]))
  for flat, gradient in zip(flats, gradients):
    for name, piece in variables.cut(gradient, flat.shapes).items():
      assert np.all(np.isfinite(piece)), name
      may_be_zero = name.endswith('/shift') and '/weights/' not in name
      assert np.any(piece) or may_be_zero, name


def test_every_quantised_node_moves_the_logits(weights, ranges):
  """A node whose range collapses changes the output: no node is dead."""
  built = Built(LEARNT, weights, ranges)
  expected = built.run(built.student.logits)
  start = 0
  values = built.run(built.parameters.alpha.variable)
  for node in built.student.nodes:
    changed = values.copy()
    changed[start:start + node.channels] = 0.3
    built.parameters.alpha.variable.load(changed, built.session)
    assert np.any(built.run(built.student.logits) != expected), node.name
    start += node.channels


def test_bits_follow_bits_scale_of_learnt_nodes_only(weights, ranges):
  built = Built(Precision(learnt_acts=True, act_bits=6, weight_bits=4), weights, ranges)
  scale = built.run(built.parameters.bits_scale.variable)
  built.parameters.bits_scale.variable.load(np.full_like(scale, 0.5), built.session)
  bits, start = built.run(built.student.bits), 0
  for node in built.student.nodes:
    expected = {'act': 3, 'weights': 4, 'swish': 8, 'bias': 8}[node.kind]
    assert np.all(bits[start:start + node.channels] == expected), node.name
    start += node.channels
  assert start == len(bits)


def test_intervals_of_what_is_trained():
  precision = Precision(weight_bits=4, act_bits=8, learnt_weights=True, learnt_acts=True)
  spec = ModelSpec(TINY, CLASSES, precision, range_set=3)
  actual = students.intervals(spec)
  assert (actual.alpha, actual.shift) == ((0.2, 1.7), (-0.4, 0.7))
  assert (actual.weights, actual.initial_low, actual.initial_width) == (None, None, None)
  learnt = [node for node in students.quantised_nodes(spec) if node.learnt]
  first = students.first_bits(learnt)
  assert set(first) == {4.0, 8.0}
  np.testing.assert_array_equal(actual.bits_scale, [2 / first, 8 / first])
  assert students.intervals(spec._replace(precision=Precision())).bits_scale is None


def test_constant_weights_are_not_trainable(weights, ranges):
  built = Built(LEARNT, weights, ranges, train_weights=False)
  assert built.parameters.weights.variable not in tf.trainable_variables()
  assert len(tf.trainable_variables()) == 3


def test_names_in_checkpoints_are_per_layer():
  parameters = students.create_parameters(ModelSpec(TINY, CLASSES, LEARNT))
  assert list(parameters.weights.shapes)[:4] == [
      'Conv/weights', 'Conv/bias', 'expanded_conv_0/dws/weights', 'expanded_conv_0/dws/bias']
  assert parameters.alpha.shapes['expanded_conv_1/add/output/alpha'] == (8,)
  assert parameters.shift.shapes['Conv/bias/shift'] == (1,)
  assert 'Conv/swish_input/alpha' in parameters.alpha.shapes
  assert 'Conv/swish_input/bits_scale' not in parameters.bits_scale.shapes
  assert parameters.bits_scale.shapes['output/weights/bits_scale'] == (CLASSES,)


def test_the_graph_has_no_dead_op(weights, ranges):
  """Everything built serves the logits, the bits, or loading values."""
  built = Built(LEARNT, weights, ranges)
  needed, waiting = set(), [built.student.logits.op, built.student.bits.op]
  while waiting:
    op = waiting.pop()
    if op not in needed:
      needed.add(op)
      waiting.extend([tensor.op for tensor in op.inputs] + list(op.control_inputs))
  dead = [op.name for op in tf.get_default_graph().get_operations()
          if op not in needed and '/Initializer' not in op.name
          and op.type not in ('AssignVariableOp', 'VarIsInitializedOp', 'ReadVariableOp')]
  assert dead == []
