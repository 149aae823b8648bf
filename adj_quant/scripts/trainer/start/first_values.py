"""Initial values of a quantised network that improve on 8 bits and the measured ranges."""

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from scripts import runtime
from scripts.effnetb0 import architecture as arch
from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import MAX_BITS, MIN_BITS, first_bits, places
from scripts.effnetb0.quantizers import Grid, LIMITS
from scripts.effnetb0.weights import LayerWeights
from scripts.thresholds import bias_ranges
from scripts.trainer.bit_report import cost_report, describe_cost
from scripts.trainer.start.allocation import allocate, range_errors
from scripts.trainer.start.rounding import round_layer

ACT_WEIGHT = 9.0  # Training moves kernels to their codes, but activations are always rounded.
EXPONENT = 0.7  # Training makes up for more of a large loss than of a small one.
SHARES = np.arange(0.3, 1.001, 0.05)  # Of a kernel's range, from which the best is taken.


def with_bits(first, spec, image_size, losses, metric, log, by_layer=False):
  """First values at the bit-widths that cost the least loss at a metric.

  Args:
    first: `student.Parameters` of vectors.
    spec: `student.ModelSpec` that learns bits.
    image_size: pixels a side.
    losses: dict node -> [C], see `sensitivity.expected_loss`. What counts is what is left of them
      after training: their power EXPONENT, for activations ACT_WEIGHT times. Nodes that it lacks,
      the inputs of swish, keep their first bit-widths.
    metric: the published metric.
    log: receives lines for the user.
    by_layer: see `allocate`.

  Returns:
    `student.Parameters` of vectors.
  """
  learnt = [node for node in students.quantised_nodes(spec) if node.learnt]
  left = {node.name: losses[node.name] ** EXPONENT * (
      1.0 if node.kind == 'weights' else ACT_WEIGHT) for node in learnt if node.name in losses}
  bits = allocate(left, spec, image_size, metric, by_layer)
  log('start: %s' % describe_cost(cost_report(bits, spec, image_size)))
  before = first_bits(learnt)
  return first._replace(bits_scale=bits[:len(before)] / before)


def with_fitted_kernels(first, spec, weights, log):
  """First values whose kernels have the ranges of least squared error at their bit-widths.

  Args:
    first: `student.Parameters` of vectors.
    spec: `student.ModelSpec`, whose range set bounds the ranges.
    weights: dict layer -> `LayerWeights` of arrays.
    log: receives a line where the bounds exclude better ranges.

  Returns:
    `student.Parameters` of vectors.
  """
  nodes, limits = students.quantised_nodes(spec), LIMITS[spec.range_set]
  bits = first_bits(nodes)
  if first.bits_scale is not None:
    bits[:len(first.bits_scale)] = np.rint(bits[:len(first.bits_scale)] * first.bits_scale)
  alpha, shift = first.alpha.copy(), first.shift.copy()
  place_of, channels, excluded = places(nodes), 0, 0
  for layer in arch.layers(spec.architecture, spec.architecture.image_size, spec.classes):
    place = place_of.get(layer.name + '/weights')
    if place is None:
      continue
    errors = range_errors(np.moveaxis(weights[layer.name].weights, layer.channel_axis, 3),
                          np.clip(bits[place], MIN_BITS, MAX_BITS), SHARES)
    alphas, shifts = _shrunk_ranges(first.initial_low[place], first.initial_width[place])
    allowed = _within(alphas, limits.alpha) & _within(shifts, limits.shift)
    best = np.argmin(np.where(allowed, errors, np.inf), axis=0), np.arange(errors.shape[1])
    alpha[place], shift[place] = alphas[best], shifts[best]
    channels += errors.shape[1]
    excluded += int(np.sum(best[0] != np.argmin(errors, axis=0)))
  if excluded:
    log('note: --range %d excludes the best range of --fit_ranges for %d of %d channels of '
        'kernels; these take the best that it allows' % (spec.range_set, excluded, channels))
  return first._replace(alpha=alpha, shift=shift)


def _shrunk_ranges(low, width):
  """Alpha and shift, float32 [S, C] each, of the S shares of initial ranges, [C] each.

  Both ends move towards zero: low + shift * width = share * low.
  """
  shares = np.float32(SHARES)[:, np.newaxis]
  shifts = (shares - 1) * low / np.maximum(width, np.finfo(np.float32).tiny)
  return np.broadcast_to(shares, shifts.shape), shifts


def _within(values, interval):
  low, high = np.float32(interval)
  return (values >= low) & (values <= high)


def with_rounded_kernels(first, spec, weights, halves):
  """First values with kernels on their grids, biases that keep the means, and ranges of these.

  Args:
    first: `student.Parameters` of vectors.
    spec: `student.ModelSpec`.
    weights: dict layer -> `LayerWeights` of arrays.
    halves: dicts layer -> `rounding.Moments` of two sets of images.

  Returns:
    `student.Parameters` of vectors.
  """
  place_of = places(students.quantised_nodes(spec))
  grids = _channel_grids(first, spec)
  rounded = dict(weights)
  layers = [layer for layer in arch.layers(spec.architecture, spec.architecture.image_size,
                                           spec.classes) if layer.name + '/weights' in place_of]
  for layer in tqdm.tqdm(layers, desc='rounding kernels', unit='kernel', leave=False):
    place = place_of[layer.name + '/weights']
    rounded[layer.name] = _rounded_layer(
        layer, weights[layer.name], [half[layer.name] for half in halves],
        Grid(*[part[place] for part in grids]))
  low, width = first.initial_low.copy(), first.initial_width.copy()
  for name, (least, largest) in bias_ranges(rounded).items():
    if name in place_of:
      low[place_of[name]], width[place_of[name]] = least, largest - least
  return first._replace(
      weights=students.weight_vector(rounded, spec.architecture, spec.classes),
      initial_low=low, initial_width=width)


def _rounded_layer(layer, weights, halves, grid):
  """The `LayerWeights` of an `architecture.Layer` after `round_layer`; grid of arrays [C]."""
  kernel, bias = weights
  groups = layer.outputs if layer.kind == 'depthwise' else 1
  # Channels last, which kernels are but for depthwise ones with an axis of 1 behind them.
  by_group = kernel.reshape(-1, groups, layer.outputs // groups).transpose(1, 0, 2)
  by_group, added = round_layer(
      by_group, halves, Grid(*[part.reshape(groups, -1) for part in grid]))
  kernel = by_group.transpose(1, 0, 2).reshape(kernel.shape)
  return LayerWeights(np.float32(kernel), np.float32(bias + added.reshape(-1)))


def _channel_grids(first, spec):
  """`student.channel_grids` of first values, as arrays."""
  with tf.Graph().as_default(), runtime.new_session(use_gpu=False) as session:
    parameters = students.create_parameters(spec)
    grids = students.channel_grids(spec, parameters, students.channel_bits(spec, parameters))
    students.load_values(parameters, first, session)
    return session.run(grids)
