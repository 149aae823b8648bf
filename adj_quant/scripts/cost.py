"""Parameters and operations of a quantised network, counted from its bits by two sets of rules.

The published count is what the authors of the method optimised and reported; the official count
applies the rules of the MicroNet Challenge 2019 strictly to fake quantisation with float
accumulation. Both are scored by `params / 6.9e6 + ops / 1170e6`, where a parameter is 32 bits and
an operation costs the larger bit-width of its two inputs over 32.
"""

import collections
from typing import NamedTuple

import numpy as np

from scripts.effnetb0.architecture import block_name, layers
from scripts.effnetb0.nodes import FLOAT
from scripts.quant_info import DEFAULT_BITS

METRIC_PARAMS = 6.9e6  # Parameters and operations of MobileNetV2-1.4, which scores 2.
METRIC_OPS = 1170e6
WORD = 32  # Bits of one counted parameter or operation.
IMAGE_BITS = 8
# What the quantiser of a channel stores: scale 32, zero point 8 and, where learnt, bit-width 3.
FIXED_QUANTIZER_BITS = 32 + 8
LEARNT_QUANTIZER_BITS = FIXED_QUANTIZER_BITS + 3
# Swish is 3 multiplications and an addition, sigmoid 2 and one. Relu6 is not in the rules: it is
# charged its 2 comparisons, with 0 and with 6, because each has two float inputs like an addition.
OFFICIAL_OPS = {'swish': 4, 'sigmoid': 3, 'relu6': 2}
PUBLISHED_SWISH_OPS = 3  # At the bits of the swish input; sigmoid and relu6 are free there.


class Count(NamedTuple):
  """Parameters in words of 32 bits, operations in those of 32 bits, for one image."""
  params: float
  ops: float

  @property
  def metric(self):
    """The score of the challenge, lower is better."""
    return self.params / METRIC_PARAMS + self.ops / METRIC_OPS


class Parts(NamedTuple):
  """What a count consists of, in words and operations of 32 bits; the first three are params."""
  weights: float
  biases: float
  quantizers: float
  multiplications: float
  additions: float
  nonlinearities: float
  pools: float
  scaling: float
  skips: float

  @property
  def count(self):
    """The sums, a `Count`."""
    return Count(sum(self[:3]), sum(self[3:]))


class Counts(NamedTuple):
  """The counts of one network, made from the same bits."""
  published: Count
  official: Count
  official_without_quantizer_storage: Count


class MeanBits(NamedTuple):
  """Average bits; 32 is counted for a channel that is not quantised.

  Activations are the tensors named in quant_info.json, so without the image and the inputs of
  swish and sigmoid. `by_ops` weights a layer with its multiply-accumulates.
  """
  mean_weight_bits: float  # Every output channel of every layer counts the same.
  mean_act_bits: float  # Every channel counts the same.
  mean_weight_bits_by_params: float
  mean_weight_bits_by_ops: float
  mean_act_bits_by_ops: float


def mean_max(weight, act):
  """Mean of max(w, a) over all pairs of an element w of `weight` and a of `act`.

  Exact, from the number of channels with at most t bits: E[max] = 32 - sum over t < 32 of
  P(w <= t) P(a <= t).

  Args:
    weight: int [out], 0 to 32.
    act: int [in], 0 to 32.
  """
  weight_up_to, act_up_to = [np.cumsum(np.bincount(bits, minlength=WORD + 1))
                             for bits in (weight, act)]
  pairs = len(weight) * len(act)
  return WORD - float(weight_up_to[:WORD].dot(act_up_to[:WORD])) / pairs


def pair_bits(layer, bits):
  """Mean bits of a multiplication in `layer`: over all channel pairs, for depthwise over channels.

  Args:
    layer: a `Layer`.
    bits: dict layer name -> `LayerBits`.
  """
  weight = bits[layer.name].weight
  act = np.array([IMAGE_BITS]) if layer.reads == 'image' else bits[layer.reads].act
  if layer.kind == 'depthwise':
    return float(np.maximum(weight, act).mean())
  return mean_max(weight, act)


def input_bits(settings, layer):
  """Bits int [out] of the input of the swish or sigmoid behind `layer`, and whether learnt."""
  if not isinstance(settings.swish_bits, dict):
    return np.full(layer.outputs, settings.swish_bits), False
  if layer.name in settings.swish_bits:
    return np.asarray(settings.swish_bits[layer.name]), True
  return np.full(layer.outputs, DEFAULT_BITS), False


def quantizer_storage(layer, bits, settings):
  """Bits that the quantisers of all quantised channels of `layer` and its output store."""
  weight, act = bits[layer.name]
  quantizers = [(weight, settings.learnt_weight_bits)]
  if act is not None:
    quantizers.append((act, settings.learnt_act_bits))
  if layer.nonlinearity in ('swish', 'sigmoid'):
    quantizers.append(input_bits(settings, layer))
  return sum(np.count_nonzero(channels != FLOAT)
             * (LEARNT_QUANTIZER_BITS if learnt else FIXED_QUANTIZER_BITS)
             for channels, learnt in quantizers)


def published_by_layer(bits, settings, architecture):
  """The published count: multiply and add at the multiplication's bits, swish, nothing else.

  Args:
    bits: dict layer name -> `LayerBits`; the classifier's tells the number of classes.
    settings: `Settings` with image size, bits of biases and of swish inputs.
    architecture: the `Architecture` that `bits` belongs to.

  Returns:
    OrderedDict layer name -> `Parts`, in the order of computation.
  """
  parts = collections.OrderedDict()
  for layer in layers(architecture, settings.image_size, len(bits['output'].weight)):
    multiplications = layer.macs * pair_bits(layer, bits) / WORD
    swish = (PUBLISHED_SWISH_OPS * layer.pixels * float(input_bits(settings, layer)[0].sum())
             if layer.nonlinearity == 'swish' else 0.0)
    parts[layer.name] = Parts(
        weights=layer.params * float(bits[layer.name].weight.mean()) / WORD,
        biases=layer.outputs * settings.bias_bits / WORD,
        quantizers=0.0,
        multiplications=multiplications,
        additions=multiplications,
        nonlinearities=swish / WORD,
        pools=0.0, scaling=0.0, skips=0.0)
  return parts


def official_by_layer(bits, settings, architecture):
  """The official count: storage of the quantisers, and all but multiplications at 32 bits.

  Pools, scaling and skip additions are counted at the layer whose output they work on.

  Args and Returns: those of `published_by_layer`.
  """
  table = layers(architecture, settings.image_size, len(bits['output'].weight))
  scaled = [layer.reads for layer in table if layer.name.endswith('/se_1')]
  skips = [block_name(index) + '/project'
           for index, block in enumerate(architecture.blocks) if block.has_skip]
  parts = published_by_layer(bits, settings, architecture)
  for layer in table:
    elements = float(layer.outputs * layer.pixels)
    parts[layer.name] = parts[layer.name]._replace(
        quantizers=quantizer_storage(layer, bits, settings) / WORD,
        additions=float(layer.macs),
        nonlinearities=OFFICIAL_OPS.get(layer.nonlinearity, 0) * elements,
        pools=elements * (layer.name in scaled or layer.name == 'Conv_1'),
        scaling=elements * (layer.name in scaled),
        skips=elements * (layer.name in skips))
  return parts


def published_parts(bits, settings, architecture):
  """`Parts` of the published count of a network; arguments as for `published_by_layer`."""
  return _total(published_by_layer(bits, settings, architecture))


def official_parts(bits, settings, architecture):
  """`Parts` of the official count of a network; arguments as for `published_by_layer`."""
  return _total(official_by_layer(bits, settings, architecture))


def _total(by_layer):
  return Parts(*[sum(column) for column in zip(*by_layer.values())])


def part_labels(architecture):
  """What each part of a count is called: `Parts` of texts."""
  return Parts('weights', 'biases', 'quantisers', 'multiplications', 'additions',
               architecture.activation + ', sigmoid', 'pools', 'SE scaling', 'skips')


def count(bits, settings, architecture):
  """`Counts` of a network; arguments as for `published_by_layer`."""
  official = official_parts(bits, settings, architecture)
  return Counts(published_parts(bits, settings, architecture).count, official.count,
                official._replace(quantizers=0.0).count)


def mean_bits(bits, settings, architecture):
  """`MeanBits` of a network; arguments as for `published_by_layer`."""
  table = layers(architecture, settings.image_size, len(bits['output'].weight))
  weights = [bits[layer.name].weight for layer in table]
  means = [weight.mean() for weight in weights]
  acts = [layer_bits.act for layer_bits in bits.values() if layer_bits.act is not None]
  readers = [layer for layer in table if layer.reads != 'image']
  return MeanBits(
      float(np.concatenate(weights).mean()),
      float(np.concatenate(acts).mean()),
      float(np.average(means, weights=[layer.params for layer in table])),
      float(np.average(means, weights=[layer.macs for layer in table])),
      float(np.average([bits[layer.reads].act.mean() for layer in readers],
                       weights=[layer.macs for layer in readers])))


def as_json(bits, settings, architecture):
  """Both counts and the mean bits as one dict of numbers."""
  counts = count(bits, settings, architecture)._asdict()
  result = {name: dict(each._asdict(), metric=each.metric) for name, each in counts.items()}
  result.update(mean_bits(bits, settings, architecture)._asdict())
  result.update(architecture=architecture.name, image_size=settings.image_size,
                classes=len(bits['output'].weight))
  return result


def as_text(bits, settings, architecture):
  """Both counts with their parts and the mean bits as a table."""
  parts = (published_parts(bits, settings, architecture),
           official_parts(bits, settings, architecture))
  published, official, unstored = count(bits, settings, architecture)
  means = mean_bits(bits, settings, architecture)
  rows = [_row('  ' + label, '{:,.1f}', *values)
          for label, *values in zip(part_labels(architecture), *parts)]
  return '\n'.join(
      ['%s, %d px, %d classes; params and ops in units of 32 bits'
       % (architecture.name, settings.image_size, len(bits['output'].weight)),
       _row('', '{}', 'published', 'official'),
       _row('params', '{:,.1f}', published.params, official.params)] + rows[:3]
      + [_row('ops', '{:,.1f}', published.ops, official.ops)] + rows[3:]
      + [_row('metric', '{:.6f}', published.metric, official.metric),
         _row('  without stored quantisers', '{:.6f}', None, unstored.metric),
         '',
         _row('mean bits', '{}', 'weights', 'activations'),
         _row('  per channel', '{:.4f}', means.mean_weight_bits, means.mean_act_bits),
         _row('  weighted by parameters', '{:.4f}', means.mean_weight_bits_by_params, None),
         _row('  weighted by operations', '{:.4f}', means.mean_weight_bits_by_ops,
              means.mean_act_bits_by_ops)])


def _row(label, form, *values):
  """A line of the table; None leaves its column empty."""
  cells = ['' if value is None else form.format(value) for value in values]
  return ('%-28s' % label + ''.join('%17s' % cell for cell in cells)).rstrip()
