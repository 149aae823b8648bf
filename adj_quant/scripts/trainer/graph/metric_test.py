import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import cost
from scripts.effnetb0.architecture import (
    Architecture, Block, EFFICIENTNET_B0, EFFICIENTNET_LITE0, layers)
from scripts.effnetb0.nodes import Precision, nodes
from scripts.effnetb0.student import ModelSpec
from scripts.trainer.bit_report import quant_info
from scripts.trainer.graph.metric import published_metric

TINY = Architecture('tiny', 32, 8, (Block(1, 3, 1, 8, 4), Block(6, 3, 1, 4, 4)), 16)
LEARNT = Precision(learnt_weights=True, learnt_acts=True)


def metric_and_gradient(values, spec, size, gamma=0.7):
  with tf.Graph().as_default(), tf.Session() as session:
    bits = tf.placeholder(tf.float32, [len(values)])
    metric = published_metric(bits, spec, size, gamma)
    gradient, = tf.gradients(metric, [bits])
    return session.run([metric, gradient], {bits: values})


def random_bits(spec, seed):
  """Random whole bits for learnt nodes, the nominal ones for the others."""
  random = np.random.RandomState(seed)
  quantised = [node for node in nodes(*spec[:3]) if node.quantised]
  return np.concatenate([random.randint(2, 9, [n.channels]) if n.learnt
                         else np.full([n.channels], n.bits) for n in quantised]).astype(np.float32)


@pytest.mark.parametrize('architecture, size, classes', [
    (TINY, 32, 5), (TINY, 33, 7), (EFFICIENTNET_B0, 224, 1000), (EFFICIENTNET_LITE0, 224, 1001)])
@pytest.mark.parametrize('precision', [
    LEARNT, LEARNT._replace(float_ends=True), LEARNT._replace(act_bits=-1),
    LEARNT._replace(learnt_swish=True, bias_bits=-1), Precision(4, 5, -1, 8)])
def test_equals_the_count_of_the_file(architecture, size, classes, precision):
  spec = ModelSpec(architecture, classes, precision)
  values = random_bits(spec, 1)
  metric, _ = metric_and_gradient(values, spec, size)
  bits, settings = quant_info(values, spec, size)
  expected = cost.count(bits, settings, architecture).published.metric
  assert metric == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('weight_bits, act_bits, expected', [
    (8, 8, 0.359678), (3, 5, 0.181013)])  # The published method at uniform precision.
def test_uniform_precision_of_b0(weight_bits, act_bits, expected):
  spec = ModelSpec(EFFICIENTNET_B0, 1000, Precision(weight_bits, act_bits))
  metric, _ = metric_and_gradient(random_bits(spec, 0), spec, 224)
  assert metric == pytest.approx(expected, abs=1e-6)


def test_gradient_is_shared_by_gamma():
  """By hand, for the projection of block 0 and the product that it reads."""
  spec = ModelSpec(TINY, 5, LEARNT)
  gradient = metric_and_gradient(random_bits(spec, 2), spec, 32, gamma=0.7)[1]
  layer = next(f for f in layers(TINY, 32, 5) if f.name == 'expanded_conv_0/project')
  starts, start = {}, 0
  for node in nodes(*spec[:3]):
    starts[node.name] = start
    start += node.channels
  ops = 2.0 * layer.macs / 32 / 1170e6
  weight = layer.params / 32 / 6.9e6 / layer.outputs + 0.3 * ops / layer.outputs
  act = 0.7 * ops / layer.inputs
  place = starts['expanded_conv_0/project/weights']
  np.testing.assert_allclose(gradient[place:place + 4], weight, rtol=1e-5)
  place = starts['expanded_conv_0/output']
  np.testing.assert_allclose(gradient[place:place + 8], act, rtol=1e-5)


@pytest.mark.parametrize('gamma, idle', [(0.0, 'act'), (1.0, None)])
def test_gamma_at_its_ends(gamma, idle):
  spec = ModelSpec(TINY, 5, LEARNT)
  gradient = metric_and_gradient(random_bits(spec, 2), spec, 32, gamma)[1]
  start = 0
  for node in nodes(*spec[:3]):
    part = gradient[start:start + node.channels]
    start += node.channels
    if node.kind in ('weights', 'act'):
      assert np.all((part == 0.0) == (node.kind == idle)), node.name


def test_no_gradient_where_the_other_operand_stays_wide():
  """Stem weights meet the 8-bit image: only their parameters count."""
  spec = ModelSpec(TINY, 5, LEARNT)
  gradient = metric_and_gradient(random_bits(spec, 2), spec, 32)[1]
  stem = layers(TINY, 32, 5)[0]
  np.testing.assert_allclose(gradient[:8], stem.params / 32 / 6.9e6 / 8, rtol=1e-5)
  spec = ModelSpec(TINY, 5, LEARNT._replace(float_ends=True))
  gradient = metric_and_gradient(random_bits(spec, 2), spec, 32)[1]
  place = sum(n.channels for n in nodes(*spec[:3])[:[
      n.name for n in nodes(*spec[:3]) if n.quantised].index('Conv_1/output')]
              if n.quantised)
  np.testing.assert_array_equal(gradient[place:place + 16], 0.0)
