"""Reads a pickle of dicts, strings, numbers and NumPy arrays without executing anything in it.

Pickle can run any code, so nothing a file asks for is called: where it names the constructors of
NumPy, it gets the recorders below, whose notes become arrays only after they have been checked.
"""

import io
import operator
import pickle

from scripts.errors import UserError

_MOST_AXES = 32  # Of an array of NumPy.
_LONGEST_AXIS = 2**62  # An integer of millions of digits takes minutes to print.
_MOST_OPERATIONS = 200000  # In a pickle; the shipped one has 4,625.
_PROTOCOL = 4  # The highest that every Python reads which this code is for.
_OF_PROTOCOL_5 = b'\x96\x97\x98'  # Operations; the first allocates what it is told to.
_LONGEST_NUMBER = 24  # Characters of a line.


def load_pickle(data):
  """The content of a pickle (bytes) of protocol 0 to 4, with `StoredArray` in place of arrays.

  Raises:
    UserError: it asks for something else; the message begins with "it".
    Exception: nearly any one, where bytes are torn.
  """
  return _Unpickler(io.BytesIO(data)).load()


class _StoredDtype:
  """Records the arguments of `numpy.dtype`: `name` is the NumPy code, like '<f4'."""

  def __init__(self, code, align=False, copy=True):
    self._code = self.name = _text(code)

  def __setstate__(self, state):
    order = _text(state[1])
    if len(order) != 1:
      raise pickle.UnpicklingError('an order of bytes of %d letters' % len(order))
    self.name = order.replace('|', '') + self._code


class StoredArray:
  """Records the arguments of NumPy's array constructor: `shape`, `dtype`, `order`, `data`."""

  def __init__(self, subtype, shape, typecode):
    self.shape, self.dtype, self.order, self.data = (), '', 'C', b''

  def __setstate__(self, state):
    _, shape, dtype, is_fortran, self.data = state
    if len(shape) > _MOST_AXES:
      raise pickle.UnpicklingError('an array with %d axes' % len(shape))
    self.shape = tuple(min(operator.index(size), _LONGEST_AXIS) for size in shape)
    self.dtype = dtype.name
    self.order = 'F' if is_fortran else 'C'

  def bytes(self):
    """The data, which files of Python 2 and of low protocols hold as text.

    Raises:
      AttributeError, TypeError or ValueError: they are neither.
    """
    if isinstance(self.data, bytes):
      return self.data
    return (self.data if isinstance(self.data, str) else self.data.text).encode('latin1')


class _StoredBytes:
  """Stands for `codecs.encode`, by which protocols 0 to 2 of Python 3 store bytes."""

  def __init__(self, text, encoding):
    if _text(encoding) != 'latin1':
      raise pickle.UnpicklingError('bytes stored as %.60s' % encoding)
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
    raise pickle.UnpicklingError('a %s instead of a name' % type(value).__name__)
  return value


_RECORDERS = {('numpy', 'ndarray'): StoredArray, ('numpy', 'dtype'): _StoredDtype,
              ('numpy.core.multiarray', '_reconstruct'): StoredArray,
              ('numpy._core.multiarray', '_reconstruct'): StoredArray,
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
    if protocol > _PROTOCOL:
      raise UserError('it is a pickle of protocol %d: write it again with pickle.dump(weights, '
                      'stream, protocol=2)' % protocol)

  def load_reduce(self):
    arguments, function = self.stack.pop(), self.stack[-1]
    if not any(function is recorder for recorder in _RECORDERS.values()):
      raise pickle.UnpicklingError('a call of a %s' % type(function).__name__)
    self.stack[-1] = function(*arguments)

  def load_build(self):
    state, target = self.stack.pop(), self.stack[-1]
    if not isinstance(target, (StoredArray, _StoredDtype)):
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
  table.update((code, _refused('%#x of protocol 5' % code)) for code in _OF_PROTOCOL_5)
  return {code: _counted(load) for code, load in table.items()}


_Unpickler.dispatch = _operations()
