"""The measured programs: equal images for all, one graph for all sizes, which quantisers."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import runtime
from scripts.bench import programs
from scripts.bench import workloads
from scripts.errors import UserError
from scripts.testing.bench import tiny_networks
from scripts.testing.network import CLASSES

SHAPES = (workloads.Shape(32, 4), workloads.Shape(64, 2))


@pytest.fixture(name='networks', scope='module')
def networks_of_tests():
  return tiny_networks()


@pytest.fixture(name='adjustable', scope='module')
def adjustable_program(networks):
  """The training `Program`."""
  with programs.adjustable_program(networks, SHAPES, 'ops') as program:
    yield program


def test_batches_are_random_bytes_and_constant():
  with tf.Graph().as_default(), runtime.new_session() as session:
    dataset = programs.constant_batches(SHAPES[0], CLASSES)
    batch = tf.data.make_one_shot_iterator(dataset).get_next()
    (images, labels), (again, _) = session.run(batch), session.run(batch)
  assert images.shape == (4, 32, 32, 3) and images.dtype == np.float32
  assert images.min() == 0 and images.max() == 255 and 100 < images.mean() < 155
  np.testing.assert_array_equal(images, images.astype(np.uint8))
  np.testing.assert_array_equal(images, again)
  assert labels.shape == (4,) and set(labels) <= set(range(CLASSES))


def test_tasks(networks, adjustable):
  assert set(adjustable.fetches) == {'step_ops', 'step_fixed_bits_ops'}
  assert adjustable.session.graph.finalized
  assert adjustable.nodes == len(adjustable.session.graph.get_operations())
  with programs.float_program(networks, SHAPES) as program:
    assert set(program.fetches) == {'float_forward', 'float_step'}
    kernels, = program.session.graph.get_collection('trainable_variables')
    before = program.session.run(kernels)
    program.task('float_step', SHAPES[0])()
    assert np.any(program.session.run(kernels) != before)
    before = program.session.run(kernels)
    program.task('float_forward', SHAPES[0])()
    np.testing.assert_array_equal(program.session.run(kernels), before)


def test_a_step_trains_bit_widths_unless_they_are_fixed(adjustable):
  scale, = [v for v in adjustable.session.graph.get_collection('trainable_variables')
            if v.op.name == 'student/bits_scale']

  def change(task):
    before = adjustable.session.run(scale)
    adjustable.task(task, SHAPES[0])()
    return np.abs(adjustable.session.run(scale) - before).max()

  assert change('step_fixed_bits_ops') == 0 and change('step_ops') > 0


@pytest.mark.parametrize('impl', programs.implementations())
def test_one_graph_computes_all_sizes(networks, impl):
  logits = {}
  for shapes in (SHAPES, SHAPES[:1], SHAPES[1:]):
    with programs.evaluation_program(networks, shapes, impl) as program:
      assert set(program.fetches) == {'forward_' + impl}
      logits[shapes] = [program.session.run(program.fetches['forward_' + impl],
                                            program.feeds[shape]) for shape in shapes]
  assert [each.shape for each in logits[SHAPES]] == [(s.batch, CLASSES) for s in SHAPES]
  for shape, own in zip(SHAPES, logits[SHAPES]):
    np.testing.assert_array_equal(own, logits[(shape,)][0])


@pytest.mark.parametrize('impl', programs.implementations())
def test_one_graph_trains_at_all_sizes(networks, impl):
  losses = {}
  for shapes in (SHAPES, SHAPES[:1], SHAPES[1:]):
    with programs.adjustable_program(networks, shapes, impl) as program:
      losses[shapes] = [program.session.run(program.fetches['step_' + impl][:1],
                                            program.feeds[shape]) for shape in shapes]
  for shape, own in zip(SHAPES, losses[SHAPES]):
    assert own[0].distillation == losses[(shape,)][0][0].distillation


def test_a_loss_that_is_not_finite_has_no_time(networks):
  weights = {name: layer._replace(bias=layer.bias * np.nan)
             for name, layer in networks.weights.items()}
  with programs.float_program(networks._replace(weights=weights), SHAPES[:1]) as program:
    with pytest.raises(UserError, match='float_step at 32 px, batch 4: the loss is not finite'):
      program.task('float_step', SHAPES[0])()


@pytest.mark.parametrize('built, expected', [(True, ('fused', 'ops')), (False, ('ops',))])
def test_implementations(monkeypatch, built, expected):
  monkeypatch.setattr(programs.fused, 'available', lambda: built)
  assert programs.implementations() == expected
