"""Weights files: the float kernel and bias of every layer, batch norm folded, in one pickle.

A file is a dict `layer -> {"weights": float32 HWIO, "bias": float32 [out]}` with the layers of
`architecture.layers`, except that block 0 is called `expanded_conv` in it.

Pickle can run any code, so nothing a file asks for is called: where it names the constructors of
NumPy, it gets the recorders below, whose notes become arrays only after they have been checked.
"""

import collections
import hashlib
import io
import operator
import os
import pickle
from typing import NamedTuple

import numpy as np

from scripts.effnetb0.architecture import layers
from scripts.errors import UserError
from scripts.files import write_file

CHECKSUMS = 'SHA256SUMS'
_PROTOCOL = 3
_FLOATS = ('<f4', '>f4', '<f8', '>f8')
_GIT_LFS_POINTER = b'version https://git-lfs'


class LayerWeights(NamedTuple):
  """What a layer computes with."""
  weights: np.ndarray  # float32 HWIO, [k, k, C, 1] for a depthwise kernel.
  bias: np.ndarray  # float32 [out].


class _StoredDtype:
  """Records the arguments of `numpy.dtype`: `name` is the NumPy code, like '<f4'."""

  def __init__(self, code, align=False, copy=True):
    self.name = code

  def __setstate__(self, state):
    self.name = state[1].replace('|', '') + self.name


class _StoredArray:
  """Records the arguments of NumPy's array constructor: `shape`, `dtype`, `order`, `data`."""

  def __init__(self, subtype, shape, typecode):
    self.shape, self.dtype, self.order, self.data = (), '', 'C', b''

  def __setstate__(self, state):
    _, shape, dtype, is_fortran, data = state
    # Files of Python 2 hold the data as a string of bytes.
    self.data = data.encode('latin1') if isinstance(data, str) else data
    self.shape = tuple(operator.index(size) for size in shape)
    self.dtype = dtype.name
    self.order = 'F' if is_fortran else 'C'


def _stored_bytes(text, encoding):
  """Stands for `codecs.encode`, by which protocols 0 to 2 of Python 3 store bytes."""
  if encoding != 'latin1':
    raise pickle.UnpicklingError('bytes stored as %s' % encoding)
  return text.encode('latin1')


_RECORDERS = {('numpy', 'ndarray'): _StoredArray, ('numpy', 'dtype'): _StoredDtype,
              ('numpy.core.multiarray', '_reconstruct'): _StoredArray,
              ('numpy._core.multiarray', '_reconstruct'): _StoredArray,
              ('_codecs', 'encode'): _stored_bytes}


class _Unpickler(pickle._Unpickler):
  """Admits dicts, lists, tuples, strings, numbers and NumPy arrays, the last as recorders.

  The Python twin of `pickle.Unpickler`: one flipped bit in the number of a stored object makes the
  C one allocate gigabytes.
  """

  def find_class(self, module, name):
    if (module, name) not in _RECORDERS:
      raise UserError('it asks for %s.%s, which no weights file needs' % (module, name))
    return _RECORDERS[module, name]


def load_weights(path, architecture):
  """Reads a weights file and checks it against `architecture`.

  Files of Python 2 and 3, of pickle protocols 0 to 4, load; float64 is cast to float32. Where a
  file SHA256SUMS beside it lists the weights file, its bytes must match.

  Args:
    path: the weights file.
    architecture: an `Architecture`.

  Returns:
    weights: OrderedDict `layer.name -> LayerWeights` in the order of computation; the kernel of
      the classifier is [1, 1, in, classes] even where the file holds [in, classes].
    classes: number of outputs of the classifier.

  Raises:
    UserError: the file is missing, torn, changed, no pickle or asks for anything but arrays, or a
      layer is missing, unknown, of wrong shape or dtype, or has values that are not finite.
  """
  stored = _unpickle(path)
  table = layers(architecture, architecture.image_size, classes=1)
  _check_structure(path, stored, table)
  classes = _count_classes(path, table[-1], stored)
  table[-1] = table[-1]._replace(outputs=classes)
  weights = collections.OrderedDict(
      (layer.name, _layer_weights(_where(path, layer), layer, stored[layer.file_name]))
      for layer in table)
  return weights, classes


def save_weights(path, weights):
  """Writes a weights file: the same bytes for the same values, whatever arrays hold them.

  Args:
    path: the file to write, whole or not at all.
    weights: dict `layer.name -> LayerWeights`, as `load_weights` returns it.

  Raises:
    UserError: the file cannot be written.
  """
  content = {}
  for name, layer in weights.items():
    content[name.replace('expanded_conv_0/', 'expanded_conv/')] = {
        'weights': _own_copy(layer.weights), 'bias': _own_copy(layer.bias)}
  write_file(path, pickle.dumps(content, protocol=_PROTOCOL))


def _own_copy(values):
  """A contiguous float32 copy; unlike `np.array` it never keeps the dtype object of `values`.

  Pickle stores a dtype once for each object, so arrays that share it give fewer bytes.
  """
  copy = np.empty(np.shape(values), np.float32)
  copy[...] = values
  return copy


def _where(path, layer):
  return 'weights file %s: layer %s' % (path, layer.file_name)


def _unpickle(path):
  """The content of the pickle at `path`, with `_StoredArray` for arrays."""
  try:
    with open(path, 'rb') as stream:
      data = stream.read()
  except OSError as error:
    raise UserError('cannot read weights file %s: %s' % (path, error.strerror or error))
  if data.startswith(_GIT_LFS_POINTER):
    raise UserError('weights file %s is a Git LFS pointer: run git lfs pull' % path)
  _check_sum(path, data)
  try:
    return _Unpickler(io.BytesIO(data), encoding='latin1').load()
  except UserError as error:
    raise UserError('weights file %s is refused: %s' % (path, error))
  except Exception as error:  # Torn bytes make pickle raise nearly anything.
    raise UserError('weights file %s (%d bytes) is torn or not a pickle of arrays: %s' %
                    (path, len(data), str(error) or type(error).__name__))


def _check_sum(path, data):
  """Raises UserError unless `data` is what the SHA256SUMS beside `path`, if any, says of it."""
  folder, name = os.path.split(os.path.abspath(path))
  try:
    with open(os.path.join(folder, CHECKSUMS), encoding='utf-8') as stream:
      lines = [line.split(None, 1) for line in stream.read().splitlines()]
  except FileNotFoundError:
    return
  except (OSError, ValueError) as error:
    raise UserError('cannot read %s beside weights file %s: %s' % (CHECKSUMS, path, error))
  expected = {line[1].lstrip('*'): line[0].lower() for line in lines if len(line) == 2}
  digest = hashlib.sha256(data).hexdigest()
  if expected.get(name, digest) != digest:
    raise UserError('weights file %s (%d bytes) does not have the hash that %s beside it lists: '
                    'run git checkout on it, or make it again with pretrained/import_tfjs.py' %
                    (path, len(data), CHECKSUMS))


def _check_structure(path, stored, table):
  """Raises UserError unless `stored` has weights and bias, both arrays, for all of `table`."""
  _check_keys('weights file %s' % path, stored, [layer.file_name for layer in table])
  for layer in table:
    entry = stored[layer.file_name]
    _check_keys(_where(path, layer), entry, LayerWeights._fields)
    for field in LayerWeights._fields:
      if not isinstance(entry[field], _StoredArray):
        raise UserError('%s: %s is not an array' % (_where(path, layer), field))


def _check_keys(where, actual, expected):
  """Raises UserError unless `actual` is a dict with exactly the keys `expected`."""
  if not isinstance(actual, dict):
    raise UserError('%s holds a %s instead of a dict' % (where, type(actual).__name__))
  for problem, keys in (('lacks', [key for key in expected if key not in actual]),
                        ('has unknown', [str(key) for key in actual if key not in expected])):
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
    raise UserError('%s: found dtype %s, expected float32 (f4)' % (where, stored.dtype))
  try:
    values = np.frombuffer(memoryview(stored.data), stored.dtype)
    values = np.array(values.reshape(shape, order=stored.order), np.float32, order='C')
  except (TypeError, ValueError):
    raise UserError('%s: its data do not fill shape %s' % (where, list(shape)))
  wrong = values.size - np.count_nonzero(np.isfinite(values))
  if wrong:
    raise UserError('%s: %d of %d values are not finite' % (where, wrong, values.size))
  return values
