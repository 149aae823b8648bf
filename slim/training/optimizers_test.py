"""Tests of update rules: two of them by hand, and that each field changes its rule."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from training.config import OPTIMIZERS, OptimizerConfig
from training.optimizers import create_optimizer

FIELDS = {
    'adadelta': {'adadelta_rho': 0.5, 'opt_epsilon': 0.1},
    'adagrad': {'adagrad_initial_accumulator_value': 0.5},
    'adam': {'adam_beta1': 0.5, 'adam_beta2': 0.5, 'opt_epsilon': 0.1},
    'ftrl': {'ftrl_learning_rate_power': -0.9, 'ftrl_initial_accumulator_value': 0.5,
             'ftrl_l1': 0.1, 'ftrl_l2': 0.1},
    'momentum': {'momentum': 0.5},
    'sgd': {},
    'rmsprop': {'rmsprop_decay': 0.5, 'rmsprop_momentum': 0.5, 'opt_epsilon': 0.1},
}


def after(steps, config):
  """x after steps of learning rate 0.1 on x * x from x = 1 on."""
  with tf.Graph().as_default(), tf.Session() as session:
    x = tf.get_variable('x', initializer=1.0)
    step = create_optimizer(config, tf.constant(0.1)).minimize(x * x)
    session.run(tf.global_variables_initializer())
    for _ in range(steps):
      session.run(step)
    return session.run(x)


def test_every_rule_is_tested():
  assert sorted(FIELDS) == sorted(OPTIMIZERS)


def test_momentum_by_hand():
  # 1 - 0.1 * 2 = 0.8; velocity 0.9 * 2 + 1.6 = 3.4.
  assert after(2, OptimizerConfig('momentum')) == pytest.approx(0.8 - 0.34)


def test_rmsprop_by_hand():
  # Mean square 0.9 * 1 + 0.1 * 4 = 1.3, as TensorFlow's starts at 1.
  assert after(1, OptimizerConfig('rmsprop')) == pytest.approx(1 - 0.2 / np.sqrt(1.301))


@pytest.mark.parametrize('name, field', [(n, f) for n in sorted(FIELDS) for f in FIELDS[n]])
def test_every_field_acts(name, field):
  config = OptimizerConfig(name)
  assert after(2, config) != after(2, config._replace(**{field: FIELDS[name][field]}))


@pytest.mark.parametrize('name', sorted(FIELDS))
def test_every_rule_goes_down(name):
  assert after(3, OptimizerConfig(name)) < 1.0
