"""Tests of counted accuracy."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.accuracy import (
    Accuracy, accuracy_of, as_hits, check_float_accuracy, describe_off_by_one, evaluate, offsets,
    ranks)
from scripts.errors import UserError

NAN = float('nan')


@pytest.mark.parametrize('row, label, expected', [
    ([1, 3, 2, 0, -1, -2], 1, (1, 1)),
    ([1, 3, 2, 0, -1, -2], 2, (0, 1)),
    ([1, 3, 2, 0, -1, -2], 4, (0, 1)),  # The fifth.
    ([1, 3, 2, 0, -1, -2], 5, (0, 0)),  # The sixth.
    ([3, 3, 2, 0, -1, -2], 0, (0, 1)),  # A tie is not the highest.
    ([0, 0, 0, 0, 0, 0], 0, (0, 0)),  # Nor is one of six among the best five.
    ([2, 1, 1, 1, 1, 1], 1, (0, 0)),  # Five others are at least as high.
    ([NAN] * 6, 0, (0, 0)),
    ([NAN, 3, 2, 0, -1, -2], 1, (0, 1)),
    ([5, NAN, NAN, NAN, NAN, NAN], 0, (0, 0)),
    ([float('inf'), 3, 2, 0, -1, -2], 0, (1, 1)),
    ([1, 0], 0, (1, 1)),
    ([0, 1], 0, (0, 1)),  # With fewer than five classes every label is among the best five,
    ([1, 1], 0, (0, 1)),  # ties or not.
])
def test_one_image(row, label, expected):
  assert accuracy_of(ranks([row], [label])) == Accuracy(*expected, images=1)


def test_images_of_a_batch_are_ranked_each_by_itself():
  random = np.random.RandomState(0)
  logits, labels = random.randint(0, 6, [50, 9]), random.randint(0, 9, [50])
  single = np.concatenate([ranks([row], [label]) for row, label in zip(logits, labels)])
  assert np.array_equal(ranks(logits, labels), single)
  actual = accuracy_of(single)
  assert actual.images == 50 and 0 < actual.correct < actual.correct_top5 < 50
  assert as_hits(single) == ''.join(str(int(rank == 0)) for rank in single)


def test_accuracy_is_told_with_its_counts():
  assert str(Accuracy(917, 990, 1000)) == (
      'top-1 91.70 % (917 of 1000), top-5 99.00 % (990 of 1000)')
  assert (Accuracy(1, 2, 8).top1, Accuracy(1, 2, 8).top5) == (12.5, 25.0)
  assert accuracy_of(np.array([], int)) == Accuracy(0, 0, 0) and Accuracy(0, 0, 0).top1 == 0.0


def test_evaluate_ranks_every_image_once_in_order_for_each_network():
  labels = np.arange(7, dtype=np.int32)
  with tf.Graph().as_default(), tf.Session() as session:
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensor_slices(labels)
                                                   .batch(3))
    batch = iterator.get_next()
    shift = tf.placeholder(tf.int32, [])
    right, wrong = tf.one_hot(batch, 8), tf.one_hot(batch + shift, 8)
    some = tf.where(batch > 4, right, wrong)
    for _ in range(2):  # A second epoch starts at the first image again.
      actual = evaluate(session, [right, wrong, some], batch, iterator.initializer, {shift: 1})
      assert [accuracy_of(each.ranks) for each in actual] == [
          Accuracy(7, 7, 7), Accuracy(0, 0, 7), Accuracy(2, 2, 7)]
      assert [as_hits(each.ranks) for each in actual] == ['1111111', '0000000', '0000011']
      assert [each.offsets.tolist() for each in actual] == [
          [0] * 7, [1] * 7, [1] * 5 + [0] * 2]


def logits_for(labels, classes=10):
  return np.eye(classes)[labels]


def test_float_network_that_fits_its_labels():
  labels = np.arange(100) % 10
  check_float_accuracy(logits_for(labels), labels, 'w.pickle')
  half_wrong = np.where(np.arange(100) < 50, labels, 0)
  check_float_accuracy(logits_for(half_wrong), labels, 'w.pickle')


@pytest.mark.parametrize('shift, count', [(-1, 90), (1, 90)])
def test_labels_off_by_one(shift, count):
  labels = np.arange(100) % 10
  logits = logits_for((labels + shift) % 10)
  with pytest.raises(UserError, match=(
      r'off by one: the float network w.pickle classifies 0 of 100 images correctly, and %d when '
      r'labels are shifted by \%+d' % (count, shift))):
    check_float_accuracy(logits, labels, 'w.pickle')


def test_float_network_at_chance():
  labels = np.arange(100) % 10
  with pytest.raises(UserError, match=' 10 of 100 images correctly, no better than chance'):
    check_float_accuracy(logits_for(np.zeros(100, int)), labels, 'w.pickle')
  with pytest.raises(UserError, match=' 0 of 100 images correctly, no better than chance'):
    check_float_accuracy(np.full([100, 10], NAN), labels, 'w.pickle')


@pytest.mark.parametrize('row, label, expected', [
    ([1, 3, 2], 1, 0), ([1, 3, 2], 0, 1), ([1, 3, 2], 2, -1), ([5, 3, 2], 2, -2),
    ([3, 3, 2], 0, 3), ([NAN, 3, 2], 1, 3), ([NAN] * 3, 0, 3)])  # 3: no class is ahead.
def test_offsets_of_one_image(row, label, expected):
  assert offsets([row], [label]).tolist() == [expected]


@pytest.mark.parametrize('counts, hint', [
    ({0: 900, 1: 20}, None),
    ({0: 0, 1: 20}, '0 of 1000 images are correct, and 20 when labels are shifted by +1;'),
    ({0: 1, -1: 869, 1: 3}, '1 of 1000 images are correct, and 869 when labels are shifted by -1;'),
    ({0: 200, 1: 700}, None),  # Better than chance.
    ({0: 1, 1: 2}, None), ({2: 900}, None), ({}, None)])
def test_a_hint_for_labels_off_by_one(counts, hint):
  image_offsets = np.full([1000], 500)
  start = 0
  for offset, count in counts.items():
    image_offsets[start:start + count] = offset
    start += count
  actual = describe_off_by_one(image_offsets, 1000)
  assert hint in actual if hint else actual is None
