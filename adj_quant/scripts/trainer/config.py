"""Options of a training run, made once from the flags and checked there."""

from typing import NamedTuple, Optional

from scripts.errors import UserError

KD_LOSSES = ('abs', 'mse', 'kl')
LARGEST_INT = 2 ** 31 - 1
LARGEST_FLOAT = 3.4e38  # Of float32, nearly.
MOST_EPOCHS = 10 ** 6
MOST_TIMES_LR = 1e30  # The rate of ranges over that of weights, a float32.


class TrainConfig(NamedTuple):
  """A training run, apart from network and images. Defaults are those of the flags."""
  alpha: float = 7.0  # Weight of the classification loss.
  beta: float = 85.0  # Weight of the metric.
  gamma: float = 0.7  # Share of the activations in the metric's gradient.
  metric: float = 0.18  # Target of the metric.
  kd_loss: str = 'abs'
  kd_weight: float = 1.0  # Of the distance of the logits.
  kd_features: float = 0.0  # Of the distance of the blocks' outputs.
  lr: float = 3e-6  # Kernels, biases, alpha, shift; 0: they stay.
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


class Steps(NamedTuple):
  """Lengths in steps (batches)."""
  epoch: int
  mini_epoch: int

  @classmethod
  def of(cls, images, batch_size, mini_epochs):
    """For a training set of `images`: equal mini-epochs, of at least a step each."""
    mini_epoch = max(1, int(round(images / float(batch_size) / mini_epochs)))
    return cls(mini_epoch * mini_epochs, mini_epoch)


def need(flag, holds, value, rule):
  """Raises UserError where the value of a flag does not hold its rule."""
  if not holds:
    raise UserError('--%s %s: must be %s' % (flag, value, rule))


def check_number(flag, value):
  """Raises UserError for a number that TensorFlow cannot hold; passes what is no number."""
  if isinstance(value, float):
    need(flag, abs(value) <= LARGEST_FLOAT, value, 'a finite number, at most %g' % LARGEST_FLOAT)
  elif isinstance(value, int):
    need(flag, abs(value) <= LARGEST_INT, value, 'at most %d, of either sign' % LARGEST_INT)


def check(config):
  """Raises UserError for a value out of its range; returns `config`."""
  def check_value(flag, holds, rule):
    need(flag, holds, getattr(config, flag), rule)

  for flag, value in config._asdict().items():
    check_number(flag, value)
  for flag in ('reinit', 'iter_train_freq', 'mini_epochs'):
    check_value(flag, getattr(config, flag) >= 1, '1 or more')
  for flag in ('alpha', 'beta', 'kd_weight', 'kd_features', 'lr', 'lr_bits', 'lr_decay',
               'warm_up_epoch'):
    check_value(flag, getattr(config, flag) >= 0, '0 or more')
  for flag in ('max_epoch', 'metric', 'swa_freq'):
    check_value(flag, getattr(config, flag) > 0, 'more than 0')
  for flag in ('max_epoch', 'warm_up_epoch', 'swa_freq'):
    check_value(flag, getattr(config, flag) <= MOST_EPOCHS, 'at most %d' % MOST_EPOCHS)
  check_value('gamma', 0 <= config.gamma <= 1, 'in 0..1')
  check_value('kd_loss', config.kd_loss in KD_LOSSES, 'one of ' + ', '.join(KD_LOSSES))
  if config.lr_ranges is not None:
    check_value('lr_ranges', config.lr_ranges >= 0, '0 or more')
    check_value('lr_ranges', config.lr > 0, 'left out where --lr is 0')
    check_value('lr_ranges', config.lr_ranges <= MOST_TIMES_LR * config.lr,
                'at most %g times --lr' % MOST_TIMES_LR)
  if config.swa_delay is not None:
    check_value('swa_delay', 0 <= config.swa_delay < config.max_epoch,
                '0 or more and below --max_epoch, or left out')
  return config
