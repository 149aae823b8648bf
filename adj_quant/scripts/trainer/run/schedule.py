"""What is trained at which step and at which rate: pure functions of the step."""

import math


def learning_rate(step, config):
  """Learning rate of weights and ranges at `step` (from 0): decay times a cosine with restarts.

  lr * exp(-step * lr_decay) * |cos(pi * d / (4 * reinit))| + 1e-7, d steps since the last reset
  of Adam's slots; `lr` itself with lr_fixed, and where it is 0: nothing then trains at the last
  summand alone. The learning rate of the bit-widths is constant.
  """
  if config.lr_fixed or not config.lr:
    return config.lr
  since_reset = step % config.reinit
  cosine = abs(math.cos(math.pi * since_reset / (4.0 * config.reinit)))
  return config.lr * math.exp(-step * config.lr_decay) * cosine + 1e-7


def resets_optimizer(step, config):
  """True before the steps at which Adam starts afresh."""
  return step > 0 and step % config.reinit == 0


def trains_bits(mini_epoch, config):
  """Whether bit-widths train in a mini-epoch (from 0).

  Never in fine-tuning or warm-up; in iterative training in the first of every
  `iter_train_freq` mini-epochs, so that weights and ranges then settle on new bit-widths.
  """
  after_warm_up = mini_epoch - int(math.ceil(config.warm_up_epoch * config.mini_epochs - 1e-9))
  if config.finetune or after_warm_up < 0:
    return False
  return not config.iter_train or after_warm_up % config.iter_train_freq == 0


def total_mini_epochs(config):
  """Mini-epochs of the run: at least one."""
  return max(1, int(round(config.max_epoch * config.mini_epochs)))


def ever_averages(steps, config):
  """Whether any step of the run joins the average."""
  if config.swa_delay is None:
    return False
  delay, every = _average_steps(steps, config)
  return (delay or every) <= total_mini_epochs(config) * steps.mini_epoch


def joins_average(steps_done, steps, config):
  """Whether the variables after `steps_done` steps enter the stochastic weight average.

  The first time `swa_delay` epochs after the start, then every `swa_freq` epochs.
  """
  if config.swa_delay is None:
    return False
  delay, every = _average_steps(steps, config)
  return steps_done > 0 and steps_done >= delay and (steps_done - delay) % every == 0


def _average_steps(steps, config):
  """The steps before the first point of the average, 0 for none, and those between points."""
  return (int(round(config.swa_delay * steps.epoch)),
          max(1, int(round(config.swa_freq * steps.epoch))))
