"""AutoAugment: a sub-policy of two image operations is drawn for each image.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data" (2018). A magnitude of 0..9
is a place in the range of its operation (table 6); of a rotation, a shear and a translation the
direction is drawn. Table 6 gives translations of up to 150 pixels of ImageNet's 331: here a share.
"""

from typing import Callable, NamedTuple, Optional

import numpy as np
import tensorflow.compat.v1 as tf

from preprocessing import image_operations

DRAWS = 5  # Random numbers an image needs: its sub-policy, and for each operation if and whither.
_LARGEST = 9.0  # Magnitude.


class _Operation(NamedTuple):
  apply: Callable
  low: Optional[float] = None  # Of the magnitude 0, in the operation's units; None: it has none.
  high: Optional[float] = None  # Of the magnitude 9.
  directed: bool = False


OPERATIONS = {
    'autocontrast': _Operation(image_operations.autocontrast),
    'brightness': _Operation(image_operations.brightness, 0.1, 1.9),
    'color': _Operation(image_operations.color, 0.1, 1.9),
    'contrast': _Operation(image_operations.contrast, 0.1, 1.9),
    'equalize': _Operation(image_operations.equalize),
    'invert': _Operation(image_operations.invert),
    'posterize': _Operation(image_operations.posterize, 4.0, 8.0),
    'rotate': _Operation(image_operations.rotate, 0.0, 30.0, directed=True),
    'sharpness': _Operation(image_operations.sharpness, 0.1, 1.9),
    'shear_x': _Operation(image_operations.shear_x, 0.0, 0.3, directed=True),
    'shear_y': _Operation(image_operations.shear_y, 0.0, 0.3, directed=True),
    'solarize': _Operation(image_operations.solarize, 0.0, 256.0),
    'translate_x': _Operation(image_operations.translate_x, 0.0, 150 / 331, directed=True),
    'translate_y': _Operation(image_operations.translate_y, 0.0, 150 / 331, directed=True),
}

# Table 9, learnt on ImageNet: operation, probability, magnitude; twice.
IMAGENET_POLICY = (
    (('posterize', 0.4, 8), ('rotate', 0.6, 9)),
    (('solarize', 0.6, 5), ('autocontrast', 0.6, 5)),
    (('equalize', 0.8, 8), ('equalize', 0.6, 3)),
    (('posterize', 0.6, 7), ('posterize', 0.6, 6)),
    (('equalize', 0.4, 7), ('solarize', 0.2, 4)),
    (('equalize', 0.4, 4), ('rotate', 0.8, 8)),
    (('solarize', 0.6, 3), ('equalize', 0.6, 7)),
    (('posterize', 0.8, 5), ('equalize', 1.0, 2)),
    (('rotate', 0.2, 3), ('solarize', 0.6, 8)),
    (('equalize', 0.6, 8), ('posterize', 0.4, 6)),
    (('rotate', 0.8, 8), ('color', 0.4, 0)),
    (('rotate', 0.4, 9), ('equalize', 0.6, 2)),
    (('equalize', 0.0, 7), ('equalize', 0.8, 8)),
    (('invert', 0.6, 4), ('equalize', 1.0, 8)),
    (('color', 0.6, 4), ('contrast', 1.0, 8)),
    (('rotate', 0.8, 8), ('color', 1.0, 2)),
    (('color', 0.8, 8), ('solarize', 0.8, 7)),
    (('sharpness', 0.4, 7), ('invert', 0.6, 8)),
    (('shear_x', 0.6, 5), ('equalize', 1.0, 9)),
    (('color', 0.4, 0), ('equalize', 0.6, 3)),
    (('equalize', 0.4, 7), ('solarize', 0.2, 4)),
    (('solarize', 0.6, 5), ('autocontrast', 0.6, 5)),
    (('invert', 0.6, 4), ('equalize', 1.0, 8)),
    (('color', 0.6, 4), ('contrast', 1.0, 8)),
    (('equalize', 0.8, 8), ('equalize', 0.6, 3)),
)


def augment(image, draws, policy=IMAGENET_POLICY):
  """Applies a sub-policy to an image.

  Args:
    image: uint8 [height, width, 3], RGB.
    draws: float32 [DRAWS] in [0, 1): the sub-policy; for each of its two operations whether it is
      applied and, below 0.5, that it goes the other way.
    policy: pairs of (name in OPERATIONS, probability, magnitude 0..9).

  Returns:
    uint8 [height, width, 3].
  """
  names = sorted({name for pair in policy for name, _, _ in pair})
  table = np.array([[(names.index(name), probability, magnitude)
                     for name, probability, magnitude in pair] for pair in policy], np.float32)
  chosen = tf.gather(table, tf.cast(draws[0] * len(policy), tf.int32))  # [2, 3]
  for place in range(2):
    number, probability, magnitude = tf.unstack(chosen[place])
    # The number of no operation leaves the image as it is.
    number = tf.where(draws[1 + 2 * place] < probability, tf.cast(number, tf.int32), -1)
    sign = tf.where(draws[2 + 2 * place] < 0.5, -1.0, 1.0)
    image = _apply(image, [OPERATIONS[name] for name in names], number, magnitude / _LARGEST, sign)
  return image


def _apply(image, operations, number, strength, sign):
  """Applies `operations[number]`; strength is the place in its range, 0..1, sign its direction."""
  def branch(operation):
    if operation.low is None:
      return lambda: operation.apply(image)
    value = operation.low + strength * (operation.high - operation.low)
    return lambda: operation.apply(image, sign * value if operation.directed else value)

  result = image
  for index, operation in enumerate(operations):
    # One after the other: nested in each other (tf.case) they take seconds to build.
    result = tf.cond(tf.equal(number, index), branch(operation), lambda last=result: last)
  return result
