"""Rounds kernels so that the errors of their weights cancel out in a convolution's output.

Weights are rounded one after the other, and those that are left take over the error as far as the
training images let them. What remains of the mean goes into the bias.

Sources: Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2022, section 3 (the rounding); Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", 2019, section 4.2 (the bias).

Shape letters: G groups (channels of a depthwise kernel, else 1), I inputs of a sum, O sums.
"""

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import architecture as arch
from scripts.effnetb0.network import efficientnet
from scripts.effnetb0.network_quantizers import FloatQuantizer
from scripts.effnetb0.quantizers import Grid

SIDE = 28  # Of an image's square of outputs whose inputs are measured, up to twice as many.
DAMPINGS = (0.01, 0.1, 1.0)  # Of the mean variance; the best for other images is taken.
_FLOOR = 1e-6  # Of the mean square: above the rounding errors of float32, for constant inputs.
_ROWS = 64  # Of inputs whose errors are passed on to all that are left in one go.


class Moments(NamedTuple):
  """Of the inputs of the sums of a layer, over many outputs."""
  products: Any  # [G, I, I] sums of products of two of them.
  sums: Any  # [G, I]
  count: Any  # Outputs.


class BatchMoments(NamedTuple):
  """The same of a batch: float32 has no digits left for variances far below the squared mean."""
  scatter: Any  # [G, I, I] sums of products of two differences from the mean.
  mean: Any  # [G, I]
  count: Any  # Outputs.


class Statistics(NamedTuple):
  """What rounding needs to know of the inputs of a layer."""
  covariance: Any  # float64 [G, I, I]
  mean: Any  # float64 [G, I]
  floor: Any  # float64 [G], of what is added to variances.


class _StemQuantizer(FloatQuantizer):
  """Quantises nothing and keeps what the stem reads."""
  reads = None

  def image(self, x):
    """The image as it is."""
    self.reads = x
    return x


def input_moments(images, weights, architecture, classes):
  """Tensors of the inputs of all layers of the float network.

  Args:
    images: float32 [N, S, S, 3], RGB 0..255.
    weights: dict layer -> `LayerWeights` of tensors.
    architecture: an `Architecture`.
    classes: outputs of the classifier.

  Returns:
    Dict layer -> `BatchMoments` of float32 tensors.
  """
  stem = _StemQuantizer()
  _, seen = efficientnet(images, weights, stem, architecture)
  seen['image'] = stem.reads
  return {layer.name: _moments(_inputs(seen[layer.reads], layer))
          for layer in arch.layers(architecture, images.shape.as_list()[1], classes)}


def _inputs(x, layer):
  """The inputs of a part of the sums of `layer`: [N, H, W, C] -> [G, outputs, I].

  Padding for a longer stride may differ by a pixel from that of the convolution, where the side of
  x is odd; windows are then those of the neighbouring pixels.
  """
  side = int(round(layer.pixels ** 0.5))
  stride = -(-x.shape.as_list()[1] // side) * max(1, side // SIDE)
  channels = x.shape.as_list()[-1]
  if layer.kernel == 1:
    patches = x[:, ::stride, ::stride]
  else:
    patches = tf.extract_image_patches(x, [1, layer.kernel, layer.kernel, 1],
                                       [1, stride, stride, 1], [1, 1, 1, 1], 'SAME')
  if layer.kind == 'depthwise':
    return tf.transpose(tf.reshape(patches, [-1, layer.kernel ** 2, channels]), [2, 0, 1])
  return tf.reshape(patches, [1, -1, layer.kernel ** 2 * channels])


def _moments(inputs):
  mean = tf.reduce_mean(inputs, 1, keepdims=True)
  centred = inputs - mean
  return BatchMoments(tf.matmul(centred, centred, transpose_a=True), mean[:, 0],
                      tf.shape(inputs)[1])


class MomentsAccumulator:
  """Joins the moments of batches."""

  def __init__(self):
    self._scatter = {}  # Layer -> sum over batches, float64 [G, I, I].
    self._means = collections.defaultdict(list)  # Layer -> float64 [G, I] of each batch.
    self._counts = collections.defaultdict(list)

  def add(self, batch):
    """Takes a dict layer -> `BatchMoments` of arrays."""
    for name, (scatter, mean, count) in batch.items():
      if name in self._scatter:
        self._scatter[name] += scatter
      else:
        self._scatter[name] = scatter.astype(np.float64)
      self._means[name].append(mean.astype(np.float64))
      self._counts[name].append(count)

  def moments(self):
    """Dict layer -> `Moments` of float64 arrays over all batches."""
    by_layer = {}
    for name, scatter in self._scatter.items():
      means = np.stack(self._means[name], axis=1)
      sums = means * np.float64(self._counts[name])[:, np.newaxis]
      by_layer[name] = Moments(scatter + np.matmul(sums.transpose(0, 2, 1), means),
                               sums.sum(axis=1), sum(self._counts[name]))
    return by_layer


def round_layer(kernel, halves, grid):
  """A kernel on its grid that changes the sums of a layer little.

  Args:
    kernel: float32 [G, I, O].
    halves: `Moments` of two sets of images.
    grid: `quantizers.Grid` of arrays [G, O].

  Returns:
    Array [G, I, O] and what is to be added to the bias, float64 [G, O].
  """
  first, second = map(_statistics, halves)
  both = _statistics(Moments(*[a + b for a, b in zip(*halves)]))

  def loss(of_first, of_second):
    return _loss(of_first - kernel, first, second) + _loss(of_second - kernel, second, first)

  nearest = _nearest(kernel, Grid(*[part[:, np.newaxis] for part in grid]))
  losses = {damping: loss(*[_compensated(kernel, own, grid, damping) for own in (first, second)])
            for damping in DAMPINGS}
  best = min(losses, key=losses.get)
  rounded = nearest
  if losses[best] < loss(nearest, nearest):
    rounded = _compensated(kernel, both, grid, best)
  return rounded, np.einsum('gi,gio->go', both.mean, kernel - rounded)


def _statistics(moments):
  """`Statistics` of `Moments`."""
  mean = moments.sums / moments.count
  square = moments.products / moments.count
  diagonal = np.einsum('gii->gi', square)
  covariance = square - mean[:, :, np.newaxis] * mean[:, np.newaxis]
  return Statistics(covariance, mean, _FLOOR * diagonal.mean(axis=1) + np.finfo(np.float32).tiny)


def _loss(error, own, other):
  """Mean square change of the sums on other images than those that the bias was corrected on."""
  shift = np.einsum('gi,gio->go', other.mean - own.mean, error)
  return np.sum(error * np.matmul(other.covariance, error)) + np.sum(np.square(shift))


def _nearest(values, grid):
  """The values of a `Grid` that are nearest to `values`."""
  step, lowest, highest = grid
  return np.clip(np.rint(values / step), lowest, highest) * step


def _compensated(kernel, statistics, grid, damping):
  """GPTQ: kernel [G, I, O] on its grid.

  Written with the factor U of the covariance U^T U instead of that of its inverse: a weight is
  rounded with the shift that makes up best for the errors of those that were rounded before.
  """
  diagonal = np.einsum('gii->gi', statistics.covariance)
  order = np.argsort(diagonal, axis=1)  # From the last on: inputs that vary most come first.
  factor = _factor(statistics, order, damping * diagonal.mean(axis=1) + statistics.floor)
  wanted = np.take_along_axis(kernel.astype(np.float64), order[:, :, np.newaxis], axis=1)
  rounded, error = np.empty_like(wanted), np.empty_like(wanted)
  for end in range(wanted.shape[1], 0, -_ROWS):
    begin = max(0, end - _ROWS)
    before = np.matmul(factor[:, begin:end, end:], error[:, end:])
    for i in range(end - 1, begin - 1, -1):
      own = np.matmul(factor[:, i:i + 1, i + 1:end], error[:, i + 1:end])
      shift = (before[:, i - begin] + own[:, 0]) / factor[:, i, i, np.newaxis]
      rounded[:, i] = _nearest(wanted[:, i] + shift, grid)
      error[:, i] = wanted[:, i] - rounded[:, i]
  return np.take_along_axis(rounded, np.argsort(order, axis=1)[:, :, np.newaxis], axis=1)


def _factor(statistics, order, added):
  """Upper triangular U [G, I, I] with U^T U the covariance in `order`, damped."""
  covariance = np.take_along_axis(statistics.covariance, order[:, :, np.newaxis], axis=1)
  covariance = np.take_along_axis(covariance, order[:, np.newaxis], axis=2)
  covariance = covariance + added[:, np.newaxis, np.newaxis] * np.eye(order.shape[1])
  return np.linalg.cholesky(covariance).transpose(0, 2, 1)
