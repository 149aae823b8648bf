"""What a training run is told, made once from the flags and checked there."""

import math
from typing import NamedTuple, Optional

from scripts.errors import UserError

KD_LOSSES = ('abs', 'mse', 'kl')


class TrainConfig(NamedTuple):
  """A training run, apart from network and data. Defaults are those of the flags."""
  batch_size: int = 25
  alpha: float = 7.0  # Weight of the classification loss.
  beta: float = 85.0  # Weight of the metric.
  gamma: float = 0.7  # Share of the activations in the metric's gradient.
  metric: float = 0.18  # Target of the metric.
  kd_loss: str = 'abs'
  kd_weight: float = 1.0  # Of the distance of the logits.
  kd_features: float = 0.0  # Of the distance of the blocks' outputs.
  lr: float = 3e-6  # Kernels, biases, alpha, shift.
  lr_ranges: Optional[float] = None  # Alpha, shift; None: as lr.
  lr_relative: bool = False  # lr of kernels and biases is in widths of their initial ranges.
  freeze_classifier: bool = False  # Its kernel and bias, not its ranges.
  freeze_kernels: bool = False  # All of them; biases and ranges train.
  lr_bits: float = 1e-3  # bits_scale.
  lr_decay: float = 1e-4  # Per step.
  lr_fixed: bool = False
  reinit: int = 800  # Steps between resets of Adam's slots and of the cosine.
  mini_epochs: int = 10  # In an epoch.
  max_epoch: float = 2.0
  warm_up_epoch: float = 0.0  # Epochs before precision trains.
  iter_train: bool = False
  iter_train_freq: int = 2  # In mini-epochs.
  finetune: bool = False  # Precision never trains.
  swa_delay: Optional[float] = None  # Epochs; None: no averaging.
  swa_freq: float = 0.1  # Epochs.
  seed: int = 0


class Steps(NamedTuple):
  """Lengths in steps (batches)."""
  epoch: int
  mini_epoch: int

  @classmethod
  def of(cls, images, config):
    """For a training set of `images`: equal mini-epochs, of at least a step each."""
    mini_epoch = max(1, int(round(images / float(config.batch_size) / config.mini_epochs)))
    return cls(mini_epoch * config.mini_epochs, mini_epoch)


def check(config):
  """Raises UserError for a value out of its range; returns `config`."""
  def need(flag, holds, rule):
    if not holds:
      raise UserError('--%s %s: must be %s' % (flag, getattr(config, flag), rule))

  for flag, value in config._asdict().items():
    need(flag, not isinstance(value, float) or math.isfinite(value), 'a finite number')
  for flag in ('batch_size', 'reinit', 'iter_train_freq', 'mini_epochs'):
    need(flag, getattr(config, flag) >= 1, '1 or more')
  for flag in ('alpha', 'beta', 'kd_weight', 'kd_features', 'lr', 'lr_bits', 'lr_decay',
               'warm_up_epoch'):
    need(flag, getattr(config, flag) >= 0, '0 or more')
  need('lr_ranges', config.lr_ranges is None or config.lr_ranges >= 0, '0 or more')
  need('lr_ranges', config.lr_ranges is None or config.lr > 0, 'left out where --lr is 0')
  for flag in ('max_epoch', 'metric', 'swa_freq'):
    need(flag, getattr(config, flag) > 0, 'more than 0')
  need('gamma', 0 <= config.gamma <= 1, 'in 0..1')
  need('kd_loss', config.kd_loss in KD_LOSSES, 'one of ' + ', '.join(KD_LOSSES))
  if config.swa_delay is not None:
    need('swa_delay', 0 <= config.swa_delay < config.max_epoch, 'in 0..max_epoch, or left out')
  return config
