"""Counted evaluation: every accuracy comes with the images it was measured on."""

from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from scripts.errors import UserError


class Accuracy(NamedTuple):
  """Correct images out of `images`."""
  correct: int = 0
  correct_top5: int = 0
  images: int = 0

  @property
  def top1(self):
    """Percent."""
    return 100.0 * self.correct / max(1, self.images)

  @property
  def top5(self):
    """Percent."""
    return 100.0 * self.correct_top5 / max(1, self.images)

  def plus(self, other):
    """The accuracy over both sets of images."""
    return Accuracy(*[a + b for a, b in zip(self, other)])

  def __str__(self):
    return 'top-1 %.2f %% (%d of %d), top-5 %.2f %% (%d of %d)' % (
        self.top1, self.correct, self.images, self.top5, self.correct_top5, self.images)


def batch_accuracy(logits, labels):
  """Accuracy of logits [N, K] for labels [N] of 0..K-1.

  An image counts as correct only when fewer than 1 (5) other classes have a logit at least as
  high, so a network that gives all classes the same logit has no accuracy; nor has one that
  gives NaN.
  """
  logits, labels = np.asarray(logits), np.asarray(labels)
  own = logits[np.arange(len(labels)), labels][:, np.newaxis]
  with np.errstate(invalid='ignore'):
    ahead = np.sum(~(logits < own), axis=1) - 1  # NaN compares false, so it is ahead.
  return Accuracy(int(np.sum(ahead < 1)), int(np.sum(ahead < 5)), len(labels))


def evaluate(session, logits, labels, initializer, feed=None):
  """Runs one finite epoch of batches.

  Args:
    logits: list of tensors [N, K], several networks on the same images.
    labels: tensor [N].
    initializer: op that starts the epoch.
    feed: feed of every `session.run`.

  Returns:
    List of `Accuracy`, one a network.
  """
  def batches():
    session.run(initializer)
    while True:
      try:
        *outputs, expected = session.run(list(logits) + [labels], feed)
      except tf.errors.OutOfRangeError:
        return
      yield [batch_accuracy(output, expected) for output in outputs]

  totals = [Accuracy() for _ in logits]
  for found in tqdm.tqdm(batches(), 'validation', leave=False, unit='batch', mininterval=1.0):
    totals = [total.plus(batch) for total, batch in zip(totals, found)]
  return totals


def is_chance(correct, images, classes):
  """True where so many correct images say nothing for the network: two deviations of chance."""
  chance = images / float(classes)
  return correct <= chance + 2.0 * chance ** 0.5


def check_float_accuracy(logits, labels, path):
  """Raises UserError where the float network shows that labels and head do not belong together.

  Args:
    logits: [N, K] of the float network.
    labels: [N], of 0..K-1.
    path: its weights file, for the message.
  """
  own = batch_accuracy(logits, labels).correct
  classes = logits.shape[1]
  for shift in (-1, 1):
    shifted = labels + shift
    valid = (shifted >= 0) & (shifted < classes)
    neighbour = batch_accuracy(logits[valid], shifted[valid]).correct
    if neighbour > own:
      raise UserError(
          'the labels seem to be off by one: the float network %s is right on %d of %d images, and '
          'on %d when labels are moved by %+d; use data and weights that belong together'
          % (path, own, len(labels), neighbour, shift))
  if is_chance(own, len(labels), classes):
    raise UserError(
        'the float network %s is right on %d of %d images, no better than chance: weights and data '
        'do not belong together' % (path, own, len(labels)))
