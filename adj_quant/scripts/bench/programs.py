"""The networks that are measured, each in its own graph and session, on the same images.

The images are random, but constant: a `tf.data` pipeline repeats them from its cache, so that no
decoding is in the times. One graph reads batches of all sizes; the largest decides the value of the
metric.
"""

import contextlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts import paths, runtime
from scripts.bench import workloads
from scripts.effnetb0 import student as students
from scripts.errors import UserError
from scripts.ops import fused
from scripts.trainer import flags, loading
from scripts.trainer.config import TrainConfig
from scripts.trainer.graph import losses
from scripts.trainer.graph.train_graph import build_train_graph, create_batches

_LEARNING_RATE = 1e-6  # Small: the values stay what they are.


class Networks(NamedTuple):
  """What is measured."""
  quantised: Any  # loading.Network.
  architecture: Any  # Of the float network, which is the teacher as well.
  weights: dict  # Layer -> LayerWeights of the float network.


class Program(NamedTuple):
  """A network that is ready to run."""
  session: Any
  fetches: dict  # Name of a task -> what it fetches.
  feeds: dict  # workloads.Shape -> feed of its batches.
  nodes: int  # Operations of the finalized graph.

  def task(self, name, shape):
    """Function that runs a task once; a step whose loss is not finite raises UserError."""
    def call():
      values = self.session.run(self.fetches[name], self.feeds[shape])
      if isinstance(values, list) and not np.all(np.isfinite(values[0])):
        raise UserError('%s at %s: the loss is not finite, its time would mean nothing'
                        % (name, shape))
    return call


def shipped_networks():
  """The `Networks` of the files in the repository: ImageNet's B0, bit-widths learnt from 8 on."""
  options = flags.ModelOptions(
      model=None, image_size=None, precision={'learnt_weights': True, 'learnt_acts': True},
      range_set=None, weight_path=None, ckpt_path=None, measure_thresholds=False,
      thresholds_path=None, calib_images=0, percentile=100.0, allow_growth=False)
  quantised = loading.load_network(options, None, training=True)
  architecture, weights = loading.load_teacher(
      paths.FLOAT_WEIGHTS, quantised.spec.architecture.name, quantised.spec.classes)
  return Networks(quantised, architecture, weights)


def implementations():
  """The implementations of the quantisers that can run here, of `workloads.IMPLEMENTATIONS`."""
  return workloads.IMPLEMENTATIONS if fused.available() else ('ops',)


def constant_batches(shape, classes):
  """Endless `tf.data.Dataset` of one batch: bytes as float32 [N, S, S, 3], labels int32 [N]."""
  random = np.random.RandomState(shape.size * 1000 + shape.batch)
  images = random.randint(0, 256, [shape.batch, shape.size, shape.size, 3]).astype(np.uint8)
  labels = random.randint(0, classes, [shape.batch]).astype(np.int32)
  batch = tf.data.Dataset.from_tensors((images, labels))
  batch = batch.map(lambda pixels, label: (tf.cast(pixels, tf.float32), label))
  return batch.cache().repeat().prefetch(2)


@contextlib.contextmanager
def float_program(networks, shapes):
  """Yields the `Program` of the float network: its forward pass and a training step.

  Args:
    networks: `Networks`.
    shapes: the `workloads.Shape`s of its batches.
  """
  architecture, classes = networks.architecture, networks.quantised.spec.classes
  with tf.Graph().as_default():
    batches = create_batches(_datasets(shapes, classes), _only_size(shapes))
    flat = students.create_weights('float', architecture, classes, True)
    logits, _ = students.build_float(batches.images, architecture, flat, 'float')
    loss = losses.classification(logits, batches.labels)
    learning_rate = tf.placeholder(tf.float32, [], 'learning_rate')
    gradients = tf.gradients(loss, [flat.variable])
    update = tf.train.AdamOptimizer(learning_rate).apply_gradients(
        list(zip(gradients, [flat.variable])))
    fetches = {workloads.FLOAT_FORWARD: logits, workloads.FLOAT_STEP: [loss, update]}
    with runtime.new_session() as session:
      session.run(tf.global_variables_initializer())
      loading.start_float(session, flat, networks.weights, architecture, classes)
      yield _ready(session, fetches, batches, shapes, learning_rate)


@contextlib.contextmanager
def adjustable_program(networks, shapes, impl):
  """Yields the `Program` of the quantised network's training steps, the teacher's part included.

  The steps fetch what those of train.py fetch.

  Args:
    networks, shapes: as for `float_program`.
    impl: of `implementations()`.
  """
  spec = networks.quantised.spec
  with tf.Graph().as_default():
    graph = build_train_graph(spec, networks.architecture, _datasets(shapes, spec.classes),
                              max(shape.size for shape in shapes), TrainConfig(), impl=impl,
                              any_size=_only_size(shapes) is None)
    described = [graph.losses, graph.student.bits]
    steps = {workloads.STEP: described + [graph.ops.train_with_bits],
             workloads.STEP_FIXED_BITS: described + [graph.ops.train]}
    with runtime.new_session() as session:
      session.run(tf.global_variables_initializer())
      loading.start_float(session, graph.teacher_weights, networks.weights, networks.architecture,
                          spec.classes)
      loading.start_student(session, graph.parameters, networks.quantised)
      fetches = {workloads.task_name(role, impl): fetch for role, fetch in steps.items()}
      yield _ready(session, fetches, graph.batches, shapes, graph.ops.learning_rate)


@contextlib.contextmanager
def evaluation_program(networks, shapes, impl):
  """Yields the `Program` of the quantised network's forward pass, as eval.py builds it.

  Args:
    networks, shapes, impl: as for `adjustable_program`.
  """
  spec = networks.quantised.spec
  with tf.Graph().as_default():
    batches = create_batches(_datasets(shapes, spec.classes), _only_size(shapes))
    parameters = students.create_parameters(spec)
    student = students.build_student(batches.images, spec, parameters, impl, is_training=False)
    with runtime.new_session() as session:
      loading.start_student(session, parameters, networks.quantised)
      fetches = {workloads.task_name(workloads.FORWARD, impl): student.logits}
      yield _ready(session, fetches, batches, shapes)


def _datasets(shapes, classes):
  return {shape.key: constant_batches(shape, classes) for shape in shapes}


def _only_size(shapes):
  """Pixels a side where all shapes have the same, else None."""
  sizes = {shape.size for shape in shapes}
  return sizes.pop() if len(sizes) == 1 else None


def _ready(session, fetches, batches, shapes, learning_rate=None):
  """The `Program` of a session whose variables have their values."""
  session.graph.finalize()
  session.run(list(batches.initializers.values()))
  handles = session.run(batches.handles)
  feeds = {shape: {batches.source: handles[shape.key]} for shape in shapes}
  if learning_rate is not None:
    for feed in feeds.values():
      feed[learning_rate] = _LEARNING_RATE
  return Program(session, fetches, feeds, len(session.graph.get_operations()))
