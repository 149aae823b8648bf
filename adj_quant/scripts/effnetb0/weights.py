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
from scripts.files import read_file, write_file

CHECKSUMS = 'SHA256SUMS'
_PROTOCOL = 3
_FLOATS = ('<f4', '>f4', '<f8', '>f8')
_MOST_AXES = 32  # Of an array of NumPy.
_MOST_OPERATIONS = 200000  # In a pickle; the shipped one has 4,625.
_LONGEST_NUMBER = 24  # Characters of a line.
_LARGEST_FILE = 2**30  # Bytes.
_GIT_LFS_POINTER = b'version https://git-lfs'


class LayerWeights(NamedTuple):
  """What a layer computes with."""
  weights: np.ndarray  # float32 HWIO, [k, k, C, 1] for a depthwise kernel.
  bias: np.ndarray  # float32 [out].


class _StoredDtype:
  """Records the arguments of `numpy.dtype`: `name` is the NumPy code, like '<f4'."""

  def __init__(self, code, align=False, copy=True):
    self.name = _text(code)

  def __setstate__(self, state):
    self.name = _text(state[1]).replace('|', '') + self.name


class _StoredArray:
  """Records the arguments of NumPy's array constructor: `shape`, `dtype`, `order`, `data`."""

  def __init__(self, subtype, shape, typecode):
    self.shape, self.dtype, self.order, self.data = (), '', 'C', b''

  def __setstate__(self, state):
    _, shape, dtype, is_fortran, self.data = state
    if len(shape) > _MOST_AXES:
      raise pickle.UnpicklingError('an array with %d axes' % len(shape))
    self.shape = tuple(operator.index(size) for size in shape)
    self.dtype = dtype.name
    self.order = 'F' if is_fortran else 'C'


class _StoredBytes:
  """Stands for `codecs.encode`, by which protocols 0 to 2 of Python 3 store bytes."""

  def __init__(self, text, encoding):
    if encoding != 'latin1':
      raise pickle.UnpicklingError('bytes stored as %.60s' % (encoding,))
    self.text = _text(text)


class _StoredDict(dict):
  """Stands for `collections.OrderedDict`; Python 2 gives it its items at once."""

  def __init__(self, items=()):
    super(_StoredDict, self).__init__()
    for key, value in items:
      self[_text(key)] = value


def _text(value):
  """`value` if it is a str; another one might take for ever to hash or to print."""
  if not isinstance(value, str):
    raise pickle.UnpicklingError('a %s in place of a name' % type(value).__name__)
  return value


_RECORDERS = {('numpy', 'ndarray'): _StoredArray, ('numpy', 'dtype'): _StoredDtype,
              ('numpy.core.multiarray', '_reconstruct'): _StoredArray,
              ('numpy._core.multiarray', '_reconstruct'): _StoredArray,
              ('_codecs', 'encode'): _StoredBytes,
              ('collections', 'OrderedDict'): _StoredDict}


class _Unpickler(pickle._Unpickler):
  """Admits dicts, lists, tuples, strings, numbers and NumPy arrays, the last as recorders.

  Time and memory grow with the size of the file: keys are strings, since tuples of tuples take
  exponential time to hash; nothing is decoded before it is known to be needed; there is a limit to
  the number of operations, as one byte can make an object of 240.

  The Python twin of `pickle.Unpickler`: one flipped bit in the number of a stored object makes the
  C one allocate gigabytes.
  """

  def __init__(self, stream):
    super(_Unpickler, self).__init__(stream, encoding='latin1')
    self.operations = 0

  def find_class(self, module, name):
    if (module, name) not in _RECORDERS:
      raise UserError('it asks for %.60s.%.60s, which no weights file needs' % (module, name))
    return _RECORDERS[module, name]

  def load_proto(self):
    protocol = self.read(1)[0]
    if protocol > pickle.HIGHEST_PROTOCOL:
      raise UserError('it is a pickle of protocol %d: write it again with pickle.dump(weights, '
                      'stream, protocol=2)' % protocol)

  def load_reduce(self):
    arguments, function = self.stack.pop(), self.stack[-1]
    if not any(function is recorder for recorder in _RECORDERS.values()):
      raise pickle.UnpicklingError('a call of a %s' % type(function).__name__)
    self.stack[-1] = function(*arguments)

  def load_build(self):
    state, target = self.stack.pop(), self.stack[-1]
    if not isinstance(target, (_StoredArray, _StoredDtype)):
      raise pickle.UnpicklingError('a state for a %s' % type(target).__name__)
    target.__setstate__(state)

  def load_dict(self):
    self._fill({}, self.pop_mark())

  def load_setitems(self):
    items = self.pop_mark()
    self._fill(self.stack.pop(), items)

  def load_setitem(self):
    items = [self.stack.pop(-2), self.stack.pop()]
    self._fill(self.stack.pop(), items)

  def _fill(self, target, items):
    for key, value in zip(items[::2], items[1::2]):
      target[_text(key)] = value
    self.append(target)


def _counted(load):
  """An operation of the unpickler that is performed a limited number of times."""
  def counted(self):
    self.operations += 1
    if self.operations > _MOST_OPERATIONS:
      raise pickle.UnpicklingError('more than %d operations' % _MOST_OPERATIONS)
    load(self)
  return counted


def _with_short_line(load):
  """An operation that reads a line of digits: to convert many takes time that grows as a square."""
  def checked(self):
    read_line = self.readline
    line = read_line()
    if len(line) > _LONGEST_NUMBER:
      raise pickle.UnpicklingError('a number of %d digits' % len(line))
    self.readline = lambda: line
    load(self)
    self.readline = read_line
  return checked


def _refused(name):
  def refuse(self):
    raise UserError('it has the operation %s, which no weights file needs' % name)
  return refuse


def _operations():
  """Dict byte -> method of the unpickler, which `pickle._Unpickler.load` calls."""
  table = dict(pickle._Unpickler.dispatch)
  for name in ('PROTO', 'REDUCE', 'BUILD', 'DICT', 'SETITEMS', 'SETITEM'):
    table[getattr(pickle, name)[0]] = getattr(_Unpickler, 'load_' + name.lower())
  for name in ('INT', 'LONG', 'PUT', 'GET'):
    code = getattr(pickle, name)[0]
    table[code] = _with_short_line(table[code])
  for name in ('INST', 'OBJ', 'NEWOBJ', 'NEWOBJ_EX', 'EMPTY_SET', 'ADDITEMS', 'FROZENSET',
               'PERSID', 'BINPERSID', 'EXT1', 'EXT2', 'EXT4'):
    table[getattr(pickle, name)[0]] = _refused(name)
  return {code: _counted(load) for code, load in table.items()}


_Unpickler.dispatch = _operations()


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
  """The content of the pickle `data` of the file at `path`, with `_StoredArray` for arrays."""
  try:
    return _Unpickler(io.BytesIO(data)).load()
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
      if not isinstance(entry[field], _StoredArray):
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
    values = np.frombuffer(_bytes(stored.data), stored.dtype)
    values = np.array(values.reshape(shape, order=stored.order), np.float32, order='C')
  except (AttributeError, TypeError, ValueError):
    raise UserError('%s: its data do not fill shape %s' % (where, list(shape)))
  wrong = values.size - np.count_nonzero(np.isfinite(values))
  if wrong:
    raise UserError('%s: %d of %d values are not finite' % (where, wrong, values.size))
  return values


def _bytes(data):
  """The bytes of an array, which files of Python 2 and of low protocols hold as text."""
  if isinstance(data, bytes):
    return data
  return (data if isinstance(data, str) else data.text).encode('latin1')
