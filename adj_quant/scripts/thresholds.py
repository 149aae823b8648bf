"""Initial ranges: per-channel minimum and maximum of every quantised tensor of the float network.

One pass over the calibration images measures all activation nodes at once; the ranges of kernels
and biases are read from the weights. File format: node -> {"min": [C], "max": [C]}.
"""

import collections
import json

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0.network_quantizers import FloatQuantizer
from scripts.effnetb0 import architecture as arch
from scripts.effnetb0.nodes import Precision, act_node, nodes
from scripts.errors import UserError
from scripts.files import read_json, write_file


class RangeRecorder(FloatQuantizer):
  """A float network's quantiser that notes the extreme values of every tensor it is shown.

  Args:
    percentile: 100 for the exact minimum and maximum; less leaves out the (100 - percentile) %
      largest and as many smallest values that each channel of what convolutions read has over all
      `images`. The inputs of swish have bits for all of their range, and of means over the pixels
      there are few values: their extremes are always exact.
    images: number of images of all batches; may be left out for a percentile of 100.

  Raises:
    ValueError: images are missing.
  """

  def __init__(self, percentile=100.0, images=None):
    if percentile < 100.0 and images is None:
      raise ValueError('the percentile %g needs the number of images' % percentile)
    images = images or 0
    self._left_out = images * (100.0 - percentile) / 100.0  # Of a channel with a single pixel.
    self.extremes = collections.OrderedDict()  # Node -> (smallest, largest) [C, <= kept].
    self.kept = {}  # Node -> how many extremes are needed on either side.
    self.memory = 0  # Bytes of all that are needed.

  def swish_input(self, x, name):
    """Notes the exact range of x [..., C] under `name`."""
    axes = list(range(x.shape.ndims - 1))
    self._keep(x, name, 1)
    self.extremes[name] = (tf.reduce_min(x, axes)[:, tf.newaxis],
                           tf.reduce_max(x, axes)[:, tf.newaxis])
    return x

  def activation(self, x, name):
    """Notes the extremes of x [N, H, W, C] under `name`."""
    height, width = x.shape.as_list()[1:3]
    left_out = int(self._left_out * height * width + 1e-6)  # A product may fall short of a whole.
    if left_out == 0 or height * width == 1:
      return self.swish_input(x, name)
    self._keep(x, name, left_out + 1)
    columns = tf.transpose(tf.reshape(x, [-1, x.shape[-1]]))
    count = tf.minimum(left_out + 1, tf.shape(columns)[1])
    self.extremes[name] = (-tf.nn.top_k(-columns, count, sorted=False).values,
                           tf.nn.top_k(columns, count, sorted=False).values)
    return x

  observe = activation

  def _keep(self, x, name, count):
    self.kept[name] = count
    self.memory += 2 * count * int(x.shape[-1]) * np.dtype(np.float32).itemsize


class RangeAccumulator:
  """Joins the extremes of batches; the ranges do not depend on the size of the batches."""

  def __init__(self, kept):
    """Takes how many extremes of a node are needed, `RangeRecorder.kept`."""
    self._kept = kept
    self._extremes = {}  # Node -> [-smallest, largest], each [C, <= kept].

  def add(self, extremes):
    """Takes a dict node -> (smallest, largest) arrays [C, <= kept] of one batch."""
    for name, (low, high) in extremes.items():
      sides = -low, high
      if name in self._extremes:
        sides = [np.concatenate(pair, axis=1) for pair in zip(self._extremes[name], sides)]
      self._extremes[name] = [_largest(side, self._kept[name]) for side in sides]

  def ranges(self):
    """Dict node -> (min, max) float32 [C] over all batches, without what is left out."""
    return {name: (-low.min(axis=1), high.min(axis=1))
            for name, (low, high) in self._extremes.items()}


def _largest(values, count):
  """The `count` largest of each row of values [C, V], in no order; all where there are fewer."""
  if values.shape[1] <= count:
    return values
  return np.partition(values, -count, axis=1)[:, -count:]


def kernel_ranges(weights, architecture, classes):
  """Ranges of kernels per output channel.

  Args:
    weights: dict layer -> `LayerWeights` of arrays.

  Returns:
    Dict node -> (min [C], max [C]).
  """
  ranges = {}
  for layer in arch.layers(architecture, architecture.image_size, classes):
    kernel = weights[layer.name].weights
    axes = tuple(a for a in range(4) if a != layer.channel_axis)
    ranges[layer.name + '/weights'] = (kernel.min(axis=axes), kernel.max(axis=axes))
  return ranges


def bias_ranges(weights):
  """Ranges of biases, one each; they are always those of the bias itself, not of a file."""
  return {name + '/bias': (layer.bias.min(keepdims=True), layer.bias.max(keepdims=True))
          for name, layer in weights.items()}


def write_thresholds(path, ranges):
  """Writes dict node -> (min, max) arrays; float32 values survive the text exactly."""
  content = collections.OrderedDict(
      (name, {'min': _plain(low), 'max': _plain(high)}) for name, (low, high) in ranges.items())
  lines = ['%s: %s' % (json.dumps(n), json.dumps(r, sort_keys=True)) for n, r in content.items()]
  write_file(path, '{\n' + ',\n'.join(lines) + '\n}\n')


def _plain(values):
  """Shortest decimals that are read back to the same float32."""
  return [float(np.format_float_scientific(v, unique=True)) for v in np.asarray(values, np.float32)]


def read_thresholds(path):
  """Dict node -> (min, max) float32 arrays; raises UserError on a malformed file."""
  ranges = {}
  for name, entry in read_json(path, 'thresholds file').items():
    entry = entry if isinstance(entry, dict) else {}
    low, high = (_numbers(entry.get(key)) for key in ('min', 'max'))
    if low is None or high is None:
      raise UserError('%s: node %s must hold {"min": [...], "max": [...]}' % (path, name))
    if low.shape != high.shape or not np.all(np.isfinite([low, high])):
      raise UserError('%s: node %s needs finite min and max of one length' % (path, name))
    if np.any(low > high):
      raise UserError('%s: node %s has a min above its max' % (path, name))
    ranges[name] = (low, high)
  return ranges


def _numbers(value):
  """float32 [C] of a list of numbers, [1] of a number; None for anything else."""
  values = value if isinstance(value, list) else [value]
  if not all(type(each) in (int, float) for each in values):
    return None
  with np.errstate(over='ignore'):  # Infinity is refused.
    return np.array(values, np.float32)


def made_for(ranges, weights, architecture, classes):
  """False where `ranges` (of a thresholds file) has other ranges for kernels than `weights`."""
  own = kernel_ranges(weights, architecture, classes)
  return all(np.allclose(ranges[name], own[name], rtol=1e-3, atol=1e-6) for name in own
             if name in ranges and len(ranges[name][0]) == len(own[name][0]))


def complete_thresholds(ranges, path, weights, architecture, classes):
  """Ranges of every node of the network, from a thresholds file and the weights.

  Biases, and kernels that the file does not name, are measured. A skip addition that it does not
  name gets the sum of its operands' ranges, wider than needed: such nodes are returned as well.

  Args:
    ranges: dict node -> (min, max) as read from the file `path`.

  Returns:
    Dict node -> (min [C], max [C]) and the list of derived nodes.

  Raises:
    UserError: a node is missing or has the range of another number of channels.
  """
  known = kernel_ranges(weights, architecture, classes)
  known.update(ranges)
  known.update(bias_ranges(weights))
  derived = _derive_additions(known, architecture)
  complete = {}
  for node in nodes(architecture, classes, Precision()):
    if node.name not in known:
      raise UserError('%s: no thresholds for %s; make them with --eval_initial_thresholds'
                      % (path, node.name))
    if len(known[node.name][0]) != node.channels:
      raise UserError('%s: %s has thresholds for %d channels, the network has %d; make them with '
                      '--eval_initial_thresholds'
                      % (path, node.name, len(known[node.name][0]), node.channels))
    complete[node.name] = known[node.name]
  return complete, derived


def _derive_additions(known, architecture):
  derived = []
  for index, block in enumerate(architecture.blocks):
    name = arch.block_name(index)
    total = name + '/add/output'
    if not block.has_skip or total in known or index == 0:
      continue
    operands = (name + '/project/output', act_node(arch.block_name(index - 1) + '/project',
                                                   architecture))
    if all(o in known for o in operands):
      (low, high), (skip_low, skip_high) = (known[o] for o in operands)
      if len(low) == len(skip_low):
        known[total] = (low + skip_low, high + skip_high)
        derived.append(total)
  return derived
