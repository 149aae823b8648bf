"""The rewrite: what it covers, when it acts, and that it changes nothing else."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from contrib import slim
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
import quantization
from scripts.effnetb0.architecture import Architecture, Block, EFFICIENTNET_B0
from scripts.effnetb0.slim_names import fold_batch_norm

# A block with a skip, one with an expansion and none.
SMALL = Architecture('small', image_size=16, stem=4, head=8, blocks=(
    Block(1, 3, 1, 4, 4), Block(2, 3, 2, 4, 6)))
PLAIN = SMALL._replace(se_ratio=None, activation='relu6')
CONVOLUTIONS = 12
IMAGES = np.random.RandomState(0).uniform(0, 255, [6, 16, 16, 3]).astype(np.float32)
DARK_IMAGES = IMAGES * 0.5


FREEZE, DELAY = 2, 4  # Global steps of the model in stages.


class Model:
  """A network in a graph of its own, with a session."""

  def __init__(self, is_training, rewrite=None, architecture=SMALL, rate=0.0):
    self.graph = tf.Graph()
    with self.graph.as_default():
      self.images = tf.placeholder(tf.float32, [None, 16, 16, 3])
      self.logits, _ = efficientnet_b0(self.images, 3, is_training, architecture, dropout=rate,
                                       drop_connect=rate, batch_norm_decay=0.1)
      self.step = tf.train.get_or_create_global_step()
      if rewrite:
        rewrite(self.graph)
      self.trained = tf.trainable_variables()
      if is_training and not rate:
        self.gradients = tf.gradients(tf.square(self.logits), self.trained)
      self.updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
      self.variables = {v.op.name: v for v in tf.global_variables()}
      self.initialize = tf.global_variables_initializer()
      self.session = tf.Session()
      self.session.run(self.initialize)
      for variable in self.trained:  # Other than the 0 and 1 of a new network.
        if variable.op.name.endswith(('gamma', 'beta', 'biases')):
          random = np.random.RandomState(len(variable.op.name))
          variable.load(random.uniform(0.5, 1.5, variable.shape.as_list()), self.session)

  def run(self, fetches=None, step=0, images=IMAGES):
    """Values of the logits, or of `fetches`, at a global step."""
    self.step.load(step, self.session)
    return self.session.run(self.logits if fetches is None else fetches, {self.images: images})

  def value(self, name):
    return self.session.run(self.variables['efficientnet_b0/' + name])

  def copy_to(self, other):
    """Loads all variables of another model."""
    values = self.session.run({name: self.variables[name] for name in other.variables})
    for name, value in values.items():
      other.variables[name].load(value, other.session)


def training(**arguments):
  return lambda graph: quantization.quantize_training(graph, **arguments)


@pytest.fixture(name='trained', scope='module')
def training_model():
  """Quantised from the first step, with dropout and drop-connect."""
  return Model(True, training(), rate=0.2)


@pytest.fixture(name='staged', scope='module')
def model_in_stages():
  """Float with batch statistics, then with moving statistics, then quantised; no dropout.

  The moving statistics are those of IMAGES.
  """
  model = Model(True, training(quant_delay=DELAY, freeze_batch_norm_delay=FREEZE))
  for _ in range(5):
    model.run([model.logits, model.updates])
  return model


@pytest.fixture(name='evaluated', scope='module')
def evaluation_model():
  return Model(False, quantization.quantize_evaluation)


@pytest.fixture(name='by_batch', scope='module')
def float_training_model():
  return Model(True)


@pytest.fixture(name='by_average', scope='module')
def float_evaluation_model():
  return Model(False)


def coverage(model):
  """(kernels, inputs, outputs) quantised, and the convolutions with a float input."""
  actual = quantization.report(model.graph)
  assert len({c.name for c in actual}) == len(actual)
  return ([sum(column) for column in list(zip(*actual))[1:]],
          [c.name for c in actual if not c.input])


def test_every_convolution_is_quantised(trained, staged, evaluated):
  for model in (trained, staged, evaluated):
    assert coverage(model) == ([CONVOLUTIONS, CONVOLUTIONS - 1, CONVOLUTIONS],
                               ['efficientnet_b0/Conv'])


@pytest.mark.parametrize('is_training', [True, False])
def test_other_activations_are_quantised(is_training):
  rewrite = training() if is_training else quantization.quantize_evaluation
  convolutions = CONVOLUTIONS - 4  # Those of squeeze-excite.
  assert coverage(Model(is_training, rewrite, PLAIN, rate=0.2)) == (
      [convolutions, convolutions - 1, convolutions], ['efficientnet_b0/Conv'])


def test_report_of_a_float_network(by_batch):
  actual = quantization.report(by_batch.graph)
  assert len(actual) == CONVOLUTIONS
  assert actual[0] == ('efficientnet_b0/Conv', False, False, False)
  assert not any(c.kernel or c.input or c.output for c in actual)


def test_nodes_of_evaluation_are_among_those_of_training(trained, evaluated):
  assert not set(evaluated.variables) - set(trained.variables)
  ranges = [name for name in evaluated.variables if name.endswith(('/min', '/max'))]
  nodes = {name.rpartition('/')[0] for name in ranges}
  assert len(ranges) == 2 * len(nodes)
  assert {'efficientnet_b0/' + n for n in (
      'Conv/weights_quant', 'Conv/act_quant', 'Conv/mul/activation_Mul_quant',
      'expanded_conv/squeeze_quant', 'expanded_conv/excite/activation_Mul_quant',
      'expanded_conv/se_2/weights_quant', 'expanded_conv/project/act_quant',
      'expanded_conv/add_quant', 'expanded_conv_1/depthwise/weights_quant', 'global_pool_quant',
      'Logits/Conv2d_1c_1x1/act_quant')} < nodes
  # Kernels, results, swish of all but project, se_2 and classifier, gates, pools, one sum.
  assert len(nodes) == 2 * CONVOLUTIONS + (CONVOLUTIONS - 5) + 2 + 3 + 1


def test_a_range_for_each_channel_of_a_folded_kernel(trained):
  trained.run()
  for layer, axis, suffix in (('expanded_conv_1/expand', 3, ''), ('Conv', 3, ''),
                              ('expanded_conv/depthwise', 2, 'depthwise_')):
    parts = [trained.value('%s/BatchNorm/%s' % (layer, part))
             for part in ('gamma', 'beta', 'moving_mean', 'moving_variance')]
    kernel = fold_batch_norm(trained.value('%s/%sweights' % (layer, suffix)), *parts,
                             channel_axis=axis).weights
    axes = tuple(set(range(4)) - {axis})
    np.testing.assert_allclose(trained.value(layer + '/weights_quant/max'),
                               np.maximum(kernel.max(axes), 0), rtol=1e-4)
    np.testing.assert_allclose(trained.value(layer + '/weights_quant/min'),
                               np.minimum(kernel.min(axes), 0), rtol=1e-4)


def test_the_stages_in_global_steps(staged, by_batch, by_average):
  staged.copy_to(by_average)
  expected, frozen = (model.run(images=DARK_IMAGES) for model in (by_batch, by_average))
  assert not np.allclose(expected, frozen, atol=0.1)
  assert 'fake_quantization_step' not in staged.variables
  for _ in range(5):  # Runs are no steps.
    np.testing.assert_allclose(staged.run(None, FREEZE - 1, DARK_IMAGES), expected, atol=1e-3)
  np.testing.assert_allclose(staged.run(None, FREEZE, DARK_IMAGES), frozen, atol=1e-3)
  np.testing.assert_allclose(staged.run(None, DELAY - 1, DARK_IMAGES), frozen, atol=1e-3)
  assert staged.value('Conv/act_quant/max') != 6.0  # Moves in every step, unlike the values.
  assert np.abs(staged.run(None, DELAY, DARK_IMAGES) - frozen).max() > 3e-3


def test_gradients_before_the_delay_are_those_of_the_float_network(staged, by_batch):
  for ours, theirs, variable in zip(staged.run(staged.gradients), by_batch.run(by_batch.gradients),
                                    staged.trained):
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max() + 1e-3,
                               err_msg=variable.op.name)


def test_gradients_reach_everything_that_is_trained(staged):
  assert None not in staged.gradients
  for variable, gradient in zip(staged.trained, staged.run(staged.gradients, step=DELAY)):
    assert np.isfinite(gradient).all() and gradient.any(), variable.op.name


def test_frozen_averages_stay(staged):
  def moves(step):
    before = staged.value('Conv/BatchNorm/moving_variance')
    staged.run(staged.updates, step)
    return not np.array_equal(staged.value('Conv/BatchNorm/moving_variance'), before)

  assert moves(FREEZE - 1) and not moves(FREEZE)


def test_ranges_of_activations_are_averages_over_batches(trained):
  """The first batch counts as much as the second."""
  result = trained.graph.get_tensor_by_name('efficientnet_b0/Conv/add_fold:0')
  trained.session.run(trained.initialize)
  first, _ = trained.run([result, trained.logits])
  assert trained.value('Conv/act_quant/max') == pytest.approx(first.max(), rel=1e-4)
  assert trained.value('Conv/act_quant/min') == pytest.approx(min(first.min(), 0), rel=1e-4)
  second, _ = trained.run([result, trained.logits], images=IMAGES[:2] * 0.1)
  assert second.max() != pytest.approx(first.max(), rel=0.05)
  average = (0.999 * first.max() + second.max()) / 1.999
  assert trained.value('Conv/act_quant/max') == pytest.approx(average, rel=1e-3)


def test_evaluation_gives_the_values_of_training(staged, evaluated, by_average):
  """With the moving statistics in both."""
  expected = staged.run(step=DELAY)
  staged.copy_to(evaluated)
  results = evaluated.run()
  # A value between two codes may be rounded either way.
  np.testing.assert_allclose(results, expected, atol=0.01 * np.ptp(expected))
  assert len(np.unique(results)) <= 256
  staged.copy_to(by_average)
  assert np.abs(results - by_average.run()).max() < 0.05 * np.ptp(expected)


def test_refuses_a_quantised_graph(evaluated):
  with pytest.raises(ValueError, match='is quantised already'):
    quantization.quantize_evaluation(evaluated.graph)


def test_refuses_a_convolution_that_it_cannot_quantise():
  with tf.Graph().as_default() as graph:
    slim.conv2d(tf.zeros([1, 4, 4, 3]), 2, 3, activation_fn=tf.nn.elu, biases_initializer=None,
                scope='bare')
    with pytest.raises(ValueError, match="the rewrite missed .*name='bare'.*output=False"):
      quantization.quantize_evaluation(graph)


@pytest.mark.full
def test_b0():
  graph = tf.Graph()
  with graph.as_default():
    images = tf.placeholder(tf.float32, [None, 32, 32, 3])
    efficientnet_b0(images, 10, True, EFFICIENTNET_B0)
  quantization.quantize_training(graph, quant_delay=5)
  actual = quantization.report(graph)
  assert len(actual) == 66 + 16
  assert all(c.kernel and c.output for c in actual)
  assert [c.name for c in actual if not c.input] == ['efficientnet_b0/Conv']
