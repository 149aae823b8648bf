"""Tests of the image operations: by hand, and against the Python Imaging Library's."""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
import pytest
import tensorflow.compat.v1 as tf

from preprocessing import image_operations as operations


def run(operation, pixels, *magnitude):
  with tf.Graph().as_default(), tf.Session() as session:
    actual = operation(tf.constant(pixels, tf.uint8), *[tf.constant(m, tf.float32)
                                                        for m in magnitude])
    return session.run(actual)


def grey(rows):
  """uint8 [height, width, 3] with three equal channels."""
  return np.repeat(np.array(rows, np.uint8)[:, :, np.newaxis], 3, axis=2)


NUMBERED = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
F = operations.FILL


@pytest.mark.parametrize('operation, magnitude, before, after', [
    ('invert', [], [[0, 1, 255]], [[255, 254, 0]]),
    ('posterize', [4.0], [[15, 16, 255]], [[0, 16, 240]]),
    ('posterize', [7.9], [[1, 2, 255]], [[0, 2, 254]]),  # 7 bits.
    ('posterize', [8.0], [[1, 2, 255]], [[1, 2, 255]]),
    ('solarize', [128.0], [[0, 127, 128, 255]], [[0, 127, 127, 0]]),
    ('solarize', [256.0], [[0, 128, 255]], [[0, 128, 255]]),
    ('autocontrast', [], [[50, 60, 100]], [[0, 51, 255]]),
    ('autocontrast', [], [[50, 50]], [[50, 50]]),
    ('brightness', [0.5], [[0, 100, 255]], [[0, 50, 127]]),
    ('brightness', [1.5], [[0, 100, 255]], [[0, 150, 255]]),
    ('contrast', [0.0], [[0, 100]], [[50, 50]]),
    ('contrast', [1.5], [[0, 40, 80, 200]], [[0, 20, 80, 255]]),  # The mean is 80.
    ('rotate', [90.0], NUMBERED, [[3, 6, 9], [2, 5, 8], [1, 4, 7]]),
    ('rotate', [180.0], NUMBERED, [[9, 8, 7], [6, 5, 4], [3, 2, 1]]),
    ('shear_x', [1.0], NUMBERED, [[1, 2, 3], [5, 6, F], [9, F, F]]),
    ('shear_x', [-1.0], NUMBERED, [[1, 2, 3], [F, 4, 5], [F, F, 7]]),
    ('shear_y', [1.0], NUMBERED, [[1, 5, 9], [4, 8, F], [7, F, F]]),
    ('translate_x', [1 / 3], NUMBERED, [[2, 3, F], [5, 6, F], [8, 9, F]]),
    ('translate_y', [-1 / 3], NUMBERED, [[F, F, F], [1, 2, 3], [4, 5, 6]]),
])
def test_by_hand(operation, magnitude, before, after):
  actual = run(getattr(operations, operation), grey(before), *magnitude)
  assert actual.dtype == np.uint8
  np.testing.assert_array_equal(actual, grey(after))


def test_equalize_by_hand():
  # 511 pixels: 1 of 7, 255 of 9, 255 of 200. (511 - 255) // 255 = 1 pixel a step, and below 9 is
  # one pixel, below 200 are 256, cut to 255.
  values = np.repeat([7, 9, 200], [1, 255, 255])[np.newaxis]
  expected = np.repeat([0, 1, 255], [1, 255, 255])[np.newaxis]
  np.testing.assert_array_equal(run(operations.equalize, grey(values)), grey(expected))


def test_saturation_by_hand():
  red = np.array([[[200, 0, 0]]])  # Its luma is round(59.8).
  assert run(operations.color, red, 0.0).tolist() == [[[60, 60, 60]]]
  assert run(operations.color, red, 1.0).tolist() == [[[200, 0, 0]]]
  assert run(operations.color, red, 0.5).tolist() == [[[130, 30, 30]]]


def test_sharpness_by_hand():
  dot = grey([[0, 0, 0], [0, 130, 0], [0, 0, 0]])
  # 130 * 5 / 13 = 50 is left of it; twice the distance from there is 210.
  assert run(operations.sharpness, dot, 0.0)[1, 1].tolist() == [50] * 3
  assert run(operations.sharpness, dot, 2.0)[1, 1].tolist() == [210] * 3
  corner = grey([[130, 0, 0], [0, 0, 0], [0, 0, 0]])
  actual = run(operations.sharpness, corner, 0.0)
  assert actual[0, 0, 0] == 130 and actual[1, 1, 0] == 10


RANDOM = np.random.RandomState(0).randint(20, 220, [31, 47, 3]).astype(np.uint8)
# Smooth, so that a pixel's rounding to another neighbour would show little.
RAMP = np.stack([np.add.outer(2 * np.arange(31), 3 * np.arange(47)), np.add.outer(
    np.arange(31), np.zeros(47)), np.full([31, 47], 9)], axis=2).astype(np.uint8)


@pytest.mark.parametrize('operation, magnitude, reference', [
    ('invert', [], ImageOps.invert),
    ('posterize', [5.0], lambda image: ImageOps.posterize(image, 5)),
    ('solarize', [99.0], lambda image: ImageOps.solarize(image, 99)),
    ('autocontrast', [], ImageOps.autocontrast),
    ('equalize', [], ImageOps.equalize),
    ('color', [0.3], lambda image: ImageEnhance.Color(image).enhance(0.3)),
    ('contrast', [1.7], lambda image: ImageEnhance.Contrast(image).enhance(1.7)),
    ('brightness', [0.6], lambda image: ImageEnhance.Brightness(image).enhance(0.6)),
    ('sharpness', [0.1], lambda image: ImageEnhance.Sharpness(image).enhance(0.1)),
    ('sharpness', [1.9], lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
])
@pytest.mark.parametrize('pixels', [RANDOM, RAMP, np.full([9, 9, 3], 77, np.uint8)])
def test_colours_are_those_of_pil(operation, magnitude, reference, pixels):
  actual = run(getattr(operations, operation), pixels, *magnitude)
  expected = np.array(reference(Image.fromarray(pixels)))
  # Of its smoothed images and products it rounds or cuts off each.
  tolerance = 2 if operation in ('sharpness', 'color', 'contrast') else 1
  np.testing.assert_allclose(actual.astype(int), expected.astype(int), atol=tolerance)


@pytest.mark.parametrize('degrees', [-30.0, -7.0, 10.0, 30.0])
@pytest.mark.parametrize('pixels', [RANDOM, RAMP])
def test_rotation_is_that_of_pil(degrees, pixels):
  expected = np.array(Image.fromarray(pixels).rotate(degrees, fillcolor=(F, F, F)))
  actual = run(operations.rotate, pixels, degrees)
  clear = ~near_the_middle(pixels.shape, degrees)
  np.testing.assert_array_equal(actual[clear], expected[clear])
  assert clear.mean() > 0.9


def near_the_middle(shape, degrees):
  """bool [height, width]: the rotated place is about as near to one pixel as to another.

  The library computes places to 2**-16 a pixel.
  """
  y, x = np.mgrid[:shape[0], :shape[1]] - (np.array(shape[:2]) - 1.0).reshape(2, 1, 1) / 2
  cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
  places = [cosine * x - sine * y + (shape[1] - 1) / 2, sine * x + cosine * y + (shape[0] - 1) / 2]
  return np.any([np.abs(place + 0.5 - np.rint(place + 0.5)) < 2e-3 for place in places], axis=0)


def test_the_size_may_be_unknown():
  with tf.Graph().as_default(), tf.Session() as session:
    image = tf.placeholder(tf.uint8, [None, None, 3])
    results = [operations.rotate(image, 180.0), operations.translate_x(image, 0.0),
               operations.equalize(image), operations.sharpness(image, 1.0)]
    turned, *others = session.run(results, {image: RANDOM})
  np.testing.assert_array_equal(turned, RANDOM[::-1, ::-1])
  assert all(other.shape == RANDOM.shape for other in others)
