"""The update rules by name."""

import tensorflow.compat.v1 as tf


def create_optimizer(config, learning_rate):
  """The `tf.train.Optimizer` that a `config.OptimizerConfig` names."""
  return _OPTIMIZERS[config.optimizer](config, learning_rate)


_OPTIMIZERS = {
    'adadelta': lambda c, rate: tf.train.AdadeltaOptimizer(
        rate, rho=c.adadelta_rho, epsilon=c.opt_epsilon),
    'adagrad': lambda c, rate: tf.train.AdagradOptimizer(
        rate, initial_accumulator_value=c.adagrad_initial_accumulator_value),
    'adam': lambda c, rate: tf.train.AdamOptimizer(
        rate, beta1=c.adam_beta1, beta2=c.adam_beta2, epsilon=c.opt_epsilon),
    'ftrl': lambda c, rate: tf.train.FtrlOptimizer(
        rate, learning_rate_power=c.ftrl_learning_rate_power,
        initial_accumulator_value=c.ftrl_initial_accumulator_value,
        l1_regularization_strength=c.ftrl_l1, l2_regularization_strength=c.ftrl_l2),
    'momentum': lambda c, rate: tf.train.MomentumOptimizer(rate, momentum=c.momentum),
    'sgd': lambda c, rate: tf.train.GradientDescentOptimizer(rate),
    'rmsprop': lambda c, rate: tf.train.RMSPropOptimizer(
        rate, decay=c.rmsprop_decay, momentum=c.rmsprop_momentum, epsilon=c.opt_epsilon),
}
