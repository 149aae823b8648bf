"""Weights with folded batch norm, made trainable again: batch norm by measured statistics.

With z = conv(x, W), the result of a convolution without its bias b, and any mean and variance,

    z + b = gamma * (z - mean) / sqrt(variance + eps) + beta
            for gamma = sqrt(variance + eps), beta = b + mean.

The function of the network does not depend on the statistics; its training does, where they must
be those of z. Nothing is divided: a channel that is (almost) constant, as EfficientNet has them,
gets gamma = sqrt(eps) = 0.03, and as eps is added to its variance in training too, it stays as
small as it is there.
"""

import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from conversion.checkpoint import load_variables
import data
from scripts.effnetb0.architecture import layers
from scripts.effnetb0.slim_names import (
    EPSILON, SCOPE, bias_names, has_batch_norm, kernel_name, variable_scope)
from scripts.runtime import new_session

UNKNOWN = (0.0, 1.0)  # Mean and variance that are as good as any for the function.


def live_variables(weights, table, statistics):
  """Variables of a network that computes what the folded weights compute.

  Args:
    weights: dict layer name -> `LayerWeights`.
    table: its layers, as `architecture.layers`.
    statistics: dict layer name -> (mean, variance), each [C]; UNKNOWN for a layer that is not in
      it.

  Returns:
    Dict name -> float32 array.
  """
  variables = {}
  for layer in table:
    kernel, bias = weights[layer.name]
    variables[kernel_name(layer)] = kernel
    values = [bias]
    if has_batch_norm(layer):
      values = _batch_norm(bias, *statistics.get(layer.name, UNKNOWN))
    variables.update(zip(bias_names(layer), values))
  return variables


def _batch_norm(bias, mean, variance):
  """gamma, beta, moving mean and moving variance, each float32 [C]."""
  # Rounded first, so that gamma and beta undo what is stored.
  mean, variance = (np.float32(value) + np.zeros_like(bias) for value in (mean, variance))
  gamma = np.sqrt(np.float64(variance) + EPSILON)
  return np.float32(gamma), np.float32(np.float64(bias) + mean), mean, variance


def measure(weights, network, classes, split, image_size, batch_size):
  """Statistics of every convolution with batch norm, in one pass over the images.

  Args:
    weights: dict layer name -> `LayerWeights`.
    network: the `nets_factory.Network` they are of.
    classes: outputs of its classifier.
    split: `dataset_utils.Split` of the images.
    image_size: pixels a side.
    batch_size: images at a time.

  Returns:
    Dict layer name -> (mean, variance), float64 [C] over the pixels of all images.

  Raises:
    UserError: an image cannot be read.
  """
  table = layers(network.architecture, image_size, classes)
  batches = _Batches()
  with data.explained_errors('image_size', split), tf.Graph().as_default() as graph, \
      new_session() as session:
    dataset = data.evaluation_batches(split, batch_size, image_size, 0, os.cpu_count())
    images, _ = dataset.make_one_shot_iterator().get_next()
    images.set_shape([None, image_size, image_size, 3])
    network.build(images, classes, is_training=False)
    moments = _image_moments(graph, table)
    load_variables(session, tf.global_variables(), live_variables(weights, table, {}))
    with tqdm.tqdm(total=split.count, desc='statistics', unit='image', leave=False) as progress:
      while batches.images < split.count:
        progress.update(batches.add(session.run(moments)))
  return batches.statistics()


def _image_moments(graph, table):
  """Dict layer name -> (mean, variance), float32 [N, C]: each image's result of the convolution."""
  moments = {}
  for layer in filter(has_batch_norm, table):
    convolution = graph.get_tensor_by_name('%s/%s/%s:0' % (
        SCOPE, variable_scope(layer), 'depthwise' if layer.kind == 'depthwise' else 'Conv2D'))
    moments[layer.name] = tf.nn.moments(convolution, [1, 2])
  return moments


class _Batches:
  """Sums over images, in float64."""

  def __init__(self):
    self.images = 0
    self._sums = collections.defaultdict(float)

  def add(self, batch):
    """Takes the moments of one batch, see `_image_moments`; returns its number of images."""
    for name, moments in batch.items():
      mean, variance = np.float64(moments)
      self._sums[name] += np.stack([mean, variance + mean ** 2]).sum(axis=1)
    self.images += len(mean)
    return len(mean)

  def statistics(self):
    """Dict name -> (mean, variance), [C]; all images have the same number of pixels."""
    by_layer = {}
    for name, (mean, square) in self._sums.items():
      mean, square = mean / self.images, square / self.images
      by_layer[name] = mean, np.maximum(square - mean ** 2, 0.0)
    return by_layer
