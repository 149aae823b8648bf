"""contrib.quantize's rewrite of a graph, and what it misses.

The rewrite has two steps: it folds each batch norm into the kernel of its convolution, then puts
nodes after kernels, convolutions' results and products. Both steps are taken here, and four things
are done about them:

- Its ranges of kernels are per tensor. So between the two steps every kernel gets contrib's own
  node with a range for each output channel, which the second step finds and lets be. Contrib ranges
  the last axis, so a depthwise kernel [k, k, C, 1] passes as [k, k, 1, C].
- It knows neither the sum of a block and its skip nor the mean over pixels, which convolutions read
  in squeeze-excite and in the classifier. They get nodes of the same kind after the second step.
- It counts delays in runs of the graph. Here they count in global steps.
- It keeps a count of batches and a sum for each end of each range, a third of all nodes of the
  graph and of the time to build it. Here one count serves all, and the averages are the same.

A rewrite changes the whole graph in place.
"""

import contextlib

import tensorflow.compat.v1 as tf

from contrib import fold_batch_norms, quant_ops, quantize, quantize_common
from nets.counting import CONVOLUTIONS
from nets.float_layers import FloatLayers
from quantization import coverage
from quantization.ranges import BITS, KERNEL_RANGES, Averages

_MISSED = ('AddN', 'Mean')


class ContribRewrite(FloatLayers):
  """Layers of a float network, whose graph is rewritten when it is finished."""

  def __init__(self, is_training, quant_delay, freeze_batch_norm_delay):
    self._options = (is_training, quant_delay, freeze_batch_norm_delay)
    self.ranges = []  # Variables that quantisation adds.

  def finish(self, graph):
    """Rewrites a graph without gradients; a list of `coverage.Convolution`.

    Raises:
      ValueError: a convolution was missed, or the graph is quantised already.
    """
    is_training, quant_delay, freeze_batch_norm_delay = self._options
    with graph.as_default():
      before = tf.global_variables()
      if is_training:
        if quant_delay or freeze_batch_norm_delay is not None:
          _delay_by_global_step()
        with _averages_by_one_count():
          reported = _rewrite(graph, *self._options)
      else:
        reported = _rewrite(graph, *self._options)
      self.ranges = [v for v in tf.global_variables() if not any(v is old for old in before)]
    return reported


def _delay_by_global_step():
  """Makes contrib take the global step for its count of runs, which it looks up by this name."""
  with tf.name_scope(None):
    tf.identity(tf.train.get_or_create_global_step(), name='fake_quantization_step/Identity')


@contextlib.contextmanager
def _averages_by_one_count():
  """Makes contrib take `Averages` for its module `moving_averages`; it has no parameter for it."""
  original = quant_ops.moving_averages
  quant_ops.moving_averages = Averages()
  try:
    yield
  finally:
    quant_ops.moving_averages = original


def _rewrite(graph, is_training, quant_delay, freeze_batch_norm_delay):
  """List of `coverage.Convolution`."""
  coverage.refuse_quantizers(graph)
  fold_batch_norms.FoldBatchNorms(graph, is_training, freeze_batch_norm_delay)
  convolutions = _convolutions(graph)
  kernels = [_quantize_kernel(op, is_training, quant_delay) for op in convolutions]
  # Finds the kernels quantised and leaves them alone; their convolutions read the plain ones still,
  # or it would not know them.
  quantize.Quantize(graph, is_training, weight_bits=BITS, activation_bits=BITS,
                    quant_delay=quant_delay)
  for op, kernel in zip(convolutions, kernels):
    quantize_common.RerouteTensor(kernel, op.inputs[1], can_modify=[op])
  for op in _missed(convolutions):
    _quantize_output(op, is_training, quant_delay)
  return coverage.checked_report(_convolutions(graph))


def _quantize_kernel(op, is_training, quant_delay):
  """The kernel of a convolution, quantised; nothing reads it yet."""
  kernel, name = op.inputs[1], coverage.scope(op) + '/weights_quant'
  shape = kernel.shape.as_list()
  if op.type == 'DepthwiseConv2dNative':
    kernel = tf.reshape(kernel, shape[:2] + [1, shape[2] * shape[3]])
  quantized = quant_ops.LastValueQuantize(
      kernel, per_channel=True, is_training=is_training, num_bits=BITS, narrow_range=True,
      vars_collection=KERNEL_RANGES, name_prefix=name)
  return tf.reshape(_delayed(quantized, kernel, quant_delay, name), shape)


def _quantize_output(op, is_training, quant_delay):
  """Inserts a quantiser between an op and everything that reads it."""
  tensor, name = op.outputs[0], op.name + '_quant'
  readers = tensor.consumers()
  quantized = quant_ops.MovingAvgQuantize(tensor, is_training=is_training, num_bits=BITS,
                                          name_prefix=name)
  quantize_common.RerouteTensor(_delayed(quantized, tensor, quant_delay, name), tensor,
                                can_modify=readers)


def _delayed(quantized, tensor, quant_delay, name):
  """`quantized` from global step `quant_delay` on, `tensor` before."""
  if not quant_delay:
    return quantized
  is_active = tf.greater_equal(quantize_common.CreateOrGetQuantizationStep(), quant_delay)
  return tf.cond(is_active, lambda: quantized, lambda: tensor, name=name + '/delayed_quant')


def _convolutions(graph):
  """The convolutions whose results are used, not those that a fold left for batch statistics."""
  return [op for op in graph.get_operations()
          if op.type in CONVOLUTIONS and not any(_is_folded(r) for r in op.outputs[0].consumers())]


def _is_folded(op):
  """True for a batch norm whose result nobody reads; gradients ask for its shape."""
  return op.type == 'FusedBatchNorm' and all(
      reader.type in ('Shape', 'ZerosLike') for reader in op.outputs[0].consumers())


def _missed(convolutions):
  """The sums and means that convolutions read in float, each once."""
  sources = [coverage.source(op.inputs[0]) for op in convolutions]
  return sorted({op for op in sources if op.type in _MISSED}, key=lambda op: op.name)
