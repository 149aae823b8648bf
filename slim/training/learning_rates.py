"""The learning rate as a function of the global step."""

import math

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
  rate = _DECAYS[schedule.learning_rate_decay_type](schedule, step / decay_steps)
  warmup_steps = steps_per_epoch * schedule.warmup_epochs
  return rate * tf.minimum(1.0, (step + 1) / max(1.0, warmup_steps))


def _fixed(schedule, decays):
  del decays
  return tf.constant(schedule.learning_rate, tf.float32)


def _exponential(schedule, decays):
  factor = tf.pow(schedule.learning_rate_decay_factor, tf.floor(decays))
  return tf.maximum(schedule.learning_rate * factor, schedule.end_learning_rate)


def _polynomial(schedule, decays):
  return _between(schedule, 1.0 - tf.minimum(decays, 1.0))


def _cosine(schedule, decays):
  return _between(schedule, 0.5 * (1.0 + tf.cos(math.pi * tf.minimum(decays, 1.0))))


def _between(schedule, share):
  """From the end's learning rate (share 0) to the start's (share 1)."""
  return schedule.end_learning_rate + (
      schedule.learning_rate - schedule.end_learning_rate) * share


_DECAYS = {'fixed': _fixed, 'exponential': _exponential, 'polynomial': _polynomial,
           'cosine': _cosine}
