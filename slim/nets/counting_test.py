"""Counting by hand, and refusals of graphs that are not what the table says."""

import json

import pytest
import tensorflow.compat.v1 as tf

from nets import counting
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from scripts.errors import UserError
from scripts.model_info import model_info
from scripts.testing.network import CLASSES, TINY


@pytest.fixture(name='counts', scope='module')
def counts_of_tiny():
  with tf.Graph().as_default() as graph:
    efficientnet_b0(tf.placeholder(tf.float32, [1, 32, 32, 3]), CLASSES, architecture=TINY)
    return counting.count_layers(graph, 'efficientnet_b0')


def test_by_hand(counts):
  assert len(counts) == 17
  assert counts['Conv'] == (3 * 3 * 3 * 8, 3 * 3 * 3 * 8 * 16 * 16, 8)
  assert counts['expanded_conv_1/depthwise'] == (3 * 3 * 8, 3 * 3 * 8 * 8 * 8, 8)
  assert counts['expanded_conv_1/se_1'] == (8, 8, 1)
  assert counts['Logits/Conv2d_1c_1x1'] == (16 * CLASSES, 16 * CLASSES, CLASSES)


def test_agrees_with_the_table(counts):
  info = counting.checked_model_info(counts, TINY, 32, CLASSES)
  assert info == model_info(TINY, 32, CLASSES)
  text = counting.model_info_text(info)
  assert json.loads(text) == info and text.startswith('{\n "Conv": {"total": [216, ')


def test_other_networks_in_the_graph_do_not_count(counts):
  with tf.Graph().as_default() as graph:
    efficientnet_b0(tf.placeholder(tf.float32, [1, 32, 32, 3]), CLASSES, architecture=TINY,
                    scope='teacher')
    assert not counting.count_layers(graph, 'efficientnet_b0')
    assert counting.count_layers(graph, 'teacher') == counts


def test_refuses_what_differs(counts):
  def refuse(message, size=32, **changed):
    altered = dict(counts, **changed)
    with pytest.raises(UserError) as error:
      counting.checked_model_info({k: v for k, v in altered.items() if v}, TINY, size, CLASSES)
    assert message in str(error.value)

  refuse('layer Conv of tiny: the graph has [216, 110592], the table of architectures '
         '[216, 248832]', size=48)
  refuse('layer Conv_1 of tiny: the graph has None', Conv_1=None)
  refuse('layers that only the graph has: Extra', Extra=counting.Count(0, 0, 0))
  refuse('the graph of tiny has %d biases' % (1 + model_info(TINY, 32, CLASSES)['total_bias']),
         Conv_1=counts['Conv_1']._replace(outputs=TINY.head + 1))
