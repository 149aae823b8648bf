"""Counted evaluation: every accuracy comes with the images it was measured on."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from scripts import events
from scripts.errors import UserError


class Accuracy(NamedTuple):
  """Correct images out of `images`."""
  correct: int
  correct_top5: int
  images: int

  @property
  def top1(self):
    """Percent."""
    return 100.0 * self.correct / max(1, self.images)

  @property
  def top5(self):
    """Percent."""
    return 100.0 * self.correct_top5 / max(1, self.images)

  def __str__(self):
    return 'top-1 %.2f %% (%d of %d), top-5 %.2f %% (%d of %d)' % (
        self.top1, self.correct, self.images, self.top5, self.correct_top5, self.images)


class Answers(NamedTuple):
  """A network's answers to images, in the order of the batches."""
  ranks: Any  # int [images], see `ranks`.
  offsets: Any  # int [images], see `offsets`.


def ranks(logits, labels):
  """int [N]: how many other classes have a logit at least as high as that of the label.

  So a network that gives all classes the same logit is never right; nor is one that gives NaN.

  Args:
    logits: [N, K].
    labels: [N] of 0..K-1.
  """
  logits, labels = np.asarray(logits), np.asarray(labels)
  own = logits[np.arange(len(labels)), labels][:, np.newaxis]
  with np.errstate(invalid='ignore'):
    return np.sum(~(logits < own), axis=1) - 1  # NaN compares false, so it is ahead.


def offsets(logits, labels):
  """int [N]: the class with the highest logit minus the label; K where no class is ahead of all.

  Args:
    logits: [N, K].
    labels: [N] of 0..K-1.
  """
  answers = np.argmax(logits, axis=1)
  is_ahead = ranks(logits, answers) == 0
  return np.where(is_ahead, answers - np.asarray(labels), np.shape(logits)[1])


def accuracy_of(image_ranks):
  """The `Accuracy` of images with the `ranks` [N]: 0 is correct, below 5 in the top five."""
  return Accuracy(int(np.sum(image_ranks < 1)), int(np.sum(image_ranks < 5)), len(image_ranks))


def as_hits(image_ranks):
  """Text with a character for each of the `ranks` [N]: 1 for a correct answer, else 0."""
  return ''.join('1' if rank < 1 else '0' for rank in image_ranks)


def evaluate(session, logits, labels, initializer, feed=None):
  """Runs one finite epoch of batches.

  Args:
    logits: list of tensors [N, K], several networks on the same images.
    labels: tensor [N].
    initializer: op that starts the epoch.
    feed: feed of every `session.run`.

  Returns:
    List of `Answers`, one a network.
  """
  def batches():
    session.run(initializer)
    while True:
      try:
        *outputs, expected = session.run(list(logits) + [labels], feed)
      except tf.errors.OutOfRangeError:
        return
      yield [(ranks(output, expected), offsets(output, expected)) for output in outputs]

  by_batch = []
  for batch in tqdm.tqdm(batches(), 'validation', leave=False, unit='batch', mininterval=1.0):
    if not by_batch:
      events.tell(events.FIRST_BATCH)
    by_batch.append(batch)
  return [Answers(*map(np.concatenate, zip(*batches_of_one))) for batches_of_one in zip(*by_batch)]


def is_chance(correct, images, classes, deviations=2.0):
  """True where chance explains this many correct images."""
  chance = images / float(classes)
  return correct <= chance + deviations * chance ** 0.5


def describe_off_by_one(image_offsets, classes):
  """A hint for an accuracy of chance that labels moved by one explain, None for any other.

  Args:
    image_offsets: int [N], see `offsets`.
    classes: outputs of the network.
  """
  images, correct = len(image_offsets), int(np.sum(image_offsets == 0))
  neighbours, shift = max((int(np.sum(image_offsets == shift)), shift) for shift in (-1, 1))
  if not is_chance(correct, images, classes) or is_chance(neighbours, images, classes, 3.0):
    return None
  return ('note: the labels seem to be off by one: %d of %d images are correct, and %d when labels '
          'are shifted by %+d; use data and weights that belong together, or correct "first_label" '
          'in the dataset.json of the records' % (correct, images, neighbours, shift))


def check_float_accuracy(logits, labels, path):
  """Raises UserError where the float network shows that labels and head do not belong together.

  Args:
    logits: [N, K] of the float network.
    labels: [N], of 0..K-1.
    path: its weights file, for the message.
  """
  own = _correct(logits, labels)
  classes = logits.shape[1]
  for shift in (-1, 1):
    shifted = labels + shift
    valid = (shifted >= 0) & (shifted < classes)
    neighbour = _correct(logits[valid], shifted[valid])
    if neighbour > own:
      raise UserError(
          'the labels seem to be off by one: the float network %s classifies %d of %d images '
          'correctly, and %d when labels are shifted by %+d; use data and weights that belong '
          'together'
          % (path, own, len(labels), neighbour, shift))
  if is_chance(own, len(labels), classes):
    raise UserError(
        'the float network %s classifies %d of %d images correctly, no better than chance: weights '
        'and data do not belong together' % (path, own, len(labels)))


def _correct(logits, labels):
  return accuracy_of(ranks(logits, labels)).correct
