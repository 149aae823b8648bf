"""Tests of learning rates: every value by hand."""

import pytest
import tensorflow.compat.v1 as tf

from training.config import ScheduleConfig
from training.learning_rates import learning_rate

BASE = ScheduleConfig(learning_rate=0.8, learning_rate_decay_factor=0.5, end_learning_rate=0.1,
                      num_epochs_per_decay=2.0)


def rates(schedule, steps, steps_per_epoch=5.0):
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.placeholder(tf.int64, [])
    rate = learning_rate(schedule, step, steps_per_epoch)
    return [session.run(rate, {step: value}) for value in steps]


@pytest.mark.parametrize('kind, expected', [
    ('fixed', [0.8, 0.8, 0.8, 0.8, 0.8]),
    ('exponential', [0.8, 0.8, 0.4, 0.1, 0.1]),  # Ten steps a decay; 0.8 / 16 is below the least.
    ('polynomial', [0.8, 0.45, 0.1, 0.1, 0.1]),
    ('cosine', [0.8, 0.45, 0.1, 0.1, 0.1]),
])
def test_decay(kind, expected):
  actual = rates(BASE._replace(learning_rate_decay_type=kind), [0, 5, 10, 40, 1000])
  assert actual == pytest.approx(expected)


def test_a_cosine_is_no_line():
  actual = rates(BASE._replace(learning_rate_decay_type='cosine'), [2.5 * 2])
  assert actual == pytest.approx([0.45])
  quarter, = rates(BASE._replace(learning_rate_decay_type='cosine', num_epochs_per_decay=4.0), [5])
  assert quarter == pytest.approx(0.1 + 0.7 * 0.8535534)  # (1 + cos(45 degrees)) / 2.


def test_a_rate_for_fine_tuning_decays_by_default():
  actual = rates(ScheduleConfig(learning_rate=1e-5), [0, 10, 20, 50, 1000])
  assert actual == pytest.approx([1e-5 * 0.94 ** decays for decays in (0, 1, 2, 5, 100)], rel=1e-4)


def test_warm_up_rises_and_acts_from_the_first_step():
  schedule = BASE._replace(learning_rate_decay_type='fixed', warmup_epochs=0.8)
  assert rates(schedule, [0, 1, 2, 3, 4, 100]) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
