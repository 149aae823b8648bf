"""Fake quantisation with a learnt range and a learnt bit-width for every channel.

A quantiser is composed of parts that know nothing of each other:
  bits      learnt_bits(bits_scale, first_bits)        how many codes a channel has
  range     learnt_range(alpha, shift, initial, limits) which interval they cover
  grid      grid(range, bits)                           step, lowest and highest code
  map       fake_quantize(x, grid)                      x -> codes -> x
`network_quantizers` puts them at the nodes of a network.
Every rounding is straight-through (gradient 1), every clip has its true gradient, so the loss of
the task reaches x, alpha, shift and bits_scale by plain differentiation.

Source: Goncharenko et al., "Fast Adjustable Threshold for Uniform Neural Network Quantization",
2018 (alpha and shift); Jain et al., "Trained Quantization Thresholds", 2019, section 3 (gradients).
C is the number of channels.
"""

import math
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS

EPSILON = 1e-7  # Least width of a range: a constant channel must not divide by zero.
# Beyond all ranges; divided by a step, of at least EPSILON / 255, it is finite in float32.
_HUGE = 1e28


class Range(NamedTuple):
  """An interval per channel: float32 [C] each, in the units of what is quantised."""
  low: Any
  width: Any


class Limits(NamedTuple):
  """Intervals that alpha and shift are clipped to."""
  alpha: tuple
  shift: tuple


# The sets of the flag --range.
LIMITS = {
    1: Limits((0.5, 1.3), (-0.2, 0.4)),
    2: Limits((0.5, 1.0), (-0.2, 0.4)),
    3: Limits((0.2, 1.7), (-0.4, 0.7)),
    4: Limits((0.1, 2.0), (-0.5, 1.0)),
    5: Limits((0.0, 2.0), (-0.6, 1.2)),
    6: Limits((0.0, 2.2), (-0.8, 1.5)),
    7: Limits((-math.inf, math.inf), (-math.inf, math.inf)),
}


class Grid(NamedTuple):
  """The values a channel can take: step * k for whole k of lowest..highest, float32 [C] each."""
  step: Any
  lowest: Any
  highest: Any


def round_straight_through(x):
  """Rounds half to even; the gradient is 1. (tf.rint is tf.round in half the time.)"""
  return x + tf.stop_gradient(tf.rint(x) - x)


def clip(x, low, high):
  """min(max(x, low), high); where x is outside, the gradient flows to the bound it hits.

  A bound itself is inside: what training projects onto it keeps its gradient and can come back.
  """
  return tf.minimum(tf.maximum(x, low), high)


def learnt_bits(bits_scale, first_bits):
  """Whole bit-widths 2..8: clip(round(bits_scale * first_bits), 2, 8), all float32 [C]."""
  return clip(round_straight_through(bits_scale * first_bits), float(MIN_BITS), float(MAX_BITS))


def learnt_range(alpha, shift, initial, limits):
  """The initial range, widened by alpha and moved by shift times its initial width.

  Args:
    alpha, shift: float32 [C], 1 and 0 at the start.
    initial: Range from calibration.
    limits: `Limits` of alpha and shift.

  Returns:
    Range, at least EPSILON wide. Widening it to that leaves the gradient alone: an alpha of 0
    would have none otherwise, and stay 0.
  """
  low = initial.low + clip(shift, *limits.shift) * initial.width
  width = clip(alpha, *limits.alpha) * initial.width
  # A sum whose second part is 0, exactly: the first alone would lose the gradient.
  at_least = tf.stop_gradient(tf.maximum(width, EPSILON)) + (width - tf.stop_gradient(width))
  return Range(low, at_least)


def grid(quant_range, bits):
  """The 2**bits codes that cover a range, moved by less than a step so that 0.0 is one of them.

  Args:
    quant_range: Range.
    bits: float32 [C], whole numbers.

  Returns:
    Grid.
  """
  levels = tf.pow(2.0, bits) - 1.0
  step = quant_range.width / levels
  zero = round_straight_through(quant_range.low / step)
  return Grid(step, zero, zero + levels)


def fake_quantize(x, channel_grid, is_training=True):
  """Rounds x to the nearest value of its channel's grid.

  With code = clip(round(x / step) - lowest, 0, levels) this is (code + lowest) * step, computed
  without the subtraction and the addition that cancel.

  Args:
    x: float32 [..., C].
    channel_grid: Grid whose parts broadcast against x.
    is_training: False leaves out the detour that gives the rounding its gradient.

  Returns:
    float32 of the shape of x: at most 2**bits values per channel.
  """
  step, lowest, highest = channel_grid
  if is_training:
    # Infinity minus infinity, and infinity times a gradient of 0, would be NaN.
    x = clip(x, -_HUGE, _HUGE)
  code = tf.rint(x / step)
  if is_training:
    # x / step again, by a product: its gradient takes half the passes of a division's.
    relaxed = x * tf.reciprocal(step)
    code = relaxed + tf.stop_gradient(code - relaxed)
  return clip(code, lowest, highest) * step


def image_grid(architecture):
  """The 8-bit grid of the normalised image on which 256 byte values keep 256 codes.

  One step is one grey level; the grid holds 0.0, so values are moved by less than half a level.
  """
  step = 1.0 / tf.constant(architecture.std, tf.float32)
  lowest = tf.rint(-tf.constant(architecture.mean, tf.float32))
  return Grid(step, lowest, lowest + 255.0)
