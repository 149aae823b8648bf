"""Tests of the schedule against values computed by hand."""

import pytest

from scripts.trainer.config import Steps, TrainConfig
from scripts.trainer.run import schedule


@pytest.mark.parametrize('step, expected', [
    (0, 0.5),
    (2, 0.5 * 0.8187308 * 0.9238795),  # exp(-0.2), cos(pi / 8): half way to the reset.
    (3, 0.5 * 0.7408182 * 0.8314696),  # exp(-0.3), cos(3 pi / 16).
    (4, 0.5 * 0.6703200),  # The cosine starts again, the decay goes on.
    (6, 0.5 * 0.5488116 * 0.9238795),
])
def test_learning_rate_decays_and_restarts(step, expected):
  config = TrainConfig(lr=0.5, lr_decay=0.1, reinit=4)
  assert schedule.learning_rate(step, config) == pytest.approx(expected + 1e-7, rel=1e-6)


def test_learning_rate_ends_a_period_near_cos_45_degrees():
  config = TrainConfig(lr=1.0, lr_decay=0.0, reinit=100000)
  assert schedule.learning_rate(99999, config) == pytest.approx(0.70711, abs=2e-5)


@pytest.mark.parametrize('fixed', [False, True])
def test_nothing_trains_at_a_rate_of_0(fixed):
  config = TrainConfig(lr=0.0, lr_fixed=fixed)
  assert {schedule.learning_rate(step, config) for step in (0, 7, 800)} == {0.0}


def test_fixed_learning_rate():
  config = TrainConfig(lr=3e-6, lr_decay=0.1, reinit=4, lr_fixed=True)
  assert {schedule.learning_rate(step, config) for step in range(10)} == {3e-6}


def test_optimizer_is_reset_every_reinit_steps_but_not_at_the_start():
  config = TrainConfig(reinit=3)
  assert [s for s in range(10) if schedule.resets_optimizer(s, config)] == [3, 6, 9]


@pytest.mark.parametrize('settings, expected', [
    ({}, '111111'),
    ({'finetune': True}, '000000'),
    ({'warm_up_epoch': 0.2}, '001111'),
    ({'warm_up_epoch': 0.3}, '000111'),
    ({'warm_up_epoch': 0.25}, '000111'),  # A begun mini-epoch belongs to the warm-up.
    ({'iter_train': True}, '101010'),
    ({'iter_train': True, 'iter_train_freq': 3}, '100100'),
    ({'iter_train': True, 'iter_train_freq': 1}, '111111'),
    ({'iter_train': True, 'warm_up_epoch': 0.1}, '010101'),
    ({'iter_train_freq': 3}, '111111'),
])
def test_mini_epochs_that_train_bits(settings, expected):
  config = TrainConfig(**settings)
  assert ''.join('%d' % schedule.trains_bits(m, config) for m in range(6)) == expected


def test_rounding_error_does_not_lengthen_the_warm_up():
  config = TrainConfig(warm_up_epoch=0.1 + 0.2)
  assert config.warm_up_epoch * 10 > 3
  assert [schedule.trains_bits(m, config) for m in (2, 3)] == [False, True]


@pytest.mark.parametrize('epochs, expected', [(2, 20), (0.3, 3), (0.01, 1)])
def test_total_mini_epochs(epochs, expected):
  assert schedule.total_mini_epochs(TrainConfig(max_epoch=epochs)) == expected


def test_average_starts_at_its_delay_and_joins_at_its_frequency():
  steps = Steps(epoch=20, mini_epoch=2)
  config = TrainConfig(swa_delay=0.2, swa_freq=0.25)
  joined = [s for s in range(1, 21) if schedule.joins_average(s, steps, config)]
  assert joined == [4, 9, 14, 19]


def test_average_is_off_by_default_and_leaves_out_the_untrained_network():
  steps = Steps(epoch=20, mini_epoch=2)
  assert not any(schedule.joins_average(s, steps, TrainConfig()) for s in range(40))
  assert not schedule.joins_average(0, steps, TrainConfig(swa_delay=0.0))
  config = TrainConfig(swa_delay=0.0, swa_freq=0.001)  # Less than a step: every step.
  assert all(schedule.joins_average(s, steps, config) for s in range(1, 21))


@pytest.mark.parametrize('delay', [0.0, 0.2, 0.24, 0.25])
@pytest.mark.parametrize('every', [1e-6, 0.1, 0.3, 1e6])
def test_a_run_can_be_too_short_for_an_average(delay, every):
  steps = Steps(epoch=70, mini_epoch=7)
  config = TrainConfig(max_epoch=0.25, swa_delay=delay, swa_freq=every)
  total = schedule.total_mini_epochs(config) * steps.mini_epoch
  joins = any(schedule.joins_average(step, steps, config) for step in range(1, total + 1))
  assert schedule.ever_averages(steps, config) == joins
  assert not schedule.ever_averages(steps, config._replace(swa_delay=None))


def test_the_longest_run_is_judged_at_once():
  config = TrainConfig(max_epoch=1e6, mini_epochs=2 ** 31 - 1, swa_delay=9e5)
  assert schedule.ever_averages(Steps(epoch=2 ** 40, mini_epoch=2 ** 10), config)
