"""Rules by which training has gone wrong. The loop rolls back on a `Fault`."""

import math
from typing import NamedTuple, Optional

import numpy as np

from scripts.accuracy import is_chance

ROLLBACKS = 3  # In a row, without a good mini-epoch between them.
FACTOR = 0.5  # Of both learning rates, at each rollback.
_CLEAR_DEVIATIONS = 4.0  # Of chance: above it a network clearly knows something.
_EXPLODED = 10.0  # Times the lowest mean cross entropy of a mini-epoch.
_SENSELESS = 100  # Times the loss of a network that knows nothing.


class Fault(Exception):
  """What went wrong and at which step, in one line."""


class Reference(NamedTuple):
  """The best of the start and the good mini-epochs so far, with which the next is compared."""
  correct: int = 0  # Of the validation images below.
  images: int = 0
  cross_entropy: Optional[float] = None  # In nats, mean over the training images of a mini-epoch.

  def after(self, accuracy, cross_entropy):
    """The reference once there is another good mini-epoch."""
    best = self[:2]
    if accuracy.correct * self.images >= self.correct * accuracy.images:
      best = accuracy.correct, accuracy.images
    known = [value for value in (self.cross_entropy, cross_entropy) if value is not None]
    return Reference(*best, cross_entropy=min(known) if known else None)

  def is_clear(self, classes):
    """Whether the network clearly knew something."""
    chance = self.images / float(classes)
    return self.correct > chance + _CLEAR_DEVIATIONS * chance ** 0.5


def check_loss(loss, step):
  """Raises `Fault` for a loss that is not finite at `step`."""
  if not math.isfinite(loss):
    raise Fault('the loss is not finite at step %d' % step)


def check_values(values, step):
  """Raises `Fault` where an array (dict name -> array) is not finite after `step` steps."""
  for name, array in sorted(values.items()):
    if not np.all(np.isfinite(array)):
      raise Fault('%s is not finite after step %d' % (name, step))


def check_total(means, classes, config, step):
  """Raises `Fault` where the loss of a mini-epoch, apart from the metric's part, has exploded.

  That is over a hundred times what a network that knows nothing loses: about ln(classes), in
  cross entropy as in each measure of distillation, times their weights.

  Args:
    means: dict of the mean parts of the loss.
    classes: outputs of the network.
    config: `TrainConfig`.
    step: steps done.
  """
  loss = means['distillation'] + config.alpha * means['classification']
  ignorance = math.log(classes) * (config.alpha + config.kd_weight + config.kd_features)
  if loss > _SENSELESS * ignorance:
    raise Fault('the mean loss without the metric is %.4g at step %d, over %d times that of a '
                'network that knows nothing' % (loss, step, _SENSELESS))


def judge(accuracy, classes, cross_entropy, reference, step):
  """Judges a mini-epoch; returns the `Reference` for the next.

  Accuracy has collapsed where it is no better than chance (two deviations) and was clearly better
  (four) before. The loss has exploded where the mean cross entropy is over ten times the lowest
  and over twice that of a network that knows nothing, ln(classes): rises that bits cost are less.

  Args:
    accuracy: `evaluation.Accuracy` on the validation images.
    classes: outputs of the network.
    cross_entropy: mean over the mini-epoch, in nats.
    reference: `Reference` of what was before.
    step: steps done.

  Raises:
    Fault: the mini-epoch is not good.
  """
  if reference.is_clear(classes) and is_chance(accuracy.correct, accuracy.images, classes):
    raise Fault('the accuracy fell to chance at step %d, from %d of %d images to %d of %d' % (
        (step, reference.correct, reference.images, accuracy.correct, accuracy.images)))
  lowest = reference.cross_entropy
  if lowest is not None and cross_entropy > max(_EXPLODED * lowest, 2 * math.log(classes)):
    raise Fault('the cross entropy rose from %.4f to %.4f up to step %d'
                % (lowest, cross_entropy, step))
  return reference.after(accuracy, cross_entropy)
