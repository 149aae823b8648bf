"""Weights files: the float kernel and bias of every layer, batch norm folded, in one pickle.

A file is a dict `layer -> {"weights": float32 HWIO, "bias": float32 [out]}` with the layers of
`architecture.layers`, except that block 0 is called `expanded_conv` in it.
"""

import collections
import hashlib
import os
import pickle
from typing import NamedTuple

import numpy as np

from scripts.effnetb0.architecture import layers
from scripts.effnetb0.unpickling import StoredArray, load_pickle
from scripts.errors import UserError
from scripts.files import read_file, write_file

CHECKSUMS = 'SHA256SUMS'
_PROTOCOL = 3
_FLOATS = ('<f4', '>f4', '<f8', '>f8')
_LARGEST_FILE = 2**30  # Bytes.
_GIT_LFS_POINTER = b'version https://git-lfs'


class LayerWeights(NamedTuple):
  """What a layer computes with."""
  weights: np.ndarray  # float32 HWIO, [k, k, C, 1] for a depthwise kernel.
  bias: np.ndarray  # float32 [out].


def load_weights(path, architecture, log=print):
  """Reads a weights file and checks it against `architecture`.

  Files of Python 2 and 3, of pickle protocols 0 to 4, load; float64 is cast to float32. A file
  other than the one of its name in SHA256SUMS beside it is somebody's own, which is told.

  Args:
    path: the weights file.
    architecture: an `Architecture`.
    log: receives a line for the user.

  Returns:
    weights: OrderedDict `layer.name -> LayerWeights` in the order of computation; the kernel of
      the classifier is [1, 1, in, classes] even where the file holds [in, classes].
    classes: number of outputs of the classifier.

  Raises:
    UserError: the file is missing, torn, no pickle or asks for anything but arrays, or a layer is
      missing, unknown, of wrong shape or dtype, or has values that are not finite.
  """
  data = _read(path)
  is_own = not is_listed(path, data, otherwise=True)
  try:
    loaded = _load(path, data, architecture)
  except UserError as error:
    if not is_own:
      raise
    raise UserError('%s; it is not the file that %s beside it lists, which git checkout brings back'
                    % (error, CHECKSUMS))
  if is_own:
    log('note: %s is not the file that %s beside it lists; it is taken as your own weights'
        % (path, CHECKSUMS))
  return loaded


def _load(path, data, architecture):
  stored = _unpickle(path, data)
  table = layers(architecture, architecture.image_size, classes=1)
  _check_structure(path, stored, table)
  classes = _count_classes(path, table[-1], stored)
  table[-1] = table[-1]._replace(outputs=classes)
  weights = collections.OrderedDict(
      (layer.name, _layer_weights(_where(path, layer), layer, stored[layer.file_name]))
      for layer in table)
  return weights, classes


def weights_bytes(weights):
  """The content of a weights file: the same bytes for the same values, whatever arrays hold them.

  Args:
    weights: dict `layer.name -> LayerWeights`, as `load_weights` returns it.
  """
  content = {}
  for name, layer in weights.items():
    content[name.replace('expanded_conv_0/', 'expanded_conv/')] = {
        'weights': _own_copy(layer.weights), 'bias': _own_copy(layer.bias)}
  return pickle.dumps(content, protocol=_PROTOCOL)


def save_weights(path, weights):
  """Writes `weights_bytes` to `path`, whole or not at all; raises UserError."""
  write_file(path, weights_bytes(weights))


def is_listed(path, data, otherwise=False):
  """Whether SHA256SUMS beside `path` has the hash of `data` for its name.

  Args:
    path: a file, which need not be there.
    data: bytes.
    otherwise: the result where it has no hash for that name, or is not there.

  Raises:
    UserError: SHA256SUMS cannot be read.
  """
  folder, name = os.path.split(os.path.abspath(path))
  try:
    with open(os.path.join(folder, CHECKSUMS), encoding='utf-8') as stream:
      lines = [line.split(None, 1) for line in stream.read().splitlines()]
  except FileNotFoundError:
    return otherwise
  except (OSError, ValueError) as error:
    raise UserError('cannot read %s beside weights file %s: %s' % (CHECKSUMS, path, error))
  listed = {line[1].lstrip('*'): line[0].lower() for line in lines if len(line) == 2}
  return listed[name] == hashlib.sha256(data).hexdigest() if name in listed else otherwise


def _own_copy(values):
  """A contiguous float32 copy; unlike `np.array` it never keeps the dtype object of `values`.

  Pickle stores a dtype once for each object, so arrays that share it give fewer bytes.
  """
  copy = np.empty(np.shape(values), np.float32)
  copy[...] = values
  return copy


def _where(path, layer):
  return 'weights file %s: layer %s' % (path, layer.file_name)


def _read(path):
  """The bytes of the weights file at `path`."""
  data = read_file(path, 'weights file', _LARGEST_FILE)
  if data.startswith(_GIT_LFS_POINTER):
    raise UserError('weights file %s is a Git LFS pointer: run git lfs pull' % path)
  return data


def _unpickle(path, data):
  """The content of the pickle `data` of the file at `path`, with `StoredArray` for arrays."""
  try:
    return load_pickle(data)
  except UserError as error:
    raise UserError('weights file %s is refused: %s' % (path, error))
  except Exception as error:  # Torn bytes make pickle raise nearly anything.
    raise UserError('weights file %s (%d bytes) is torn or not a pickle of arrays: %.120s' %
                    (path, len(data), str(error) or type(error).__name__))


def _check_structure(path, stored, table):
  """Raises UserError unless `stored` has weights and bias, both arrays, for all of `table`."""
  _check_keys('weights file %s' % path, stored, [layer.file_name for layer in table])
  for layer in table:
    entry = stored[layer.file_name]
    _check_keys(_where(path, layer), entry, LayerWeights._fields)
    for field in LayerWeights._fields:
      if not isinstance(entry[field], StoredArray):
        raise UserError('%s: %s is not an array' % (_where(path, layer), field))


def _check_keys(where, actual, expected):
  """Raises UserError unless `actual` is a dict with exactly the keys `expected`."""
  if not isinstance(actual, dict):
    raise UserError('%s holds a %s instead of a dict' % (where, type(actual).__name__))
  for problem, keys in (('lacks', [key for key in expected if key not in actual]),
                        ('has unknown', ['%.60s' % key for key in actual if key not in expected])):
    if keys:
      more = ' and %d more' % (len(keys) - 3) if len(keys) > 3 else ''
      raise UserError('%s %s %s%s' % (where, problem, ', '.join(keys[:3]), more))


def _count_classes(path, head, stored):
  """The classifier's outputs; its kernel [in, out] is made [1, 1, in, out] in `stored`."""
  kernel = stored[head.file_name]['weights']
  if len(kernel.shape) == 2:
    kernel.shape = (1, 1) + kernel.shape
  if kernel.shape[:-1] != head.weights_shape[:-1] or kernel.shape[-1] < 1:
    raise UserError('%s: weights have shape %s, expected [%d, classes] or [1, 1, %d, classes]' %
                    (_where(path, head), list(kernel.shape), head.inputs, head.inputs))
  return kernel.shape[-1]


def _layer_weights(where, layer, entry):
  return LayerWeights(_to_array(where + ' weights', entry['weights'], layer.weights_shape),
                      _to_array(where + ' bias', entry['bias'], (layer.outputs,)))


def _to_array(where, stored, shape):
  """The float32 array of `shape` that `stored` describes; UserError names it by `where`."""
  if stored.shape != shape:
    raise UserError('%s: found shape %s, expected %s' % (where, list(stored.shape), list(shape)))
  if stored.dtype not in _FLOATS:
    raise UserError('%s: found dtype %.60s, expected float32 (f4)' % (where, stored.dtype))
  try:
    values = np.frombuffer(stored.bytes(), stored.dtype)
    with np.errstate(over='ignore'):  # What float32 cannot hold is told below.
      values = np.array(values.reshape(shape, order=stored.order), np.float32, order='C')
  except (AttributeError, TypeError, ValueError):
    raise UserError('%s: its data do not fill shape %s' % (where, list(shape)))
  wrong = values.size - np.count_nonzero(np.isfinite(values))
  if wrong:
    raise UserError('%s: %d of %d values are not finite' % (where, wrong, values.size))
  return values
