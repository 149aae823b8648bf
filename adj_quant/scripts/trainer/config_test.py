"""Tests of what a training run is told."""

import math

import pytest

from scripts.errors import UserError
from scripts.trainer.config import Steps, TrainConfig, check


@pytest.mark.parametrize('images, batch_size, expected', [
    (1281167, 25, (51250, 5125)),  # ImageNet: 51,247 batches in ten equal parts.
    (1749, 25, (70, 7)),
    (100, 5, (20, 2)),
    (4, 25, (10, 1)),  # Never without a step.
])
def test_steps(images, batch_size, expected):
  assert Steps.of(images, batch_size, mini_epochs=10) == expected


def test_steps_of_fewer_mini_epochs():
  assert Steps.of(1749, 8, mini_epochs=2) == (218, 109)


def test_defaults_are_those_of_the_original_recipe():
  config = check(TrainConfig())
  assert (config.alpha, config.beta, config.gamma) == (7, 85, 0.7)
  assert (config.lr, config.lr_bits, config.lr_decay, config.reinit) == (3e-6, 1e-3, 1e-4, 800)
  assert (config.max_epoch, config.metric, config.iter_train_freq) == (2, 0.18, 2)
  assert not (config.lr_fixed or config.iter_train or config.finetune or config.warm_up_epoch)
  assert config.swa_delay is None and config.kd_loss == 'abs'
  assert (config.kd_weight, config.kd_features) == (1, 0)


@pytest.mark.parametrize('flag, good, bad, rule', [
    ('reinit', 1, 0, '1 or more'),
    ('iter_train_freq', 1, 0, '1 or more'),
    ('alpha', 0, -1, '0 or more'),
    ('beta', 0, -0.5, '0 or more'),
    ('lr', 0, -1e-9, '0 or more'),
    ('lr', 1, math.nan, 'a finite number, at most 3.4e+38'),
    ('beta', 1e6, -math.inf, 'a finite number, at most 3.4e+38'),
    ('lr_bits', 1e38, 1e39, 'a finite number, at most 3.4e+38'),
    ('reinit', 2 ** 31 - 1, 2 ** 31, 'at most 2147483647, of either sign'),
    ('max_epoch', 1e6, 1e7, 'at most 1000000'),
    ('warm_up_epoch', 1e6, 1e7, 'at most 1000000'),
    ('swa_freq', 1e6, 1e7, 'at most 1000000'),
    ('lr_ranges', 1, 1e26, 'at most 1e+30 times --lr'),
    ('lr_bits', 0, -1, '0 or more'),
    ('lr_ranges', 0, -1, '0 or more'),
    ('mini_epochs', 1, 0, '1 or more'),
    ('lr_decay', 0, -1, '0 or more'),
    ('warm_up_epoch', 0, -1, '0 or more'),
    ('max_epoch', 0.1, 0, 'more than 0'),
    ('metric', 0.1, 0, 'more than 0'),
    ('swa_freq', 0.1, 0, 'more than 0'),
    ('gamma', 0, -0.1, 'in 0..1'),
    ('gamma', 1, 1.1, 'in 0..1'),
    ('kd_loss', 'kl', 'l3', 'one of abs, mse, kl'),
    ('kd_weight', 0, -1, '0 or more'),
    ('kd_features', 0, -1, '0 or more'),
    ('swa_delay', 0, -0.1, '0 or more and below --max_epoch, or left out'),
    ('swa_delay', 1.9, 2.0, '0 or more and below --max_epoch, or left out'),
])
def test_range_of_each_value(flag, good, bad, rule):
  assert getattr(check(TrainConfig()._replace(**{flag: good})), flag) == good
  with pytest.raises(UserError) as error:
    check(TrainConfig()._replace(**{flag: bad}))
  assert str(error.value) == '--%s %s: must be %s' % (flag, bad, rule)


def test_rates_of_0():
  config = TrainConfig(lr=0.0, lr_bits=0.0)
  assert check(config) == config
  with pytest.raises(UserError, match='^--lr_ranges 0.1: must be left out where --lr is 0$'):
    check(config._replace(lr_ranges=0.1))
