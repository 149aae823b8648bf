"""Quantised networks: what is quantised, when it acts, and that nothing else changes.

On TensorFlow with contrib each test runs for both schemes.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets import counting
from nets.float_layers import FloatLayers
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from quantization import coverage as coverage_of
from quantization import ranges, scheme
from quantization.fake_quantization import FakeQuantization
from scripts.effnetb0.architecture import Architecture, Block, EFFICIENTNET_B0
from scripts.effnetb0.slim_names import fold_batch_norm

# A block with a skip, one with an expansion and none.
SMALL = Architecture('small', image_size=16, stem=4, head=8, blocks=(
    Block(1, 3, 1, 4, 4), Block(2, 3, 2, 4, 6)))
PLAIN = SMALL._replace(se_ratio=None, activation='relu6')
CONVOLUTIONS = 12
IMAGES = np.random.RandomState(0).uniform(0, 255, [6, 16, 16, 3]).astype(np.float32)
DARK_IMAGES = IMAGES * 0.5


SCHEMES = sorted({scheme.Scheme, FakeQuantization}, key=lambda s: s.__name__)
FREEZE, DELAY = 2, 4  # Global steps of the model in stages.


class Model:
  """A network in a graph of its own, with a session."""

  def __init__(self, is_training, create_layers=FloatLayers, architecture=SMALL, rate=0.0):
    self.graph = tf.Graph()
    with self.graph.as_default():
      layers = create_layers()
      self.images = tf.placeholder(tf.float32, [None, 16, 16, 3])
      self.logits, _ = efficientnet_b0(self.images, 3, is_training, architecture, dropout=rate,
                                       drop_connect=rate, batch_norm_decay=0.1, layers=layers)
      self.step = tf.train.get_or_create_global_step()
      self.report = layers.finish(self.graph)
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


def training(quantization, **arguments):
  return lambda: scheme.training_layers(scheme=quantization, **arguments)


def evaluation(quantization):
  return lambda: scheme.evaluation_layers(quantization)


def model_in_stages(quantization):
  """Float with batch statistics, then with moving statistics, then quantised; no dropout.

  The moving statistics are those of IMAGES.
  """
  model = Model(True, training(quantization, quant_delay=DELAY, freeze_batch_norm_delay=FREEZE))
  for _ in range(5):
    model.run([model.logits, model.updates])
  return model


@pytest.fixture(name='quantization', scope='module', params=SCHEMES)
def quantization_scheme(request):
  return request.param


@pytest.fixture(name='trained', scope='module')
def training_model(quantization):
  """Quantised from the first step, with dropout and drop-connect."""
  return Model(True, training(quantization), rate=0.2)


@pytest.fixture(name='staged', scope='module')
def staged_model(quantization):
  return model_in_stages(quantization)


@pytest.fixture(name='evaluated', scope='module')
def evaluation_model(quantization):
  return Model(False, evaluation(quantization))


@pytest.fixture(name='by_batch', scope='module')
def float_training_model():
  return Model(True)


@pytest.fixture(name='by_average', scope='module')
def float_evaluation_model():
  return Model(False)


def coverage(model):
  """(kernels, inputs, outputs) quantised, and the convolutions with a float input."""
  assert len({c.name for c in model.report}) == len(model.report)
  return ([sum(column) for column in list(zip(*model.report))[1:]],
          [c.name for c in model.report if not c.input])


def test_every_convolution_is_quantised(trained, staged, evaluated):
  for model in (trained, staged, evaluated):
    assert coverage(model) == ([CONVOLUTIONS, CONVOLUTIONS - 1, CONVOLUTIONS],
                               ['efficientnet_b0/Conv'])


@pytest.mark.parametrize('is_training', [True, False])
def test_other_activations_are_quantised(is_training, quantization):
  layers = (training if is_training else evaluation)(quantization)
  convolutions = CONVOLUTIONS - 4  # Those of squeeze-excite.
  assert coverage(Model(is_training, layers, PLAIN, rate=0.2)) == (
      [convolutions, convolutions - 1, convolutions], ['efficientnet_b0/Conv'])


def test_report_of_a_float_network(by_batch):
  convolutions = [op for op in by_batch.graph.get_operations() if op.type in counting.CONVOLUTIONS]
  actual = coverage_of.report(convolutions)
  assert len(actual) == CONVOLUTIONS
  assert actual[0] == ('efficientnet_b0/Conv', False, False, False)
  assert not any(c.kernel or c.input or c.output for c in actual)
  with pytest.raises(ValueError, match="quantisation missed .*name='efficientnet_b0/Conv'"):
    coverage_of.checked_report(convolutions)


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
  node, = [op for op in trained.graph.get_operations() if op.type.startswith('FakeQuant')
           and op.name.startswith('efficientnet_b0/Conv/act_quant/')
           and 'Grad' not in op.type]
  result = node.inputs[0]
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


def test_refuses_a_quantised_graph(evaluated, quantization):
  with evaluated.graph.as_default(), pytest.raises(ValueError, match='is quantised already'):
    scheme.evaluation_layers(quantization).finish(evaluated.graph)


def test_refuses_an_activation_that_it_cannot_quantise():
  with tf.Graph().as_default(), pytest.raises(ValueError, match='bare/BiasAdd.*elu'):
    scheme.evaluation_layers(FakeQuantization).conv2d(
        tf.zeros([1, 4, 4, 3]), 2, 3, activation_fn=tf.nn.elu, scope='bare')


def values_of(model):
  """Dict name -> value of all variables."""
  return model.session.run(model.variables)


@pytest.fixture(name='pair', scope='module', params=[SMALL, PLAIN], ids=['swish', 'relu6'])
def models_of_both_schemes(request):
  """In training, and in evaluation."""
  if len(SCHEMES) < 2:
    pytest.skip('TensorFlow without contrib')
  return [[Model(True, training(each, quant_delay=DELAY, freeze_batch_norm_delay=FREEZE),
                 request.param) for each in SCHEMES],
          [Model(False, evaluation(each), request.param) for each in SCHEMES]]


def test_both_schemes_have_the_same_variables_and_nodes(pair):
  for ours, theirs in pair:
    assert ({name: v.shape.as_list() for name, v in ours.variables.items()}
            == {name: v.shape.as_list() for name, v in theirs.variables.items()})
    assert sorted(ours.report) == sorted(theirs.report)
    for key in (tf.GraphKeys.TRAINABLE_VARIABLES, tf.GraphKeys.MODEL_VARIABLES,
                ranges.KERNEL_RANGES):
      names = [sorted(v.op.name for v in m.graph.get_collection(key)) for m in (ours, theirs)]
      assert names[0] == names[1], key


@pytest.mark.parametrize('step', [0, FREEZE, DELAY])
def test_both_schemes_go_on_alike_from_a_checkpoint(pair, step):
  """But for rounding: a value between two codes may get either.

  Statistics move in runs of their own, which fold kernels with those of before or of after; the
  last run sets the ranges of kernels to those of after.
  """
  models = pair[0]
  models[1].session.run(models[1].initialize)
  models[1].copy_to(models[0])
  for images in (IMAGES, DARK_IMAGES):
    results = [model.run([model.logits, model.gradients], step, images) for model in models]
    for model in models:
      model.run(model.updates, step, images)
    (ours, our_gradients), (theirs, their_gradients) = results
    np.testing.assert_allclose(ours, theirs, atol=0.02 * np.ptp(theirs) + 1e-4)
    for one, other, variable in zip(our_gradients, their_gradients, models[0].trained):
      assert np.abs(one - other).mean() < 0.02 * np.abs(other).max() + 1e-4, variable.op.name
  for model in models:
    model.run(step=step)
  ours, theirs = (model.session.run(model.variables) for model in models)
  for name, value in theirs.items():
    np.testing.assert_allclose(ours[name], value, rtol=0.02, atol=0.01, err_msg=name)


def test_both_schemes_evaluate_a_checkpoint_alike(pair):
  (trained, _), models = pair
  for _ in range(3):
    trained.run([trained.logits, trained.updates])
  for model in models:
    trained.copy_to(model)
  ours, theirs = (model.run() for model in models)
  np.testing.assert_allclose(ours, theirs, atol=0.02 * np.ptp(theirs))


@pytest.mark.full
def test_b0(quantization):
  with tf.Graph().as_default() as graph:
    layers = scheme.training_layers(quant_delay=5, scheme=quantization)
    images = tf.placeholder(tf.float32, [None, 32, 32, 3])
    efficientnet_b0(images, 10, True, EFFICIENTNET_B0, layers=layers)
    actual = layers.finish(graph)
  assert len(actual) == 66 + 16
  assert all(c.kernel and c.output for c in actual)
  assert [c.name for c in actual if not c.input] == ['efficientnet_b0/Conv']
