"""Tests of folding, and of the way from a frozen TF-Slim graph to the float network's logits."""

import hashlib
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import prepare_weights
from scripts.effnetb0 import slim_names
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import layers
from scripts.effnetb0.weights import load_weights
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY, run_script, slim_variables


def write_frozen(path, constants, epsilon=1e-3):
  """A graph with the constants, and one batch norm as a frozen graph has it."""
  with tf.Graph().as_default() as graph:
    for name, value in constants.items():
      tf.constant(value, name=name)
    tf.nn.fused_batch_norm(tf.zeros([1, 2, 2, 3]), tf.ones([3]), tf.zeros([3]), tf.zeros([3]),
                           tf.ones([3]), epsilon=epsilon, is_training=False)
  path.write_bytes(graph.as_graph_def().SerializeToString())
  return str(path)


@pytest.fixture(autouse=True)
def tiny_is_known():
  with testing_network.known():
    yield


def convert(path, *flags):
  return run_script(prepare_weights.main, (path, '--model', 'tiny') + flags)


@pytest.mark.parametrize('channel_axis, shape', [(3, (3, 3, 4, 5)), (2, (3, 3, 5, 1))])
def test_folding_is_batch_norm_of_the_convolution(channel_axis, shape):
  random = np.random.RandomState(0)
  kernel = random.randn(*shape).astype(np.float32)
  gamma, beta, mean = random.randn(3, 5).astype(np.float32)
  variance = random.uniform(0.01, 2, 5).astype(np.float32)
  images = tf.constant(random.randn(2, 6, 6, shape[2]), tf.float32)
  convolve = tf.nn.conv2d if channel_axis == 3 else tf.nn.depthwise_conv2d_native
  folded = slim_names.fold_batch_norm(kernel, gamma, beta, mean, variance, channel_axis)
  plain = convolve(images, kernel, [1, 1, 1, 1], 'SAME')
  expected = tf.nn.batch_normalization(plain, mean, variance, beta, gamma, 1e-3)
  with tf.Session() as session:
    actual, wanted = session.run([
        convolve(images, folded.weights, [1, 1, 1, 1], 'SAME') + folded.bias, expected])
  np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-4)


def test_pickle_holds_every_layer(tmp_path):
  constants = slim_variables()
  outcome = convert(write_frozen(tmp_path / 'net.pb', constants))
  assert outcome.status == 0, outcome.err
  weights, classes = load_weights(str(tmp_path / 'net_weights.pickle'), TINY)
  assert classes == CLASSES
  assert list(weights) == [layer.name for layer in layers(TINY, 32, CLASSES)]
  assert set(students.weight_shapes(TINY, CLASSES)) == {
      '%s/%s' % (n, part) for n in weights for part in ('weights', 'bias')}
  np.testing.assert_array_equal(weights['expanded_conv_0/se_1'].bias,
                                constants['efficientnet_b0/expanded_conv/se_1/biases'])
  scope = 'efficientnet_b0/expanded_conv_1/depthwise/'
  scale = constants[scope + 'BatchNorm/gamma'] / np.sqrt(
      constants[scope + 'BatchNorm/moving_variance'] + 1e-3)
  np.testing.assert_allclose(weights['expanded_conv_1/dws'].weights[..., 0],
                             constants[scope + 'depthwise_weights'][..., 0] * scale, rtol=1e-5)


def other_variables():
  return {name: 1.5 * value for name, value in slim_variables().items()}


def bias_of_stem(path, out=''):
  """The bias in a weights file, and what loading it says."""
  lines = []
  weights, _ = load_weights(str(path), TINY, lines.append)
  return weights['Conv'].bias, '\n'.join(lines)


def test_a_weights_file_of_other_content_is_replaced_only_where_told(tmp_path):
  convert(write_frozen(tmp_path / 'net.pb', slim_variables()))
  path = tmp_path / 'net_weights.pickle'
  first = path.read_bytes()
  outcome = convert(str(tmp_path / 'net.pb'))
  assert outcome.status == 0 and 'unchanged: the file has this content already' in outcome.out
  write_frozen(tmp_path / 'net.pb', other_variables())
  outcome = convert(str(tmp_path / 'net.pb'))
  assert outcome.status == 2
  assert outcome.err == 'error: %s exists already: --overwrite replaces it\n' % path
  assert path.read_bytes() == first
  assert convert(str(tmp_path / 'net.pb'), '--overwrite').status == 0
  assert path.read_bytes() != first
  assert sorted(os.listdir(str(tmp_path))) == ['net.pb', 'net_weights.pickle']


def test_the_shipped_weights_make_room_and_are_kept(tmp_path):
  convert(write_frozen(tmp_path / 'net.pb', slim_variables()))
  path, kept = tmp_path / 'net_weights.pickle', tmp_path / 'net_weights.shipped.pickle'
  shipped = path.read_bytes()
  digest = hashlib.sha256(shipped).hexdigest()
  (tmp_path / 'SHA256SUMS').write_text('%s  %s\n' % (digest, path.name))
  old, said = bias_of_stem(path)
  assert not said
  write_frozen(tmp_path / 'net.pb', other_variables())
  outcome = convert(str(tmp_path / 'net.pb'))  # As the document of the method has it.
  assert outcome.status == 0, outcome.err
  assert 'note: the shipped weights, which had this name, are kept as %s' % kept in outcome.out
  assert kept.read_bytes() == shipped
  new, said = bias_of_stem(path)  # As train.py and eval.py load it.
  assert np.any(new != old)
  assert said == ('note: %s is not the file that SHA256SUMS beside it lists; it is taken as your '
                  'own weights' % path)
  assert convert(str(tmp_path / 'net.pb')).status == 0  # The same again.
  write_frozen(tmp_path / 'net.pb', slim_variables(seed=5))
  assert convert(str(tmp_path / 'net.pb')).error.endswith('exists already: --overwrite replaces it')
  assert kept.read_bytes() == shipped


@pytest.mark.parametrize('change, message', [
    (lambda c: c.pop('efficientnet_b0/Conv/weights'),
     'has no constant efficientnet_b0/Conv/weights'),
    (lambda c: c.pop('efficientnet_b0/expanded_conv_2/expand/BatchNorm/gamma'),
     'has no constant efficientnet_b0/expanded_conv_2/expand/BatchNorm/gamma'),
    (lambda c: c.update({'efficientnet_b0/Conv_1/weights': np.zeros([1, 1, 2, 2], np.float32)}),
     'efficientnet_b0/Conv_1/weights has the shape [1, 1, 2, 2]'),
    (lambda c: c.update({'efficientnet_b0/Conv/BatchNorm/moving_variance':
                         np.full([8], -1, np.float32)}),
     'the weights of layer Conv are not finite'),
    (lambda c: c.update({'efficientnet_b0/Logits/Conv2d_1c_1x1/biases': np.float32(1)}),
     'Logits/Conv2d_1c_1x1/weights has the shape [1, 1, 16, 4], the network [1, 1, 16, 1]')])
def test_refuses_graphs_of_other_networks(tmp_path, change, message):
  constants = slim_variables()
  change(constants)
  outcome = convert(write_frozen(tmp_path / 'net.pb', constants))
  assert outcome.status == 2 and message in outcome.error
  assert not (tmp_path / 'net_weights.pickle').exists()


def test_refuses_another_epsilon(tmp_path):
  outcome = convert(write_frozen(tmp_path / 'net.pb', slim_variables(), epsilon=1e-2))
  assert outcome.status == 2 and 'has the epsilon 0.01' in outcome.error


def test_refuses_another_epsilon_of_a_folded_batch_norm(tmp_path):
  constants = dict(slim_variables(), **{'efficientnet_b0/Conv/BatchNorm_Fold/add/y': 0.5})
  outcome = convert(write_frozen(tmp_path / 'net.pb', constants))
  assert outcome.status == 2 and 'BatchNorm_Fold/add/y has the epsilon 0.5' in outcome.error


@pytest.mark.parametrize('change', [
    lambda tensor: tensor.tensor_shape.dim.add(size=2**40),  # One value for all of them.
    lambda tensor: tensor.tensor_shape.dim.add(size=-1),
    lambda tensor: tensor.tensor_shape.dim.add(size=3),
    lambda tensor: setattr(tensor, 'dtype', tf.complex64.as_datatype_enum)])
@pytest.mark.parametrize('values', [[1.0], [1.0, 2.0]])
def test_refuses_constants_whose_values_are_not_there(tmp_path, change, values):
  graph = tf.GraphDef()
  tensor = graph.node.add(name='x', op='Const').attr['value'].tensor
  graph.node[0].attr['dtype'].type = tensor.dtype = tf.float32.as_datatype_enum
  tensor.float_val.extend(values)
  change(tensor)
  if len(values) == 1 and tensor.tensor_shape.dim and tensor.tensor_shape.dim[0].size == 3:
    return  # One value may stand for all.
  (tmp_path / 'net.pb').write_bytes(graph.SerializeToString())
  outcome = convert(str(tmp_path / 'net.pb'))
  assert outcome.status == 2 and 'net.pb is damaged: a constant of shape' in outcome.error


def test_refuses_what_is_no_graph(tmp_path):
  (tmp_path / 'net.pb').write_bytes(b'no graph')
  assert 'net.pb is not a frozen graph' in convert(str(tmp_path / 'net.pb')).error
  (tmp_path / 'net.pb').write_bytes(b'')
  assert 'net.pb is not a frozen graph: it has no nodes' in convert(str(tmp_path / 'net.pb')).error
  assert 'cannot read frozen graph' in convert(str(tmp_path / 'gone.pb')).error
