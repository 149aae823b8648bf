"""What of each convolution is quantised, read from the graph."""

from typing import NamedTuple

QUANTIZERS = ('FakeQuantWithMinMaxVars', 'FakeQuantWithMinMaxVarsPerChannel')
_COPIES = ('Identity', 'Reshape', 'Squeeze', 'Switch')
# Batch norm, folded or not, a bias, and an activation that needs no range before it.
_AFTER_CONVOLUTION = ('FusedBatchNorm', 'FusedBatchNormV3', 'Mul', 'Add', 'AddV2', 'BiasAdd',
                      'Relu6', 'Identity')


class Convolution(NamedTuple):
  """What is quantised of a convolution."""
  name: str  # Scope of the layer, as in 'efficientnet_b0/expanded_conv_3/project'.
  kernel: bool
  input: bool
  output: bool  # Before or after the activation.


def report(convolutions):
  """List of `Convolution`, one for each op of a list."""
  return [Convolution(scope(op), _is_quantized(op.inputs[1]), _is_quantized(op.inputs[0]),
                      _is_quantized_later(op)) for op in convolutions]


def checked_report(convolutions):
  """As `report`.

  Raises:
    ValueError: the kernel of a convolution, or both its input and its output are float.
  """
  reported = report(convolutions)
  for each in reported:
    if not (each.kernel and (each.input or each.output)):
      raise ValueError('quantisation missed %s' % (each,))
  return reported


def refuse_quantizers(graph):
  """ValueError where the graph is quantised already."""
  if any(op.type in QUANTIZERS for op in graph.get_operations()):
    raise ValueError('the graph is quantised already')


def source(tensor):
  """The op that computed the values of a tensor: back through copies, delays and dropout."""
  op = tensor.op
  while True:
    if op.type in _COPIES:
      op = op.inputs[0].op
    elif op.type == 'Merge':
      op = op.inputs[1].op  # Of tf.cond: what holds when its condition does.
    elif op.type == 'Mul' and op.inputs[1].op.type == 'Floor':  # x / keep * floor(random + keep).
      op = op.inputs[0].op.inputs[0].op
    elif op.type == 'SelectV2' and op.inputs[1].op.type == 'Mul':  # Keep ? x * scale : 0.
      op = op.inputs[1].op.inputs[0].op
    else:
      return op


def scope(op):
  """Scope of the layer that an op belongs to."""
  return op.name.rpartition('/')[0]


def _is_quantized(tensor):
  return source(tensor).type in QUANTIZERS


def _is_quantized_later(op):
  """True where the results of a convolution reach a node."""
  readers = op.outputs[0].consumers()
  return any(reader.type in QUANTIZERS or
             reader.type in _AFTER_CONVOLUTION and _is_quantized_later(reader)
             for reader in readers)
