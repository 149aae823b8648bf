"""Tests of the parts of the training graph."""

from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import find_split
import imagenet
from scripts import image_records
from scripts.errors import UserError
from scripts.runtime import new_session
from scripts.testing.network import INFO
from testing import run as testing_run
from training import config as configs
from training.averages import SUFFIX, create_averages
from scripts.cluster.plan import Cluster
from training.graph import Problem, build_train_graph, create_batches, smoothed_cross_entropy


@pytest.fixture(name='problem', scope='module')
def training_problem(tmp_path_factory):
  """The tiny records."""
  folder = testing_run.write_images(tmp_path_factory.mktemp('records'))
  return Problem(find_split(folder, 'train'), 4, 16, 1)


def config_of(**values):
  """A configuration with fields of any record replaced."""
  values = dict(dict(model_name='tiny', batch_size=4, preprocessing_name='efficientnet_central',
                     optimizer='sgd', dropout=0.0, drop_connect=0.0), **values)
  return configs.TrainConfig(*[
      record._replace(**{name: values[name] for name in record._fields if name in values})
      for record in configs.TrainConfig()])


def test_cross_entropy_by_hand():
  with tf.Graph().as_default(), tf.Session() as session:
    logits = tf.constant([[0.0, np.log(3.0)], [0.0, 0.0]], tf.float32)
    labels = tf.constant([1, 0])
    plain, smoothed = session.run([smoothed_cross_entropy(logits, labels, s) for s in (0.0, 0.2)])
  assert plain == pytest.approx((-np.log(0.75) - np.log(0.5)) / 2)
  assert smoothed == pytest.approx(
      (-0.9 * np.log(0.75) - 0.1 * np.log(0.25) - np.log(0.5)) / 2)


def batches(problem, cluster, step, count):
  """Labels of the next batches after `step` updates."""
  with tf.Graph().as_default(), tf.Session() as session:
    global_step = tf.train.get_or_create_global_step()
    _, labels = create_batches(config_of(), problem, cluster, global_step)
    session.run(global_step.initializer)
    global_step.load(step, session)
    session.run(tf.tables_initializer())
    return [session.run(labels).tolist() for _ in range(count)]


def test_images_follow_from_the_global_step(problem):
  order = batches(problem, Cluster(), 0, 14)
  assert order[:6] != order[6:12]  # Another epoch, another order.
  for step in (1, 5, 6, 11):
    assert batches(problem, Cluster(), step, 3) == order[step:step + 3]


def test_workers_see_together_what_one_process_sees(problem):
  order = batches(problem, Cluster(), 0, 12)
  both = [batches(problem, Cluster(task=task, workers=2, servers=1, aggregate=2), 2, 3)
          for task in (0, 1)]
  pairs = [np.ravel(np.transpose(pair)).tolist() for pair in zip(*both)]
  assert pairs == [order[4] + order[5], order[6] + order[7], order[8] + order[9]]
  # Without synchronisation, two updates take one batch of each.
  assert batches(problem, Cluster(workers=2, servers=1), 4, 3) == both[0]


def steps_of(config, problem, count):
  """What a graph gives over some steps: losses, all variables before and after."""
  with tf.Graph().as_default(), tf.Session() as session, testing_run.known():
    graph = build_train_graph(config, problem, Cluster())
    names = [v.op.name for v in tf.global_variables()]
    session.run(tf.global_variables_initializer())
    session.run([tf.assign(average, variable) for variable, average in graph.copies])
    session.run(tf.tables_initializer())
    before = dict(zip(names, session.run(tf.global_variables())))
    losses = [session.run([graph.loss, graph.train_op])[0] for _ in range(count)]
    return losses, before, dict(zip(names, session.run(tf.global_variables())))


def test_a_step_moves_weights_statistics_and_averages(problem):
  _, before, after = steps_of(config_of(moving_average_decay=0.5, learning_rate=0.1), problem, 1)
  assert after['global_step'] == 1
  for name, value in after.items():
    assert np.any(value != before[name]), name
    if name + '/ExponentialMovingAverage' in after:  # From the same start, decay 2 / 11.
      np.testing.assert_allclose(after[name + '/ExponentialMovingAverage'],
                                 (2 * before[name] + 9 * value) / 11, atol=1e-5, err_msg=name)
  assert sum('ExponentialMovingAverage' in name for name in after) == (len(after) - 1) / 2


def test_ranges_of_kernels_are_averaged_with_them(problem):
  config = config_of(moving_average_decay=0.5, learning_rate=0.1, quantize_delay=0)
  _, before, after = steps_of(config, problem, 1)
  averages = {name for name in after if name.endswith(SUFFIX)}
  kernels = [name for name in after if name.endswith('/weights')]
  for kernel in kernels:
    for end in ('min', 'max'):
      name = '%s_quant/%s' % (kernel, end)
      assert np.any(after[name] != before[name]), name
      np.testing.assert_allclose(after[name + SUFFIX], (2 * before[name] + 9 * after[name]) / 11,
                                 atol=1e-5, err_msg=name)
  assert not [name for name in averages if 'act_quant' in name]  # These average by themselves.


def ancestors(op):
  """Set of the ops that run before an op."""
  actual, waiting = set(), [op]
  while waiting:
    op = waiting.pop()
    before = {tensor.op for tensor in op.inputs} | set(op.control_inputs)
    waiting.extend(before - actual)
    actual |= before
  return actual


def test_averages_count_steps_before_the_update_changes_them(problem):
  with tf.Graph().as_default() as graph, testing_run.known(), \
      mock.patch('training.graph.create_averages', wraps=create_averages) as averages:
    build_train_graph(config_of(moving_average_decay=0.5), problem, Cluster())
    (_, _, steps), _ = averages.call_args
    update, = [op for op in graph.get_operations()
               if op.type == 'AssignAdd' and op.inputs[0].op.name == 'global_step']
    assert steps.op in ancestors(update)


def test_only_the_scopes_to_train_are_trained(problem):
  scope = 'efficientnet_b0/Logits'
  _, before, after = steps_of(config_of(trainable_scopes=scope, learning_rate=0.1), problem, 1)
  changed = {name for name in after if np.any(after[name] != before[name])}
  assert {n for n in changed if 'moving_' not in n and n != 'global_step'} == {
      scope + '/Conv2d_1c_1x1/weights', scope + '/Conv2d_1c_1x1/biases'}
  with pytest.raises(UserError, match='no variable to train in efficientnet_b0/Logit$'):
    steps_of(config_of(trainable_scopes='efficientnet_b0/Logit'), problem, 0)


def test_a_step_goes_down_the_slope_of_the_loss(problem):
  """Along the step d of gradient descent at rate 1 the loss changes by -d * d, to first order."""
  rate, width = 0.1, 1e-2
  config = config_of(learning_rate=rate, learning_rate_decay_type='fixed')
  with tf.Graph().as_default(), new_session() as session, testing_run.known():
    graph = build_train_graph(config, problem, Cluster())
    session.run(tf.global_variables_initializer())
    trained, restart = tf.trainable_variables(), tf.tables_initializer()
    global_step = tf.train.get_global_step()

    def run_at(values, fetch):
      """On the first batch, at given values of what is trained."""
      for variable, value in zip(trained, values):
        variable.load(value, session)
      global_step.load(0, session)
      session.run(restart)
      return session.run(fetch)

    before = session.run(trained)
    run_at(before, graph.train_op)
    step = [(b - a) / rate for a, b in zip(before, session.run(trained))]
    ahead, back = (run_at([a + sign * width * d for a, d in zip(before, step)], graph.loss)
                   for sign in (1, -1))
  assert (ahead - back) / (2 * width) == pytest.approx(-sum(np.sum(d * d) for d in step), rel=0.02)


@pytest.fixture(name='equal_images', scope='module')
def problem_of_equal_images(tmp_path_factory):
  """Of one image, the same from the left and from the right: any part of a batch is as the whole.
  """
  folder = str(tmp_path_factory.mktemp('equal'))
  rows = np.random.RandomState(0).randint(0, 256, [1, 64, 1, 3]).astype(np.uint8)
  imagenet.write_info(folder, INFO)
  image_records.write_records(folder, 'train', np.tile(rows, [8, 1, 64, 1]), [2] * 8,
                              image_format='png')
  return Problem(find_split(folder, 'train'), 4, 16, 1)


def test_two_clones_on_the_cpu_train_as_one(equal_images):
  """Where batch norm sees the same in both."""
  one, _, expected = steps_of(config_of(batch_size=8), equal_images, 3)
  two, _, after = steps_of(config_of(num_clones=2, clone_on_cpu=True), equal_images, 3)
  assert two == pytest.approx(one, rel=1e-4) and len(set(one)) == 3
  for name, value in expected.items():
    np.testing.assert_allclose(after[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_quantisation_adds_its_ranges(problem):
  with tf.Graph().as_default(), testing_run.known():
    graph = build_train_graph(config_of(quantize_delay=0), problem, Cluster())
    names = [variable.op.name for variable in graph.ranges]
  assert 'efficientnet_b0/Conv/weights_quant/min' in names
  assert not set(names) & {variable.op.name for variable in graph.network}
