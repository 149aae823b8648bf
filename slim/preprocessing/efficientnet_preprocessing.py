"""Augmentation of EfficientNet's training; evaluation uses adj_quant's `data.central_image`.

Each function takes one encoded image and gives float32 [S, S, 3], RGB 0..255 with the small
overshoot of bicubic resizing, not normalised. All random choices follow from `key`, int64 [2]: a
seed and the number of the image, so they depend on no other image, thread or process.
"""

import tensorflow.compat.v1 as tf

import data
from preprocessing import autoaugment


def random_crop(encoded, image_size, info, key):
  """A random crop of random aspect ratio, mirrored with probability 1/2.

  Args:
    encoded: string [], a JPEG or PNG file.
    image_size: S, pixels a side.
    info: `imagenet.DatasetInfo` of the set.
    key: int64 [2], from which the choices follow.
  """
  return data.random_image(encoded, image_size, info,
                           tf.random.stateless_uniform(data.CROP_DRAWS, key))


def random_crop_autoaugment(encoded, image_size, info, key):
  """`random_crop`, then a sub-policy of AutoAugment's policy for ImageNet."""
  image = random_crop(encoded, image_size, info, key)
  pixels = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
  # Other numbers than the crop's, on which the operations must not depend.
  draws = tf.random.stateless_uniform([autoaugment.DRAWS], -1 - key)
  return tf.cast(autoaugment.augment(pixels, draws), tf.float32)


def central_crop(encoded, image_size, info, key):
  """The crop of evaluation, mirrored with probability 1/2; for small or centred images."""
  image = data.central_image(encoded, image_size, info)
  return data.mirror(image, tf.random.stateless_uniform([], key))
