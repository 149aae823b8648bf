"""Batch norm made live: the same function, and a training mode that agrees with it."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from conversion.checkpoint import load_variables
from conversion.folded import live_variables, measure
import dataset_utils
from nets.nets_factory import get_network
from scripts.effnetb0.architecture import layers
from scripts.effnetb0.frozen_graph import extract_weights
from scripts.effnetb0.slim_names import has_batch_norm
from scripts.effnetb0.weights import LayerWeights
from scripts.errors import UserError
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, TINY
from testing import chain as testing_chain

TABLE = layers(TINY, TINY.image_size, CLASSES)
# A kernel's channel without weights, as B0 has them next to none; its variance is 0.
CONSTANT = ('expanded_conv_1/expand', 3)


def weights_with_a_constant_channel():
  weights = testing_network.random_weights()
  layer, channel = CONSTANT
  kernel = weights[layer].weights.copy()
  kernel[..., channel] = 0.0
  weights[layer] = LayerWeights(kernel, weights[layer].bias)
  return weights


@pytest.fixture(name='split', scope='module')
def images_for_training(tmp_path_factory):
  folder = tmp_path_factory.mktemp('records')
  testing_network.write_dataset(folder, {'train': [0] * 32, 'validation': [0] * 16})
  with testing_chain.known():
    yield dataset_utils.find_split(str(folder), 'train')


@pytest.mark.parametrize('statistics', [{}, {
    layer.name: (np.linspace(-3, 3, layer.outputs), np.linspace(0, 5, layer.outputs) ** 2)
    for layer in TABLE if has_batch_norm(layer)}])
def test_folding_again_gives_the_weights_back(statistics):
  weights = testing_network.random_weights()
  actual = extract_weights(live_variables(weights, TABLE, statistics), TINY, 'here')
  assert list(actual) == list(weights)
  for name, layer in weights.items():
    np.testing.assert_allclose(actual[name].weights, layer.weights, rtol=1e-6)
    np.testing.assert_allclose(actual[name].bias, layer.bias, atol=1e-6)


def test_relation_by_hand():
  weights = {'Conv': LayerWeights(np.ones([3, 3, 3, 2], np.float32), np.float32([1, 2]))}
  actual = live_variables(weights, TABLE[:1], {'Conv': ([10, 20], [0, 0.003])})
  parts = {name.rpartition('/')[2]: value for name, value in actual.items()}
  np.testing.assert_allclose(parts['gamma'], [0.001 ** 0.5, 0.004 ** 0.5], rtol=1e-6)
  np.testing.assert_array_equal(parts['beta'], [11, 22])
  np.testing.assert_array_equal(parts['moving_mean'], [10, 20])
  np.testing.assert_allclose(parts['moving_variance'], [0, 0.003])


def test_training_mode_on_the_measured_images_is_the_float_network(split):
  # Its batch norm uses the statistics of the batch, and the batch is all that was measured.
  weights = weights_with_a_constant_channel()
  network = get_network('tiny')
  statistics = measure(weights, network, CLASSES, split, TINY.image_size, batch_size=5)
  assert statistics[CONSTANT[0]][1][CONSTANT[1]] == 0
  expected = testing_network.float_logits(split.files[0].rpartition('/')[0], 'train', weights)
  images = np.float32(testing_network.random_images(32, seed=0))[:, 16:48, 16:48]
  for is_training in (False, True):
    with tf.Graph().as_default(), tf.Session() as session:
      logits, _ = network.build(tf.constant(images), CLASSES, is_training, dropout=0.0,
                                drop_connect=0.0)
      load_variables(session, tf.global_variables(), live_variables(weights, TABLE, statistics))
      actual = session.run(logits)
    np.testing.assert_allclose(actual, expected, atol=2e-3 if is_training else 1e-4)


def test_out_of_memory_names_the_flag_of_the_script(split):
  class Large:
    architecture = TINY

    def build(self, *_, **__):
      raise tf.errors.ResourceExhaustedError(None, None, 'of the memory')

  with pytest.raises(UserError, match='out of memory: lower --batch_size or --image_size$'):
    measure({}, Large(), CLASSES, split, 32, 8)


def test_a_damaged_image_is_named(split, tmp_path):
  record = tmp_path / 'train-00000-of-00001'
  content = bytearray(open(split.files[0], 'rb').read())
  content[-100] ^= 1
  record.write_bytes(bytes(content))
  torn = split._replace(files=(str(record),))
  with pytest.raises(UserError, match='train-00000-of-00001: record 31 .*checksum'):
    measure(testing_network.random_weights(), get_network('tiny'), CLASSES, torn, 32, 8)
