"""model_info.json: parameters and operations of every layer, `layer -> [params, flops]`.

    {"Conv": {"total": [864, 21676032]},
     "expanded_conv_0": {"dws": [...], "se_1": [...], "se_2": [...], "project": [...],
                         "total": [...]},
     ..., "Conv_1": {"total": [...]}, "output": {"total": [...]}, "total_bias": 31348}

`params` counts weights without biases, `flops` two for each multiply-accumulate, `total_bias` the
biases of all layers. Every number follows from architecture, image size and number of classes.

In the method's repository of 2019 a layer is a list of two objects, parameters and operations:

    {"Conv": [{"total": 864}, {"total": 10838016.0}],
     "expanded_conv": [{"expand": 0, "dws": 288, "se_1": 264, ...}, {"expand": 0, ...}],
     ..., "Logits": [{"total": 1282281}, {"total": 1280000.0}], "total_bias": 21008}

There, operations are multiply-accumulates, biases of squeeze-excite and of the classifier are
counted with their layers, and `total_bias` has the others. Its classifier has 1001 outputs in the
parameters and 1000 in the operations. A second file of it counts gamma and beta of batch norm with
their layers as well and has no `total_bias`.
"""

from typing import NamedTuple

from scripts.effnetb0.architecture import CLASSIFIER, block_name, layers
from scripts.effnetb0.slim_names import has_batch_norm
from scripts.errors import UserError
from scripts.files import read_json
from scripts.quant_info import nest

FLOPS_PER_MAC = 2
_NORM_PARAMS = 2  # Gamma and beta of a channel.
_LARGEST = 2**53  # Whole numbers up to here are exact as floats.
_OTHER_NAMES = {'expanded_conv': block_name(0), 'Logits': CLASSIFIER}
_TOTAL_BIAS = 'total_bias'


class ModelSize(NamedTuple):
  """What a model_info.json says of a network of known architecture."""
  image_size: int  # Pixels a side.
  classes: int


class _Convention(NamedTuple):
  """What a file counts."""
  flops_per_mac: int = FLOPS_PER_MAC
  norm_params: int = 0  # Of batch norm, for each channel, counted with the layer.
  own_biases: bool = False  # Layers without batch norm count their biases.
  unused_outputs: int = 0  # Of the classifier, left out of its operations.


def model_info(architecture, image_size, classes):
  """The content of a model_info.json, as nested dicts of whole numbers."""
  table = layers(architecture, image_size, classes)
  nested = nest({name: list(counts) for name, counts in _counts(table, _Convention()).items()})
  info = {layer.name.partition('/')[0]: None for layer in table}  # In the order of computation.
  info.update(nested)
  info[_TOTAL_BIAS] = sum(layer.outputs for layer in table)
  return info


def _counts(table, convention):
  """Dict 'expanded_conv_0/dws', 'Conv/total' -> (params, flops) of a table of layers."""
  flat, totals = {}, {}
  for layer in table:
    group, _, part = layer.name.partition('/')
    extra = convention.norm_params if has_batch_norm(layer) else int(convention.own_biases)
    unused = convention.unused_outputs if layer.name == CLASSIFIER else 0
    counts = (layer.params + extra * layer.outputs,
              convention.flops_per_mac * layer.macs * (layer.outputs - unused) // layer.outputs)
    if part:
      flat[layer.name] = counts
    totals.setdefault(group, []).append(counts)
  for group, counts in totals.items():
    flat[group + '/total'] = tuple(sum(column) for column in zip(*counts))
  return flat


def read_model_info(path, architecture):
  """Image size and number of classes that the file at `path` was made for.

  Every number of the file is compared with those of the architecture at that size, so nothing
  else can be learnt from it. The forms of 2019 (see above) are read as well: flops may be one or
  two for each multiply-accumulate, throughout the file; whole numbers may be written as floats;
  block 0 may have an `expand` of 0.

  Args:
    path: a model_info.json.
    architecture: the `Architecture` it must describe.

  Returns:
    `ModelSize`. An odd image size has the counts of the next even one, which is returned.

  Raises:
    UserError: naming the layer whose numbers do not fit.
  """
  source = 'model_info file %s' % path
  stored = _numbers(read_json(path, 'model_info file'), source)
  flops_per_mac, norm_params, image_size = _stem_scale(
      stored.get('Conv/total'), architecture, source)
  classes, own_biases, unused = _classes(
      stored.get(CLASSIFIER + '/total'), architecture, flops_per_mac, source)
  table = layers(architecture, image_size, classes)
  expected = _counts(table, _Convention(flops_per_mac, norm_params, own_biases, unused))
  total_bias = stored.pop(_TOTAL_BIAS, None)
  unknown = set(stored) - set(expected)
  if unknown:
    raise UserError('%s: layer %s is not part of %s'
                    % (source, _layer(min(unknown)), architecture.name))
  for name, counts in expected.items():
    if name not in stored:
      raise UserError('%s: layer %s is missing' % (source, _layer(name)))
    if stored[name] != counts:
      raise UserError('%s: layer %s has %s, expected %s of %s at %d px with %d classes'
                      % (source, _layer(name), stored[name], counts, architecture.name,
                         image_size, classes))
  _check_total_bias(total_bias, table, norm_params, source)
  return ModelSize(image_size, classes)


def _check_total_bias(total_bias, table, norm_params, source):
  """Refuses other numbers than that of all biases and that of those made by batch norm."""
  every = sum(layer.outputs for layer in table)
  folded = sum(layer.outputs for layer in table if has_batch_norm(layer))
  if total_bias is None and not norm_params:
    raise UserError('%s: %s is missing' % (source, _TOTAL_BIAS))
  if total_bias not in (None, every, folded):
    raise UserError('%s: %s has %d, expected %d, or %d without squeeze-excite and classifier'
                    % (source, _TOTAL_BIAS, total_bias, every, folded))


def _layer(name):
  """'Conv/total' -> 'Conv', but 'expanded_conv_3/total' stays."""
  return name if name.startswith('expanded_conv') else name.replace('/total', '')


def _numbers(content, source):
  """`path -> (params, flops)` and 'total_bias' -> int of a JSON object, as whole numbers."""
  numbers = {}
  for group, parts in content.items():
    name = _OTHER_NAMES.get(group, group)
    if name != group and name in content:
      raise UserError('%s: %s and %s are one layer' % (source, group, name))
    if name == _TOTAL_BIAS:
      if not _is_whole(parts):
        raise UserError('%s: %s must be a whole number, not %.60r' % (source, name, parts))
      numbers[name] = int(parts)
      continue
    for part, pair in _pairs(parts, '%s: layer %s' % (source, group)).items():
      if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(_is_whole, pair))):
        raise UserError('%s: layer %s must be [params, flops] in whole numbers, not %.60r'
                        % (source, _layer('%s/%s' % (name, part)), pair))
      numbers['%s/%s' % (name, part)] = tuple(int(number) for number in pair)
  if numbers.get(block_name(0) + '/expand') == (0, 0):
    del numbers[block_name(0) + '/expand']
  return numbers


def _pairs(parts, where):
  """Dict part -> [params, flops] of a layer in either form."""
  if isinstance(parts, dict):
    return parts
  if (isinstance(parts, list) and len(parts) == 2
      and all(isinstance(counts, dict) for counts in parts) and set(parts[0]) == set(parts[1])):
    return {part: (parts[0][part], parts[1][part]) for part in parts[0]}
  raise UserError('%s must be {"total": [params, flops], ...}, or as in 2019 '
                  '[{"total": params, ...}, {"total": flops, ...}], not %.60r' % (where, parts))


def _is_whole(value):
  return (isinstance(value, (int, float)) and not isinstance(value, bool)
          and 0 <= value <= _LARGEST and value == int(value))


def _stem_scale(stem, architecture, source):
  """(flops a multiply-accumulate, params of batch norm a channel, image size) of the stem.

  The stem's output is square, and no square of whole numbers is twice another one, so one number
  of flops fits at most.
  """
  if stem is None:
    raise UserError('%s: layer Conv is missing' % source)
  params, flops = stem
  smallest = layers(architecture, 1, 1)[0]
  for flops_per_mac in (1, FLOPS_PER_MAC):
    side = int(round((flops / (smallest.macs * flops_per_mac)) ** 0.5))
    norm_params = (params - smallest.params) / smallest.outputs
    if norm_params in (0, _NORM_PARAMS) and flops == smallest.macs * flops_per_mac * side**2 > 0:
      return flops_per_mac, int(norm_params), 2 * side
  raise UserError('%s: layer Conv has %s, which is not a stem of %s with %d weights at any image '
                  'size' % (source, stem, architecture.name, smallest.params))


def _classes(classifier, architecture, flops_per_mac, source):
  """(classes, whether its biases are counted, outputs left out of the flops) of the classifier."""
  params, flops = classifier or (0, 0)
  used = flops // (architecture.head * flops_per_mac)
  if not params or not used:
    raise UserError('%s: layer output is missing or has no class' % source)
  for unused in (0, 1):
    for own_biases in (False, True):
      if params == (architecture.head + own_biases) * (used + unused):
        return used + unused, own_biases, unused
  raise UserError('%s: layer output has %s, which is not a classifier of %s with %d inputs'
                  % (source, (params, flops), architecture.name, architecture.head))
