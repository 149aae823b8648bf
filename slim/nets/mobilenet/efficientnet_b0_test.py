"""The network: names and sizes, its function against adj_quant's, the script."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from nets.mobilenet import efficientnet_b0 as module
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import Block, EFFICIENTNET_B0, layers
from scripts.effnetb0.slim_names import variable_scope
from scripts.effnetb0.weights import load_weights
from scripts.testing.network import CLASSES, TINY, random_weights, run_script

PICKLE = os.path.join(module.ROOT, 'pretrained', 'efficient_b0_autoaugment',
                      'frozen_efficientnet_b0_weights.pickle')
GOLDEN = os.path.join(module.ROOT, '..', 'shared', 'golden', 'b0_float_logits.npz')
NORM = ['BatchNorm/gamma', 'BatchNorm/beta', 'BatchNorm/moving_mean', 'BatchNorm/moving_variance']


def expected_names(architecture, classes):
  """Variables in the order of creation, by the scheme of the checkpoint's names."""
  values = []
  for layer in layers(architecture, architecture.image_size, classes):
    parts = ['depthwise_weights' if layer.kind == 'depthwise' else 'weights']
    part = layer.name.rpartition('/')[2]
    parts += ['biases'] if part in ('se_1', 'se_2', 'output') else NORM
    values += ['efficientnet_b0/%s/%s' % (variable_scope(layer), part) for part in parts]
  return values


def live_variables(weights, architecture, classes, seed=3):
  """Dict variable -> array of the same function as folded weights, with any statistics."""
  random = np.random.RandomState(seed)
  values = {}
  for layer in layers(architecture, architecture.image_size, classes):
    scope = 'efficientnet_b0/%s/' % variable_scope(layer)
    kernel = 'depthwise_weights' if layer.kind == 'depthwise' else 'weights'
    values[scope + kernel], bias = weights[layer.name]
    if layer.name.rpartition('/')[2] in ('se_1', 'se_2', 'output'):
      values[scope + 'biases'] = bias
    else:
      mean, variance = random.randn(layer.outputs), random.uniform(0.1, 2, layer.outputs)
      values.update(zip([scope + part for part in NORM],
                        [np.sqrt(variance + 1e-3), bias + mean, mean, variance]))
  return values


def slim_logits(images, weights, architecture, classes):
  with tf.Graph().as_default(), tf.Session() as session:
    logits, _ = efficientnet_b0(tf.constant(np.float32(images)), classes,
                                architecture=architecture)
    values = live_variables(weights, architecture, classes)
    for variable in tf.global_variables():
      variable.load(values.pop(variable.op.name), session)
    assert not values
    return session.run(logits)


def float_logits(images, weights, architecture, classes):
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', architecture, classes, False)
    logits, _ = students.build_float(tf.constant(np.float32(images)), architecture, flat, 'net')
    flat.variable.load(students.weight_vector(weights, architecture, classes), session)
    return session.run(logits)


def build(graph, classes=CLASSES, size=32, architecture=TINY, **arguments):
  """Logits and end points; arguments of the network."""
  with graph.as_default():
    images = tf.placeholder(tf.float32, [None, size, size, 3])
    return efficientnet_b0(images, classes, architecture=architecture, **arguments)


def test_variables_of_a_small_network():
  graph = tf.Graph()
  build(graph)
  with graph.as_default():
    actual = [v.op.name for v in tf.global_variables()]
    assert actual == expected_names(TINY, CLASSES)
    assert actual[:6] == ['efficientnet_b0/Conv/' + n for n in ['weights'] + NORM] + [
        'efficientnet_b0/expanded_conv/depthwise/depthwise_weights']
    assert 'efficientnet_b0/expanded_conv_1/se_2/biases' in actual
    assert actual[-2:] == ['efficientnet_b0/Logits/Conv2d_1c_1x1/' + n
                           for n in ('weights', 'biases')]
    assert [v.op.name for v in tf.trainable_variables()] == [n for n in actual
                                                             if '/moving_' not in n]


def test_end_points():
  logits, end_points = build(tf.Graph())
  assert list(end_points) == [
      'Conv', 'expanded_conv/depthwise', 'expanded_conv/excite', 'expanded_conv/project',
      'expanded_conv'] + ['expanded_conv_%d%s' % (i, part) for i in (1, 2) for part in (
          '/expand', '/depthwise', '/excite', '/project', '')] + [
              'Conv_1', 'global_pool', 'Logits', 'Predictions']
  assert end_points['Logits'] is logits and logits.shape.as_list() == [None, CLASSES]
  assert end_points['Predictions'].op.name == 'efficientnet_b0/Predictions/Reshape_1'
  assert end_points['Conv'].shape.as_list() == [None, 16, 16, TINY.stem]
  assert end_points['expanded_conv_2'].shape.as_list() == [None, 8, 8, 6]
  assert end_points['global_pool'].shape.as_list() == [None, 1, 1, TINY.head]


@pytest.mark.parametrize('size', [32, 33])
@pytest.mark.parametrize('fields', [{}, {'se_ratio': None, 'activation': 'relu6'}])
def test_function_is_that_of_adj_quant(fields, size):
  architecture = TINY._replace(**fields)
  weights = random_weights(architecture)
  images = np.random.RandomState(1).randint(0, 256, [3, size, size, 3])
  actual = slim_logits(images, weights, architecture, CLASSES)
  assert np.abs(actual).max() > 0.1
  np.testing.assert_allclose(actual, float_logits(images, weights, architecture, CLASSES),
                             atol=1e-4)


def test_dropout_and_drop_connect_are_for_training():
  def two_runs(is_training, **rates):
    graph = tf.Graph()
    with graph.as_default(), tf.Session() as session:
      logits, _ = efficientnet_b0(
          tf.constant(np.random.RandomState(1).uniform(0, 255, [4, 32, 32, 3]), tf.float32),
          CLASSES, is_training, TINY, **rates)
      session.run(tf.global_variables_initializer())
      return session.run(logits), session.run(logits)

  np.testing.assert_array_equal(*two_runs(False))
  np.testing.assert_array_equal(*two_runs(True, dropout=0.0, drop_connect=0.0))
  for rates in ({'dropout': 0.0, 'drop_connect': 0.9}, {'dropout': 0.5, 'drop_connect': 0.0}):
    first, second = two_runs(True, **rates)
    assert not np.allclose(first, second)


def test_drop_connect_rises_with_the_block(monkeypatch):
  rates = []
  monkeypatch.setattr(module.conv_blocks, 'drop_connect',
                      lambda x, rate, options: rates.append(rate) or x)
  blocks = TINY.blocks[:1] + (Block(2, 3, 1, 4, 4),) * 3  # All but the first have a skip.
  build(tf.Graph(), architecture=TINY._replace(blocks=blocks), is_training=True, drop_connect=0.4)
  assert rates == pytest.approx([0.1, 0.2, 0.3])


def test_random_ops_have_seeds_of_their_own():
  def seeds(seed, is_training=True):
    graph = tf.Graph()
    build(graph, is_training=is_training, seed=seed)
    return [op.get_attr('seed2') for op in graph.get_operations() if 'seed2' in op.node_def.attr]

  first = seeds(0)
  assert len(first) == 17 + 2  # Kernels; dropout and the one block with a skip.
  assert len(set(first)) == len(first) and not set(first) & set(seeds(1))
  assert first == seeds(0)
  assert set(first) > set(seeds(0, False))


def test_a_second_tower_shares_the_variables():
  graph = tf.Graph()
  build(graph)
  with graph.as_default():
    count = len(tf.global_variables())
    build(graph, reuse=True)
    assert len(tf.global_variables()) == count


@pytest.mark.full
def test_b0():
  graph = tf.Graph()
  _, end_points = build(graph, 1000, 224, EFFICIENTNET_B0, is_training=True)
  with graph.as_default():
    trained = tf.trainable_variables()
    assert [v.op.name for v in tf.global_variables()] == expected_names(EFFICIENTNET_B0, 1000)
    assert len(trained) == 213 and len(tf.global_variables()) == 213 + 2 * 49
    assert sum(v.shape.num_elements() for v in trained) == 5288548
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * 49
  ops = [op.type for op in graph.get_operations()]
  assert ops.count('Conv2D') == 65 + 1 and ops.count('DepthwiseConv2dNative') == 16
  assert list(end_points)[-6:] == ['expanded_conv_15/project', 'expanded_conv_15', 'Conv_1',
                                   'global_pool', 'Logits', 'Predictions']


@pytest.mark.full
@pytest.mark.skipif(not os.path.exists(GOLDEN), reason='no golden values')
def test_b0_gives_the_golden_logits():
  weights, classes = load_weights(PICKLE, EFFICIENTNET_B0)
  golden = np.load(GOLDEN)
  actual = slim_logits(golden['images'][:4], weights, EFFICIENTNET_B0, classes)
  np.testing.assert_allclose(actual, golden['logits'][:4], atol=1e-4)


def test_script_counts_b0(tmp_path):
  path = tmp_path / 'model_info.json'
  outcome = run_script(module.main, ['--output', path])
  assert outcome.status == 0, outcome.err
  with open(module.MODEL_INFO, 'rb') as tracked:
    assert path.read_bytes() == tracked.read()
  assert ('82 convolutions, 5288548 parameters (5267540 with batch norm folded), '
          '385814752 multiply-accumulates') in outcome.out


@pytest.mark.parametrize('argv, message', [
    (['--model_name', 'resnet'], 'model_name'),
    (['--image_size', '0'], '--image_size must be at least 1, not 0'),
    (['--num_classes', '-1'], '--num_classes must be at least 1, not -1')])
def test_script_refuses(tmp_path, argv, message):
  outcome = run_script(module.main, ['--output', tmp_path / 'out.json'] + argv)
  assert outcome.status == 2 and message in outcome.error
  assert not (tmp_path / 'out.json').exists()


def test_script_replaces_no_other_counts_unasked(tmp_path, monkeypatch):
  path = tmp_path / 'model_info.json'
  path.write_text('mine')
  monkeypatch.setitem(module.ARCHITECTURES, 'efficientnet_b0', TINY)
  argv = ['--output', path, '--image_size', 32]
  outcome = run_script(module.main, argv)
  assert outcome.status == 2 and 'model_info.json exists already: --overwrite' in outcome.error
  assert path.read_text() == 'mine'
  assert run_script(module.main, argv + ['--overwrite']).status == 0
  assert path.read_text() != 'mine'


def test_script_refuses_a_folder(tmp_path):
  assert 'it is a folder' in run_script(module.main, ['--output', tmp_path]).error
