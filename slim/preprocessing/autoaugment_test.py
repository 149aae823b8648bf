"""Tests of AutoAugment."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import autoaugment, image_operations

IMAGE = np.random.RandomState(0).randint(0, 256, [20, 24, 3]).astype(np.uint8)
# Of the first sub-policy: the magnitude 3 is 3/9 of 150/331 of the width.
POLICY = ((('invert', 0.25, 0), ('translate_x', 0.5, 3)),
          (('solarize', 1.0, 0), ('invert', 0.0, 0)))


def augment(draws, policy=POLICY, image=IMAGE):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(autoaugment.augment(tf.constant(image), tf.constant(draws, tf.float32),
                                           policy))


def moved(share, image=IMAGE):
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run(image_operations.translate_x(tf.constant(image), share))


def test_the_policy_for_imagenet():
  assert len(autoaugment.IMAGENET_POLICY) == 25
  names = {name for pair in autoaugment.IMAGENET_POLICY for name, _, _ in pair}
  assert names == {'posterize', 'rotate', 'solarize', 'autocontrast', 'equalize', 'color', 'invert',
                   'contrast', 'sharpness', 'shear_x'}
  # Sums over the table, which a slip of a digit would change.
  _, probabilities, magnitudes = zip(*sum(autoaugment.IMAGENET_POLICY, ()))
  assert round(sum(probabilities), 6) == 31.0 and sum(magnitudes) == 287


@pytest.mark.parametrize('draws, expected', [
    ([0.0, 0.3, 0.9, 0.6, 0.9], IMAGE),  # Neither is applied.
    ([0.49, 0.2, 0.1, 0.6, 0.9], 255 - IMAGE),
    ([0.0, 0.25, 0.9, 0.49, 0.9], moved(50 / 331)),
    ([0.0, 0.25, 0.9, 0.49, 0.4], moved(-50 / 331)),  # The other way.
    ([0.0, 0.2, 0.9, 0.49, 0.9], moved(50 / 331, 255 - IMAGE)),
    ([0.5, 0.999, 0.0, 0.0, 0.0], 255 - IMAGE),  # Solarized from 0 on.
    ([0.999999, 0.999, 0.0, 0.0, 0.0], 255 - IMAGE),
])
def test_the_draws_choose(draws, expected):
  np.testing.assert_array_equal(augment(draws), expected)


@pytest.mark.parametrize('name, magnitude, function, value', [
    ('posterize', 0, 'posterize', 4.0), ('posterize', 8, 'posterize', 68 / 9),
    ('solarize', 9, 'solarize', 256.0), ('solarize', 3, 'solarize', 256 / 3),
    ('color', 0, 'color', 0.1), ('contrast', 9, 'contrast', 1.9), ('rotate', 9, 'rotate', 30.0),
    ('shear_x', 3, 'shear_x', 0.1), ('shear_y', 9, 'shear_y', 0.3),
    ('sharpness', 0, 'sharpness', 0.1), ('brightness', 9, 'brightness', 1.9)])
def test_a_magnitude_is_a_place_in_the_range(name, magnitude, function, value, monkeypatch):
  operation = autoaugment.OPERATIONS[name]
  assert operation.apply is getattr(image_operations, function)
  monkeypatch.setitem(autoaugment.OPERATIONS, name, operation._replace(
      apply=lambda image, value: tf.fill(tf.shape(image), value)))
  policy = (((name, 1.0, magnitude), (name, 0.0, 0)),)
  actual = augment([0.0, 0.0, 0.9, 0.9, 0.9], policy, np.zeros([1], np.float32))
  assert actual == pytest.approx(value, rel=1e-6)


def test_the_second_operation_sees_the_first_ones_result():
  policy = ((('brightness', 1.0, 0), ('invert', 1.0, 0)),)
  actual = augment([0.0] * 5, policy, np.full([2, 2, 3], 100, np.uint8))
  assert set(actual.ravel()) == {245}  # 255 - 0.1 * 100.


def test_every_sub_policy_gives_an_image():
  with tf.Graph().as_default(), tf.Session() as session:
    draws = tf.placeholder(tf.float32, [autoaugment.DRAWS])
    image = autoaugment.augment(tf.constant(IMAGE), draws)
    actual = [session.run(image, {draws: [(number + 0.5) / 25, 0.0, 0.0, 0.0, 0.0]})
              for number in range(25)]
  assert all(pixels.shape == IMAGE.shape and pixels.dtype == np.uint8 for pixels in actual)
  # Five pairs of equal rows, and equalizing twice is equalizing once (rows 2 and 12).
  assert len({pixels.tobytes() for pixels in actual}) == 25 - 5 - 1
