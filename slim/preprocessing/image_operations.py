"""The image operations that AutoAugment's policies are made of, as TensorFlow ops.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data" (2018), table 6. All take an
image uint8 [height, width, 3], RGB, and most a magnitude, float32 []; all return such an image of
the same size. Colours follow the Python Imaging Library, from which the paper took the operations.
"""

import math

import tensorflow.compat.v1 as tf

FILL = 128  # Grey of the pixels that come from outside the image.
_LUMA = (0.299, 0.587, 0.114)  # Weights of red, green and blue, ITU-R BT.601.


def invert(image):
  """255 - x."""
  return 255 - image


def posterize(image, bits):
  """Keeps the highest `bits` (1..8, rounded down) of each value and clears the others."""
  step = 2 ** (8 - tf.cast(bits, tf.int32))
  return tf.cast(tf.cast(image, tf.int32) // step * step, tf.uint8)


def solarize(image, threshold):
  """Inverts the values of at least `threshold` (0..256)."""
  return tf.where(tf.cast(image, tf.float32) < threshold, image, 255 - image)


def autocontrast(image):
  """Stretches each channel to 0..255; one of a single value stays."""
  values = tf.cast(image, tf.int32)
  low, high = tf.reduce_min(values, [0, 1]), tf.reduce_max(values, [0, 1])
  varied = high > low
  low = tf.where(varied, low, tf.zeros_like(low))
  width = tf.where(varied, high - low, tf.fill(tf.shape(low), 255))
  return tf.cast((values - low) * 255 // width, tf.uint8)


def equalize(image):
  """Spreads the values of each channel so that all are about equally frequent."""
  return tf.stack([_equalize_channel(channel) for channel in tf.unstack(image, axis=2)], axis=2)


def _equalize_channel(channel):
  """uint8 [height, width] of equal frequencies, as far as whole values allow."""
  values = tf.cast(channel, tf.int32)
  counts = tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256)
  # The highest value maps to 255 itself, so the pixels below it fill the 255 steps.
  step = (tf.size(values) - counts[tf.reduce_max(values)]) // 255
  table = (tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1)
  table = tf.where(step > 0, tf.minimum(table, 255), tf.range(256))
  return tf.cast(tf.gather(table, values), tf.uint8)


def color(image, factor):
  """Saturation: 0 is a grey image, 1 the image itself."""
  return _blend(_luma(image), image, factor)


def contrast(image, factor):
  """0 is the mean grey of the image, 1 the image itself."""
  return _blend(tf.round(tf.reduce_mean(_luma(image))), image, factor)


def brightness(image, factor):
  """0 is black, 1 the image itself."""
  return _blend(0.0, image, factor)


def sharpness(image, factor):
  """0 is a smoothed image, 1 the image itself; the outermost pixels stay."""
  values = tf.cast(image, tf.float32)
  rows = values[:-2] + values[1:-1] + values[2:]
  squares = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
  smooth = tf.round((squares + 4 * values[1:-1, 1:-1]) / 13)  # The middle weighs 5, the others 1.
  inner = tf.pad(tf.ones_like(smooth), [[1, 1], [1, 1], [0, 0]])
  smooth = tf.pad(smooth, [[1, 1], [1, 1], [0, 0]])
  return _blend(tf.where(inner > 0, smooth, values), image, factor)


def rotate(image, degrees):
  """Turns the image about its centre, counter-clockwise."""
  angle = degrees * (math.pi / 180)
  cosine, sine = tf.cos(angle), tf.sin(angle)
  height, width = (tf.cast(size, tf.float32) for size in tf.unstack(tf.shape(image)[:2]))
  x, y = (width - 1) / 2, (height - 1) / 2
  return _resample(image, [cosine, -sine, x - cosine * x + sine * y],
                   [sine, cosine, y - sine * x - cosine * y])


def shear_x(image, slope):
  """Moves each row to the left by `slope` times its distance from the top one."""
  return _resample(image, [1.0, slope, 0.0], [0.0, 1.0, 0.0])


def shear_y(image, slope):
  """Moves each column up by `slope` times its distance from the left one."""
  return _resample(image, [1.0, 0.0, 0.0], [slope, 1.0, 0.0])


def translate_x(image, share):
  """Moves the image to the left by a share of its width."""
  return _resample(image, [1.0, 0.0, share * tf.cast(tf.shape(image)[1], tf.float32)],
                   [0.0, 1.0, 0.0])


def translate_y(image, share):
  """Moves the image up by a share of its height."""
  return _resample(image, [1.0, 0.0, 0.0],
                   [0.0, 1.0, share * tf.cast(tf.shape(image)[0], tf.float32)])


def _luma(image):
  """float32 [height, width, 1]: the brightness of each pixel in whole numbers of 0..255."""
  return tf.round(tf.reduce_sum(tf.cast(image, tf.float32) * _LUMA, axis=2, keepdims=True))


def _blend(background, image, factor):
  """uint8 like `image`: background + factor * (image - background), cut to 0..255."""
  mixed = background + factor * (tf.cast(image, tf.float32) - background)
  return tf.cast(tf.clip_by_value(mixed, 0.0, 255.0), tf.uint8)


def _resample(image, x_row, y_row):
  """Takes each pixel from the place (x', y') that is nearest; FILL where that lies outside.

  Args:
    image: uint8 [height, width, 3].
    x_row: (a, b, c) of x' = a x + b y + c, with x to the right and y down from the first pixel.
    y_row: the same of y'.
  """
  height, width = tf.unstack(tf.shape(image)[:2])
  x, y = tf.meshgrid(tf.cast(tf.range(width), tf.float32), tf.cast(tf.range(height), tf.float32))
  column, row = (tf.cast(tf.floor(a * x + b * y + c + 0.5), tf.int32) for a, b, c in (x_row, y_row))
  inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
  place = tf.where(inside, row * width + column, tf.zeros_like(row))
  pixels = tf.gather(tf.reshape(image, [-1, 3]), tf.reshape(place, [-1]))
  fill = tf.fill(tf.shape(pixels), tf.constant(FILL, tf.uint8))
  pixels = tf.where(tf.reshape(inside, [-1]), pixels, fill)
  return tf.reshape(pixels, tf.shape(image))
