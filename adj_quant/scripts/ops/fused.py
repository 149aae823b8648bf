"""The fused ops as functions of tensors, with their gradients.

Each computes in one pass what the method of its name of `network_quantizers.FloatQuantizer` and
`GridQuantizer` compute of the ops of TensorFlow 1.13.1, with the same bits under any TensorFlow
(CPU only); `stack.HAS_BITS_OF_FUSED_OPS` says what a current one computes otherwise. Gradients
belong to the types of the ops, so that a graph that was exported and imported again still trains,
once `load()` was called. A grid is float32 [3, C]: rows as the fields of `quantizers.Grid`.
"""

import ctypes
import functools
import os
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.ops import compilation

# Environment variable for tests: the instructions, a key of `compilation.INSTRUCTIONS`, that the
# ops are held to; those of the best kind that the processor has where it is not set.
VARIABLE = 'ADJ_QUANT_INSTRUCTIONS'


class Piece(NamedTuple):
  """A matrix in a vector."""
  rows: int
  channels: int
  first_channel: int  # Where its grid begins in that of all pieces; -1: it is not quantised.


def available():
  """True where the fused ops were compiled for this TensorFlow and these sources."""
  return os.path.exists(compilation.library_path())


@functools.lru_cache(maxsize=None)
def load():
  """The module of the compiled ops; once loaded, graphs that hold them can be imported.

  Raises:
    UserError: $ADJ_QUANT_INSTRUCTIONS names what this processor lacks, or nothing known.
  """
  ops = tf.load_op_library(compilation.library_path())
  wanted = os.environ.get(VARIABLE)
  if wanted and wanted not in compilation.INSTRUCTIONS:
    raise UserError('%s=%s: must be one of %s'
                    % (VARIABLE, wanted, ', '.join(compilation.INSTRUCTIONS)))
  if wanted and not use(wanted):
    raise UserError('%s=%s: this processor does not have these instructions' % (VARIABLE, wanted))
  return ops


def use(instructions):
  """Holds the ops of this process to a key of `compilation.INSTRUCTIONS`.

  Returns:
    False where the processor lacks these instructions.
  """
  return bool(ctypes.CDLL(compilation.library_path()).AdjQuantUse(instructions.encode()))


def activate(x, bias=None, in_grid=None, function='identity', skip=None, out_grid=None):
  """function(x + bias) + skip, onto grids (float32 [3, C]) before the function and at the end."""
  return _activate(x, bias=bias, in_grid=in_grid, function=function, skip=skip,
                   out_grid=out_grid)[0][0]


def activate_and_pool(x, bias, in_grid, function, keep):
  """function(x + bias) (None with keep=False) and its mean over the pixels."""
  y, mean = _activate(x, bias=bias, in_grid=in_grid, function=function, keep=keep, pool=True)
  return y[0] if keep else None, mean[0]


def scale(x, gate, out_grid):
  """x [N, H, W, C] * gate [N, 1, 1, C] onto a grid."""
  return _activate(x, gate=gate, out_grid=out_grid)[0][0]


def depthwise(x, kernel, stride):
  """Depthwise convolution with SAME padding: x [N, H, W, C], kernel [k, k, C, 1]."""
  return load().adj_depthwise(x, kernel, stride=stride)


def quantize_pieces(vector, grid, pieces):
  """Quantises matrices that lie one after another in a vector.

  Args:
    vector: float32 [sum of rows * channels].
    grid: float32 [3, T].
    pieces: list of `Piece`.

  Returns:
    float32 of the shape of `vector`.
  """
  rows, channels, first = (list(column) for column in zip(*pieces))
  return load().adj_quantize_pieces(vector, grid, rows=rows, channels=channels,
                                    first_channels=first)


def _activate(x, bias=None, in_grid=None, function='identity', gate=None, skip=None,
              out_grid=None, keep=True, pool=False):
  """The op AdjActivate: lists of y and of the mean, each of one tensor or empty."""
  bias, in_grid, gate, skip, out_grid = (
      [] if part is None else [part] for part in (bias, in_grid, gate, skip, out_grid))
  return load().adj_activate(x, bias, in_grid, gate, skip, out_grid, function=function,
                             Y=int(keep), M=int(pool))


@tf.RegisterGradient('AdjActivate')
def _activate_gradient(op, *gradients):
  counts = {name: op.get_attr(name) for name in 'BIGSOYM'}
  inputs = _cut(list(op.inputs), [1] + [counts[name] for name in 'BIGSO'])
  dy, dmean = _cut(list(gradients), [counts['Y'], counts['M']])
  dx, dbias, din, dgate, dout = load().adj_activate_grad(
      dy, dmean, inputs[0][0], *inputs[1:], function=op.get_attr('function'))
  # A skip is added to x (+ bias), so both have one gradient.
  return [dx] + dbias + din + dgate + [dx] * counts['S'] + dout


def _cut(values, lengths):
  pieces = []
  for length in lengths:
    pieces.append(values[:length])
    values = values[length:]
  return pieces


@tf.RegisterGradient('AdjQuantizePieces')
def _quantize_pieces_gradient(op, dy):
  attributes = {name: op.get_attr(name) for name in ('rows', 'channels', 'first_channels')}
  return load().adj_quantize_pieces_grad(dy, op.inputs[0], op.inputs[1], **attributes)


@tf.RegisterGradient('AdjDepthwise')
def _depthwise_gradient(op, dy):
  x, kernel = op.inputs
  stride = op.get_attr('stride')
  return (load().adj_depthwise_input_grad(dy, x, kernel, stride=stride),
          load().adj_depthwise_kernel_grad(dy, x, kernel, stride=stride))
