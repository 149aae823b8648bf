"""The learning rate as a function of the global step."""

import tensorflow.compat.v1 as tf


def learning_rate(schedule, global_step, steps_per_epoch):
  """Learning rate of the coming update.

  Args:
    schedule: `config.ScheduleConfig`.
    global_step: int64 [], updates done.
    steps_per_epoch: updates an epoch, a real number.

  Returns:
    float32 [].
  """
  step = tf.cast(global_step, tf.float32)
  decay_steps = max(1, int(steps_per_epoch * schedule.num_epochs_per_decay))
  rate = _DECAYS[schedule.learning_rate_decay_type](schedule, step, decay_steps)
  warmup_steps = steps_per_epoch * schedule.warmup_epochs
  return rate * tf.minimum(1.0, (step + 1) / max(1.0, warmup_steps))


def _fixed(schedule, step, decay_steps):
  del step, decay_steps
  return tf.constant(schedule.learning_rate, tf.float32)


def _exponential(schedule, step, decay_steps):
  rate = tf.train.exponential_decay(schedule.learning_rate, step, decay_steps,
                                    schedule.learning_rate_decay_factor, staircase=True)
  return tf.maximum(rate, schedule.end_learning_rate)


def _polynomial(schedule, step, decay_steps):
  return tf.train.polynomial_decay(schedule.learning_rate, step, decay_steps,
                                   schedule.end_learning_rate)


def _cosine(schedule, step, decay_steps):
  height = schedule.learning_rate - schedule.end_learning_rate
  return schedule.end_learning_rate + tf.train.cosine_decay(height, step, decay_steps)


_DECAYS = {'fixed': _fixed, 'exponential': _exponential, 'polynomial': _polynomial,
           'cosine': _cosine}
