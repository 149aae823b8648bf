"""Quantisation-aware training: contrib.quantize's fake-quantisation nodes and those it misses.

The rewrite of contrib.quantize (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018) has two steps: it folds each batch norm into the
kernel of its convolution, then puts 8-bit nodes after the folded kernels (`weights_quant`), after
the convolutions' results (`act_quant`) and after products that read quantised values
(`activation_Mul_quant`: swish, the scaling of squeeze-excite). Both steps are taken here, and four
things are done about them:

- Its ranges of kernels are per tensor, and ranges of folded channels differ by factors of a
  million in EfficientNet. So between the two steps every kernel gets contrib's own node with a
  range for each output channel, which the second step finds and lets be. Contrib ranges the last
  axis, so a depthwise kernel [k, k, C, 1] passes as [k, k, 1, C].
- It knows neither the sum of a block and its skip nor the mean over pixels, which convolutions read
  in squeeze-excite and in the classifier. They get nodes of the same kind after the second step.
  Then every convolution reads quantised values, but for the image, which has 8 bits as it comes.
- It counts delays in runs of the graph. Here they count in global steps, which several workers
  share and a new run continues.
- It keeps a count of batches and a sum for each end of each range, a third of all nodes of the
  graph and of the time to build it. Here one count serves all, and the averages are the same.

A rewrite changes the whole graph in place: call it once, for one tower, before gradients are made.
"""

import contextlib
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from contrib import fold_batch_norms, quant_ops, quantize, quantize_common
from nets.counting import CONVOLUTIONS

BITS = 8
# Collection of the variables that hold the ranges of kernels, to which every run sets them.
KERNEL_RANGES = 'kernel_ranges'
BATCHES = 'quantization_batches'  # Variable that counts those the ranges of activations have seen.
_QUANTIZERS = ('FakeQuantWithMinMaxVars', 'FakeQuantWithMinMaxVarsPerChannel')
_MISSED = ('AddN', 'Mean')
_COPIES = ('Identity', 'Reshape', 'Squeeze', 'Switch')
# Batch norm, folded or not, a bias, and an activation that needs no range before it.
_AFTER_CONVOLUTION = ('FusedBatchNorm', 'Mul', 'Add', 'BiasAdd', 'Relu6', 'Identity')


class Convolution(NamedTuple):
  """What is quantised of a convolution."""
  name: str  # Scope of the layer, as in 'efficientnet_b0/expanded_conv_3/project'.
  kernel: bool
  input: bool
  output: bool  # Before or after the activation.


def quantize_training(graph, quant_delay=0, freeze_batch_norm_delay=None):
  """Rewrites a graph with a network in training mode.

  The ranges of kernels are those of the kernels, the ranges of activations move with the batches,
  in every step from the first one.

  Args:
    graph: a tf.Graph without gradients.
    quant_delay: global step that is the first to compute with quantised values.
    freeze_batch_norm_delay: global step that is the first to use the moving statistics of batch
      norm instead of the batch's, and to leave them as they are; None: never.

  Raises:
    ValueError: a convolution was missed, or the graph is quantised already.
  """
  with graph.as_default(), _averages_by_one_count():
    if quant_delay or freeze_batch_norm_delay is not None:
      _delay_by_global_step()
    _rewrite(graph, True, quant_delay, freeze_batch_norm_delay)


def quantize_evaluation(graph):
  """Rewrites a graph with a network in evaluation mode.

  Its variables are among those of the training graph, under the same names.

  Args:
    graph: a tf.Graph.

  Raises:
    ValueError: a convolution was missed, or the graph is quantised already.
  """
  with graph.as_default():
    _rewrite(graph, False, 0, None)


def report(graph):
  """What is quantised of each convolution: list of `Convolution` in the order of the graph."""
  return [Convolution(_scope(op), _is_quantized(op.inputs[1]), _is_quantized(op.inputs[0]),
                      _is_quantized_later(op)) for op in _convolutions(graph)]


def _delay_by_global_step():
  """Makes contrib take the global step for its count of runs, which it looks up by this name."""
  with tf.name_scope(None):
    tf.identity(tf.train.get_or_create_global_step(), name='fake_quantization_step/Identity')


class _Averages:
  """In place of the module `moving_averages`: all averages of a graph by one count of batches.

  For values v[1] to v[t], the sum b[t] = decay * b[t - 1] + (1 - decay) * v[t] from b[0] = 0 gives
  the average u[t] = b[t] / (1 - decay^t) (Kingma and Ba, "Adam", 2015, section 3), which is

      u[t] = u[t - 1] + (v[t] - u[t - 1]) * (1 - decay) / (1 - decay^t).

  So the first value replaces whatever a variable had before.
  """

  def __init__(self):
    count = tf.get_variable(BATCHES, [], tf.int64, tf.zeros_initializer(), trainable=False)
    self._batches = tf.cast(tf.assign_add(count, 1), tf.float64)  # t.
    self._rates = {}  # Decay -> float32 [], the last factor.

  def assign_moving_average(self, variable, value, decay, name):
    """The average of the values of a tensor [], moved in `variable`."""
    if decay not in self._rates:
      rate = (1.0 - decay) / (1.0 - tf.pow(tf.constant(decay, tf.float64), self._batches))
      self._rates[decay] = tf.cast(rate, tf.float32)
    return tf.assign_sub(variable, (variable - value) * self._rates[decay], name=name)


@contextlib.contextmanager
def _averages_by_one_count():
  """Makes contrib take `_Averages`, for which it has no parameter."""
  original = quant_ops.moving_averages
  quant_ops.moving_averages = _Averages()
  try:
    yield
  finally:
    quant_ops.moving_averages = original


def _rewrite(graph, is_training, quant_delay, freeze_batch_norm_delay):
  if any(op.type in _QUANTIZERS for op in graph.get_operations()):
    raise ValueError('the graph is quantised already')
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
  for each in report(graph):
    if not (each.kernel and (each.input or each.output)):
      raise ValueError('the rewrite missed %s' % (each,))


def _quantize_kernel(op, is_training, quant_delay):
  """The kernel of a convolution, quantised; nothing reads it yet."""
  kernel, name = op.inputs[1], _scope(op) + '/weights_quant'
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
  sources = [_source(op.inputs[0]) for op in convolutions]
  return sorted({op for op in sources if op.type in _MISSED}, key=lambda op: op.name)


def _source(tensor):
  """The op that computed the values of a tensor: back through copies, delays and dropout."""
  op = tensor.op
  while True:
    if op.type in _COPIES:
      op = op.inputs[0].op
    elif op.type == 'Merge':
      op = op.inputs[1].op  # Of tf.cond: what holds when its condition does.
    elif op.type == 'Mul' and op.inputs[1].op.type == 'Floor':  # x / keep * floor(random + keep).
      op = op.inputs[0].op.inputs[0].op
    else:
      return op


def _is_quantized(tensor):
  return _source(tensor).type in _QUANTIZERS


def _is_quantized_later(op):
  """True where the results of a convolution reach a node."""
  readers = op.outputs[0].consumers()
  return any(reader.type in _QUANTIZERS or
             reader.type in _AFTER_CONVOLUTION and _is_quantized_later(reader)
             for reader in readers)


def _scope(op):
  return op.name.rpartition('/')[0]
