"""The graph of a training run: both implementations of the quantisers train alike; its size."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime, thresholds
from scripts.effnetb0 import variables
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.effnetb0.nodes import Precision
from scripts.ops import fused
from scripts.trainer import loading
from scripts.trainer.config import TrainConfig
from scripts.trainer.graph.train_graph import build_train_graph
from testing_network import CLASSES, TINY
import testing_network

needs_kernels = pytest.mark.skipif(not fused.available(), reason='the kernels are not compiled')
LEARNT = Precision(learnt_weights=True, learnt_acts=True)
STEPS = 50
CONFIG = TrainConfig(alpha=1.0, beta=1e4, metric=1e-9, lr_bits=0.01)


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
  found = accumulator.ranges()
  ranges, _ = thresholds.complete_thresholds(found, 'memory', weights, TINY, CLASSES)
  spec = students.ModelSpec(TINY, CLASSES, LEARNT)
  return loading.Network(spec, 32, students.first_values(spec, weights, ranges)), weights, images


def train(network, weights, images, impl, config=CONFIG):
  """Losses of the first steps [STEPS, parts], logits before them, and all values after them."""
  labels = np.arange(len(images), dtype=np.int32) % CLASSES
  with tf.Graph().as_default():
    dataset = tf.data.Dataset.from_tensors((images, labels)).repeat()
    graph = build_train_graph(network.spec, TINY, {'train': dataset}, 32, config, impl=impl)
    with runtime.new_session() as session:
      session.run(tf.global_variables_initializer())
      loading.start_float(session, graph.teacher_weights, weights, TINY, CLASSES)
      loading.start_student(session, graph.parameters, network, None)
      session.run(graph.batches.initializers['train'])
      feed = {graph.batches.source: session.run(graph.batches.handles['train']),
              graph.ops.learning_rate: 1e-3}
      logits = session.run([graph.student.logits, graph.float_logits], feed)
      steps = [session.run([graph.losses, graph.ops.train_with_bits], feed)[0]
               for _ in range(STEPS)]
      return (np.array(steps), logits, session.run(tf.global_variables()),
              session.run(graph.parameters.weights.variable))


@needs_kernels
def test_both_implementations_train_alike(network):
  losses, logits, *_ = train(*network, impl='fused')
  expected, expected_logits, *_ = train(*network, impl='ops')
  np.testing.assert_array_equal(logits, expected_logits)
  # Gradients differ by rounding, and Adam's first steps take the sign of those near 0.
  np.testing.assert_allclose(losses[0], expected[0], rtol=1e-6)
  np.testing.assert_allclose(losses, expected, rtol=0.05, atol=0.02)
  assert losses[-1, 0] < 0.9 * losses[0, 0]


@pytest.mark.parametrize('impl', ['ops', pytest.param('fused', marks=needs_kernels)])
def test_the_same_run_twice_has_the_same_bits(network, impl):
  first, again = (train(*network, impl=impl) for _ in range(2))
  assert first[0].tobytes() == again[0].tobytes()
  for a, b in zip(first[2], again[2]):
    assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize('impl', ['ops', pytest.param('fused', marks=needs_kernels)])
def test_features_come_closer_without_a_look_at_logits(network, impl):
  config = TrainConfig(alpha=0.0, beta=0.0, kd_weight=0.0, kd_features=1.0)
  losses, *_ = train(*network, impl=impl, config=config)
  np.testing.assert_array_equal(losses[:, 0], losses[:, 1])  # Distillation is all there is.
  assert 0 < losses[-1, 0] < 0.85 * losses[0, 0]


def moved_weights(network, **changed):
  """All names of kernels and biases, and those that a training moves."""
  *_, after = train(*network, impl='ops', config=CONFIG._replace(**changed))
  shapes = students.weight_shapes(TINY, CLASSES)
  before, after = (variables.cut(vector, shapes)
                   for vector in (network[0].first_values.weights, after))
  return set(shapes), {name for name in shapes if not np.array_equal(after[name], before[name])}


@pytest.mark.parametrize('relative', [False, True])
def test_a_frozen_classifier_stays_and_all_else_moves(network, relative):
  names, moved = moved_weights(network, lr_relative=relative, freeze_classifier=True)
  same = names - moved
  assert {'output/weights', 'output/bias'} <= same
  assert all('/se_' in name for name in same if not name.startswith('output'))  # Widths of 0.


@pytest.mark.parametrize('relative', [False, True])
def test_frozen_kernels_stay_and_biases_move(network, relative):
  _, moved = moved_weights(network, lr_relative=relative, freeze_kernels=True)
  assert {'Conv/bias', 'output/bias'} <= moved
  assert not any(name.endswith('/weights') for name in moved)


@pytest.mark.full
@needs_kernels
def test_size_of_the_graph_of_b0():
  with tf.Graph().as_default() as graph:
    images = tf.data.Dataset.from_tensors((np.zeros([2, 32, 32, 3], np.float32),
                                           np.int32([0, 1])))
    spec = students.ModelSpec(EFFICIENTNET_B0, 1000, LEARNT)
    build_train_graph(spec, EFFICIENTNET_B0, {'train': images}, 32, CONFIG, impl='fused')
    assert len(graph.get_operations()) < 5000
