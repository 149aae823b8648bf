"""Networks by name."""

import pytest
import tensorflow.compat.v1 as tf

from nets import nets_factory
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from scripts.effnetb0.architecture import EFFICIENTNET_B0, EFFICIENTNET_LITE0
from scripts.errors import UserError
from scripts.testing.network import TINY


def test_names():
  network = nets_factory.get_network('efficientnet_b0')
  assert network.name == 'efficientnet_b0' and network.architecture == EFFICIENTNET_B0
  assert nets_factory.get_network('efficientnet_lite0').architecture == EFFICIENTNET_LITE0


def test_build(monkeypatch):
  monkeypatch.setitem(ARCHITECTURES, 'tiny', TINY)
  with tf.Graph().as_default():
    logits, end_points = nets_factory.get_network('tiny').build(
        tf.placeholder(tf.float32, [None, 32, 32, 3]), 7, True, weight_decay=1e-5)
    assert logits.shape.as_list() == [None, 7] and end_points['Logits'] is logits
    assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 17


def test_refuses_unknown_names():
  with pytest.raises(UserError) as error:
    nets_factory.get_network('resnet')
  assert '--model_name resnet is unknown; there are efficientnet_b0,' in str(error.value)
