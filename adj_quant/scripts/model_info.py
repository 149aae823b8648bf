"""model_info.json: parameters and operations of every layer, `layer -> [params, flops]`.

    {"Conv": {"total": [864, 21676032]},
     "expanded_conv_0": {"dws": [...], "se_1": [...], "se_2": [...], "project": [...],
                         "total": [...]},
     ..., "Conv_1": {"total": [...]}, "output": {"total": [...]}, "total_bias": 31348}

`params` counts weights without biases, `flops` two for each multiply-accumulate, `total_bias` the
biases of all layers. Every number follows from architecture, image size and number of classes.
"""

from typing import NamedTuple

from scripts.effnetb0.architecture import block_name, layers
from scripts.errors import UserError
from scripts.files import read_json
from scripts.quant_info import flatten, nest

FLOPS_PER_MAC = 2
_LARGEST = 2**53  # Whole numbers up to here are exact as floats.


class ModelSize(NamedTuple):
  """What a model_info.json says of a network of known architecture."""
  image_size: int  # Pixels a side.
  classes: int


def model_info(architecture, image_size, classes):
  """The content of a model_info.json, as nested dicts of whole numbers."""
  table = layers(architecture, image_size, classes)
  flat, totals = {}, {}
  for layer in table:
    group, _, part = layer.name.partition('/')
    counts = (layer.params, FLOPS_PER_MAC * layer.macs)
    if part:
      flat[layer.name] = list(counts)
    totals.setdefault(group, []).append(counts)
  for group, counts in totals.items():
    flat[group + '/total'] = [sum(column) for column in zip(*counts)]
  nested = nest(flat)
  info = {group: nested[group] for group in totals}  # In the order of computation.
  info['total_bias'] = sum(layer.outputs for layer in table)
  return info


def read_model_info(path, architecture):
  """Image size and number of classes that the file at `path` was made for.

  Every number of the file is compared with those of the architecture at that size, so nothing
  else can be learnt from it. Flops may be one or two for each multiply-accumulate, throughout the
  file; whole numbers may be written as floats; block 0 may be called `expanded_conv` and may have
  an `expand` of [0, 0].

  Args:
    path: a model_info.json.
    architecture: the `Architecture` it must describe.

  Returns:
    `ModelSize`. An odd image size has the counts of the next even one, which is returned.

  Raises:
    UserError: naming the layer whose numbers do not fit.
  """
  source = 'model_info file %s' % path
  found = _numbers(read_json(path, 'model_info file'), source)
  flops_per_mac, image_size = _stem_scale(found.get('Conv/total'), architecture, source)
  classes = found.get('output/total', (0, 0))[0] // architecture.head
  if not classes:
    raise UserError('%s: layer output is missing or has no class' % source)
  expected = flatten(model_info(architecture, image_size, classes))
  unknown = set(found) - set(expected)
  if unknown:
    raise UserError('%s: layer %s is not part of %s'
                    % (source, _layer(min(unknown)), architecture.name))
  for name, counts in expected.items():
    if name != 'total_bias':
      counts = (counts[0], counts[1] // FLOPS_PER_MAC * flops_per_mac)
    if name not in found:
      raise UserError('%s: layer %s is missing' % (source, _layer(name)))
    if found[name] != counts:
      raise UserError('%s: layer %s has %s, expected %s of %s at %d px with %d classes'
                      % (source, _layer(name), found[name], counts, architecture.name,
                         image_size, classes))
  return ModelSize(image_size, classes)


def _layer(name):
  """'Conv/total' -> 'Conv', but 'expanded_conv_3/total' stays."""
  return name if name.startswith('expanded_conv') else name.replace('/total', '')


def _numbers(content, source):
  """`path -> (params, flops)` and 'total_bias' -> int of a JSON object, as whole numbers."""
  numbers = {}
  for name, value in flatten(content).items():
    if name.startswith('expanded_conv/'):
      name = name.replace('expanded_conv', block_name(0), 1)
    values = [value] if name == 'total_bias' else value
    if not (isinstance(values, list) and len(values) == (1 if name == 'total_bias' else 2)
            and all(_is_whole(number) for number in values)):
      raise UserError('%s: layer %s must be %s, not %.60r' % (
          source, _layer(name),
          'a whole number' if name == 'total_bias' else '[params, flops] in whole numbers', value))
    numbers[name] = int(value) if name == 'total_bias' else tuple(int(v) for v in value)
  if numbers.get(block_name(0) + '/expand') == (0, 0):
    del numbers[block_name(0) + '/expand']
  return numbers


def _is_whole(value):
  return (isinstance(value, (int, float)) and not isinstance(value, bool)
          and 0 <= value <= _LARGEST and value == int(value))


def _stem_scale(stem, architecture, source):
  """(flops a multiply-accumulate, image size) of the [params, flops] of the stem.

  The stem's output is square, and no square of whole numbers is twice another one, so one of the
  two conventions fits at most.
  """
  if stem is None:
    raise UserError('%s: layer Conv is missing' % source)
  params, flops = stem
  side_of_one = layers(architecture, 1, 1)[0]
  for flops_per_mac in (1, FLOPS_PER_MAC):
    side = int(round((flops / (side_of_one.macs * flops_per_mac)) ** 0.5))
    if params == side_of_one.params and flops == side_of_one.macs * flops_per_mac * side**2 > 0:
      return flops_per_mac, 2 * side
  raise UserError('%s: layer Conv has %s, which is no stem of %s with %d weights at any image size'
                  % (source, stem, architecture.name, side_of_one.params))
