"""Variables of the official EfficientNet checkpoints, and of ours by their names.

Keras numbered the layers of a block in the order in which they were made, so a block without an
expansion counts differently: its `conv2d` is the projection, elsewhere that is `conv2d_1`.

Source: the repository tensorflow/tpu, models/official/efficientnet.
"""

import collections
from typing import NamedTuple

from scripts.checkpoint_files import open_checkpoint, read_tensor
from scripts.effnetb0.architecture import block_name, layers
from scripts.effnetb0.slim_names import NORM_PARTS, bias_names, has_batch_norm, kernel_name
from scripts.errors import UserError
from training.averages import SUFFIX, stored_names

_COUNTERS = ('global_step', 'beta1_power', 'beta2_power')
_SLOTS = ('RMSProp', 'RMSProp_1', 'Momentum', 'Adam', 'Adam_1', 'Adagrad')


class Official(NamedTuple):
  """What an official checkpoint has for the network."""
  values: dict  # Name of ours -> array.
  classes: int
  averages: int  # How many of the values are moving averages.
  unused: dict  # Reason -> names in the checkpoint.


def official_scope(model_name):
  """Scope of all official variables: 'efficientnet-b0'."""
  return model_name.replace('_', '-')


def official_names(architecture, scope):
  """Ordered dict: name of a variable of ours -> its name in the official checkpoint."""
  names = collections.OrderedDict()
  places = _places(architecture)
  for layer in layers(architecture, architecture.image_size, classes=1):
    convolution, norm = ('%s/%s' % (scope, place) for place in places[layer.name])
    kernel = 'depthwise_kernel' if layer.kind == 'depthwise' else 'kernel'
    names[kernel_name(layer)] = '%s/%s' % (convolution, kernel)
    biases = ([norm + '/' + part for part in NORM_PARTS] if has_batch_norm(layer)
              else [convolution + '/bias'])
    names.update(zip(bias_names(layer), biases))
  return names


def _places(architecture):
  """Layer name -> official layers of its convolution and of its batch norm, if it has one."""
  places = {'Conv': ('stem/conv2d', 'stem/tpu_batch_normalization'),
            'Conv_1': ('head/conv2d', 'head/tpu_batch_normalization'),
            'output': ('head/dense', '')}
  for index, block in enumerate(architecture.blocks):
    expand = ['expand'] if block.expansion != 1 else []
    convolutions = _numbered('conv2d', expand + ['project'])
    convolutions['dws'] = 'depthwise_conv2d'
    convolutions.update(_numbered('se/conv2d', ['se_1', 'se_2']))
    norms = _numbered('tpu_batch_normalization', expand + ['dws', 'project'])
    for part, convolution in convolutions.items():
      places['%s/%s' % (block_name(index), part)] = tuple(
          'blocks_%d/%s' % (index, place) for place in (convolution, norms.get(part, '')))
  return places


def _numbered(name, parts):
  """Part -> name, name_1, name_2, ... in the order of the parts."""
  return {part: '%s_%d' % (name, i) if i else name for i, part in enumerate(parts)}


def read_official(path, architecture, scope):
  """Reads an official checkpoint; every variable in it is taken or known to be of no use.

  Args:
    path: the checkpoint.
    architecture: the `Architecture` it must have.
    scope: see `official_scope`.

  Returns:
    `Official`. Where the checkpoint has the moving average of a variable, that is its value.

  Raises:
    UserError: a variable is missing, unknown or has another shape.
  """
  reader = open_checkpoint(path)
  shapes = reader.get_variable_to_shape_map()
  names = official_names(architecture, scope)
  stored = stored_names(names.values(), shapes)
  missing = [official for official in names.values() if official not in stored]
  if missing:
    raise UserError('checkpoint %s has no %s (%d of the %d variables of %s are missing)'
                    % (path, missing[0], len(missing), len(names), scope))
  unused = _explain_unused(set(shapes) - set(stored.values()), stored, path)
  classes = shapes[stored[scope + '/head/dense/bias']][0]
  values = {}
  for layer in layers(architecture, architecture.image_size, classes):
    for ours in [kernel_name(layer)] + bias_names(layer):
      name = stored[names[ours]]
      shape = layer.weights_shape if ours == kernel_name(layer) else (layer.outputs,)
      official_shape = shape[2:] if layer.kind == 'classifier' and len(shape) == 4 else shape
      if tuple(shapes[name]) != tuple(official_shape):
        raise UserError('checkpoint %s: %s has the shape %s, layer %s of %s needs %s'
                        % (path, name, shapes[name], layer.name, scope, list(official_shape)))
      values[ours] = read_tensor(reader, name, path).reshape(shape)
  averages = sum(name.endswith(SUFFIX) for name in stored.values())
  return Official(values, classes, averages, unused)


def _explain_unused(rest, known, path):
  """Ordered dict reason -> names; UserError for a name without a reason."""
  reasons = collections.OrderedDict()
  for name in sorted(rest):
    base, _, last = name.rpartition('/')
    if name in _COUNTERS:
      reason = 'counters of the training'
    elif name in known:
      reason = 'values beside their moving averages'
    elif last in _SLOTS and base in known:
      reason = 'slots of the optimiser'
    else:
      raise UserError('checkpoint %s: variable %s is unknown, so this is another network'
                      % (path, name))
    reasons.setdefault(reason, []).append(name)
  return reasons
