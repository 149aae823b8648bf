"""quant_info.json: the bits of every channel of a network, from which its cost follows.

    {"Conv": {"weight": [bits...], "act": [bits...]},
     "expanded_conv_3": {"expand": {"weight": [...], "act": [...]}, "dws": {...}, ...},
     ..., "output": {"weight": [...]}, "settings": {...}}

`weight` has an entry for each output channel of the layer, `act` for each channel of the tensor
that the layers with `reads` equal to this layer read. `settings` holds what differs from
`Settings()` and is left out where nothing does.

Files of the method's repository of 2019 are read as well: bits are floats; one number stands for
all channels where bits were not trained (for the classifier those of 1000 classes); what does not
exist has the bits 0.0, `expand` of block 0 and `act` of the classifier.
"""

import json
from typing import Dict, NamedTuple, Optional, Sequence, Union

import numpy as np

from scripts.effnetb0.architecture import ARCHITECTURES, layers
from scripts.effnetb0.nodes import FLOAT, MAX_BITS, MIN_BITS
from scripts.errors import UserError
from scripts.files import read_json, write_file
from scripts.json_checks import FLAG, Rule, check_object, one_of, whole

CHANNEL_BITS = tuple(range(MIN_BITS, MAX_BITS + 1)) + (FLOAT,)
DEFAULT_BITS = 8  # Of biases and of the inputs of swish and sigmoid.
_PLACEHOLDERS = ('expanded_conv_0/expand/weight', 'expanded_conv_0/expand/act', 'output/act')
_CLASSES = 1000  # Of a classifier with one number for all channels.


class LayerBits(NamedTuple):
  """Whole bits, 2 to 8 or 32, for each output channel of a layer."""
  weight: np.ndarray  # int [out]
  act: Optional[np.ndarray]  # int [out]; None for the classifier.


class Settings(NamedTuple):
  """What the cost depends on besides the bits of weights and activations."""
  architecture: str = 'eff_b0'  # A key of ARCHITECTURES.
  image_size: int = 224
  # Inputs of swish and sigmoid: one number for all, or the learnt bits [out] of each layer; a
  # sigmoid that the dict leaves out has DEFAULT_BITS.
  swish_bits: Union[int, Dict[str, Sequence[int]]] = DEFAULT_BITS
  bias_bits: int = DEFAULT_BITS
  learnt_weight_bits: bool = True  # False: the bits of all weights were given by the user.
  learnt_act_bits: bool = True


class QuantInfo(NamedTuple):
  """The content of a quant_info.json."""
  bits: Dict[str, LayerBits]  # By the layer names of architecture.layers().
  settings: Settings


def flatten(tree, prefix=''):
  """{'a': {'b': x}, 'c': y} -> {'a/b': x, 'c': y}."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      flat.update(flatten(value, prefix + key + '/'))
    else:
      flat[prefix + key] = value
  return flat


def nest(flat):
  """The inverse of `flatten`."""
  tree = {}
  for path, value in flat.items():
    *groups, leaf = path.split('/')
    node = tree
    for group in groups:
      node = node.setdefault(group, {})
    node[leaf] = value
  return tree


def read_quant_info(path):
  """The checked `QuantInfo` of the file at `path`.

  Raises:
    UserError: the file cannot be read, a layer is missing or unknown, has another number of
      channels than the architecture, or bits other than 2 to 8 and 32.
  """
  return _parse(read_json(path, 'quant_info file'), 'quant_info file %s' % path)


def write_quant_info(path, bits, settings=Settings()):
  """Writes what `read_quant_info` reads back; raises UserError for what it would refuse."""
  checked = _parse(_content(bits, settings), 'quant_info file %s' % path)
  write_file(path, json.dumps(_content(*checked)) + '\n')


def _content(bits, settings):
  """The JSON object of a quant_info.json."""
  content = nest({'%s/%s' % (name, kind): np.asarray(values).tolist()
                  for name, layer_bits in bits.items()
                  for kind, values in layer_bits._asdict().items() if values is not None})
  changed = {key: value for key, value in settings._asdict().items()
             if value != getattr(Settings(), key)}
  if isinstance(settings.swish_bits, dict):
    changed['swish_bits'] = {name: np.asarray(values).tolist()
                             for name, values in settings.swish_bits.items()}
  if changed:
    content['settings'] = changed
  return content


def _parse(content, source):
  """The `QuantInfo` of a JSON object; `source` opens the messages."""
  settings = Settings(**check_object(content.get('settings', {}), _SETTINGS,
                                     source + ': settings', may_lack=True))
  flat = flatten({key: value for key, value in content.items() if key != 'settings'})
  for name in _PLACEHOLDERS:
    if _is_number(flat.get(name)) and flat[name] == 0:
      del flat[name]
  for kind, key in (('weight', 'learnt_weight_bits'), ('act', 'learnt_act_bits')):
    given = [_is_number(value) for name, value in flat.items() if name.endswith('/' + kind)]
    if all(given) and key not in content.get('settings', {}):
      settings = settings._replace(**{key: False})
  classifier = flat.get('output/weight')
  if not _is_number(classifier) and not (isinstance(classifier, list) and classifier):
    raise UserError('%s: layer output: needs "weight", the bits of every class; is '
                    'it a quant_info.json of eval.py?' % source)
  classes = len(classifier) if isinstance(classifier, list) else _CLASSES
  architecture = ARCHITECTURES[settings.architecture]
  table = layers(architecture, settings.image_size, classes)
  bits = {}
  for layer in table:
    weight, act = [_channel_bits(flat.pop('%s/%s' % (layer.name, kind), None), layer, kind, source)
                   if (layer.name, kind) != ('output', 'act') else None
                   for kind in LayerBits._fields]
    bits[layer.name] = LayerBits(weight, act)
  if flat:
    raise UserError('%s: %s is not part of %s; is it a file of another architecture?'
                    % (source, min(flat), architecture.name))
  if isinstance(settings.swish_bits, dict):
    settings = settings._replace(
        swish_bits=_swish_bits(settings.swish_bits, architecture, table, source))
  return QuantInfo(bits, settings)


def _channel_bits(values, layer, kind, source):
  """`values` as an int array [layer.outputs]."""
  where = '%s: layer %s' % (source, layer.name)
  if _is_number(values):
    values = [values] * layer.outputs
  if not isinstance(values, list):
    raise UserError('%s: "%s", a list of the bits of every channel, is missing' % (where, kind))
  if len(values) != layer.outputs:
    raise UserError('%s: "%s" has %d channels, expected %d'
                    % (where, kind, len(values), layer.outputs))
  for value in values:
    if not _is_number(value) or value not in CHANNEL_BITS:
      raise UserError('%s: "%s" holds %.60r, but bits are whole numbers from 2 to 8, or 32'
                      % (where, kind, value))
  return np.array(values, np.int64)


def _swish_bits(swish_bits, architecture, table, source):
  """The learnt bits of every swish and of the sigmoids that have them, as int arrays."""
  rest, checked = dict(swish_bits), {}
  for layer in table:
    function = layer.nonlinearity
    if function == 'swish' or function == 'sigmoid' and layer.name in rest:
      checked[layer.name] = _channel_bits(rest.pop(layer.name, None), layer, 'swish_bits', source)
  if rest:
    raise UserError('%s: swish_bits: %s is not a layer of %s with swish or sigmoid'
                    % (source, min(rest), architecture.name))
  return checked


def _is_number(value):
  return isinstance(value, (int, float)) and not isinstance(value, bool)


_BITS = whole(MIN_BITS, FLOAT)
_SETTINGS = {
    'architecture': one_of(ARCHITECTURES),
    'image_size': whole(1, 4096),
    'swish_bits': Rule(_BITS.text + ', or the bits of each layer',
                       lambda value: isinstance(value, dict) or _BITS.holds(value)),
    'bias_bits': _BITS,
    'learnt_weight_bits': FLAG,
    'learnt_act_bits': FLAG,
}
