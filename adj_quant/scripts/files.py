"""Files that are written completely or not at all, and read with errors a user can act on."""

import contextlib
import json
import math
import os
import shutil
import tempfile

from scripts.errors import UserError

UNFINISHED = '.unfinished-'  # Begins the names of files and folders that are being written.
_LARGEST_JSON = 2**26  # Bytes.
_DEEPEST_JSON = 16  # Objects and lists in one another.
_TOO_DEEP = '%s is nested too deeply for a file of this kind'
_LONGEST_KEY = 200  # Characters.
_LONGEST_INTEGER = 18  # Digits; of more, conversion takes time that grows with the square.


def write_file(path, content):
  """Writes `content` (str or bytes) to `path` through a temporary file and a rename.

  Raises:
    UserError: the folder cannot be written or the disk is full; an older file at `path` is kept.
  """
  with whole_file(path) as stream:
    # Names of files that are not UTF-8 get the bytes that they have on the disk.
    stream.write(content.encode('utf-8', 'surrogateescape') if isinstance(content, str)
                 else content)


@contextlib.contextmanager
def whole_file(path):
  """Yields a binary stream; what is written to it is the file at `path` when the block is done.

  However the block ends, nothing else stays. A device or pipe at `path` is written to directly.

  Raises:
    UserError: as `write_file`.
  """
  folder, name = os.path.split(os.path.abspath(path))
  temporary = None
  try:
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
      with open(path, 'wb') as stream:
        yield stream
      return
    _make_folder(folder)
    # Of a long name only the beginning, or the whole would be too long.
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=UNFINISHED + name[:40])
    with os.fdopen(handle, 'wb') as stream:
      yield stream
      stream.flush()
      os.fsync(stream.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)
    os.replace(temporary, path)
  except OSError as error:
    raise UserError('cannot write %s: %s' % (path, error.strerror or error))
  finally:  # After Ctrl-C and SIGTERM as well.
    if temporary and os.path.exists(temporary):
      os.remove(temporary)


def write_new_file(path, content, overwrite=False):
  """Writes `content` (bytes) to `path` unless another file is there.

  Args:
    overwrite: whether another file may be replaced, the flag --overwrite of the script.

  Returns:
    False where the file holds `content` already.

  Raises:
    UserError: there is another file and `overwrite` is False, or as `write_file`.
  """
  if os.path.isfile(path) and _holds(path, content):
    return False
  check_replaceable(path, overwrite)
  write_file(path, content)
  return True


def _holds(path, content):
  try:
    with open(path, 'rb') as stream:
      return os.fstat(stream.fileno()).st_size == len(content) and stream.read() == content
  except OSError:
    return False


def remove_unfinished(folder):
  """Removes what writes that were killed have left in `folder`."""
  for name in os.listdir(folder):
    path = os.path.join(folder, name)
    if name.startswith(UNFINISHED):
      shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def check_replaceable(path, overwrite=False):
  """Proves that a script may write its result to `path`, before it has made it.

  A run replaces only what is its own; all else is refused unless --overwrite is given.

  Args:
    path: a file that a user has named, or that the script is about to make.
    overwrite: the flag --overwrite.

  Raises:
    UserError: there is a file and `overwrite` is False, or as `check_file`.
  """
  check_file(path)
  if os.path.isfile(path) and not overwrite:
    raise UserError('%s exists already: --overwrite replaces it' % path)


def check_result(path, read, overwrite=False):
  """As `check_replaceable`, where a result of the same kind may be replaced without a flag.

  Args:
    read: function of `path` that raises UserError where the file holds something else.
  """
  if os.path.isfile(path) and not overwrite and os.path.getsize(path):
    try:
      read(path)
    except UserError:
      raise UserError('%s exists already and is another kind of file: --overwrite replaces it'
                      % path)
  check_file(path)


def check_file(path):
  """Proves that a file can be written at `path`, else raises UserError."""
  if os.path.isdir(path):
    raise UserError('cannot write %s: it is a folder' % path)
  check_writable(os.path.dirname(os.path.abspath(path)))


def check_writable(folder):
  """Makes `folder` if needed and proves that a file can be written there, else raises UserError."""
  try:
    _make_folder(folder)
    with tempfile.TemporaryFile(dir=folder) as probe:  # It has no name that could stay.
      probe.write(b'x')
      probe.flush()
      os.fsync(probe.fileno())
  except OSError as error:
    raise UserError('cannot write to the folder %s: %s' % (folder, error.strerror or error))


def _make_folder(folder):
  if not os.path.exists(folder):  # Else a file in its place is told as "File exists".
    os.makedirs(folder, exist_ok=True)


def read_file(path, what, limit):
  """The bytes of the file at `path`.

  Args:
    what: names its role in the message of a UserError.
    limit: bytes that such a file has at most.

  Raises:
    UserError: it cannot be read or is larger, perhaps endless.
  """
  pieces, size = [], 0
  try:
    with open(path, 'rb') as stream:
      for piece in iter(lambda: stream.read(2**20), b''):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
          raise UserError('%s %s is larger than %d MiB: is it the right file?'
                          % (what, path, limit >> 20))
  except OSError as error:
    raise UserError('cannot read %s %s: %s' % (what, path, error.strerror or error))
  return b''.join(pieces)


def read_json(path, what, kind=dict):
  """The JSON object in the file at `path`, or with kind=list the list.

  `what` names its role in the message of a UserError.
  """
  return parse_json(read_file(path, what, _LARGEST_JSON), '%s %s' % (what, path), kind)


def parse_json(text, source, kind=dict):
  """The JSON object in `text` (bytes: UTF-8, 16 or 32, with or without a byte order mark).

  NaN, Infinity, integers of more than 18 digits, a key that is very long or occurs twice in an
  object, half of a surrogate pair, and more than 16 objects and lists in one another are refused,
  so that readers need not look for them.

  Args:
    source: opens the message of a UserError: 'data set description DIR/dataset.json'.
    kind: dict, or list where the text must hold a list.
  """
  try:
    content = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_integer,
                         parse_float=_finite, parse_constant=_finite)
    if b'\\u' in text or b'\xed' in text:  # Of a surrogate that is no byte of a file's name.
      json.dumps(content, ensure_ascii=False).encode('utf-8', 'surrogateescape')
  except RecursionError:
    raise UserError(_TOO_DEEP % source)
  except ValueError as error:
    raise UserError('%s is not valid JSON: %s' % (source, error))
  if _is_deep(content):
    raise UserError(_TOO_DEEP % source)
  if not isinstance(content, kind):
    raise UserError('%s must hold one JSON %s' % (source, {dict: 'object', list: 'list'}[kind]))
  return content


def _unique_keys(pairs):
  unique = {}
  for key, value in pairs:
    if key in unique:
      raise ValueError('the key %.60r occurs twice' % key)
    if len(key) > _LONGEST_KEY:
      raise ValueError('a key has %d characters' % len(key))
    unique[key] = value
  return unique


def _integer(digits):
  if len(digits.lstrip('-')) > _LONGEST_INTEGER:
    raise ValueError('a number has %d digits' % len(digits))
  return int(digits)


def _finite(text):
  if not math.isfinite(float(text)):
    raise ValueError('%.60s is not a finite number' % text)
  return float(text)


def _is_deep(content):
  """Whether objects and lists lie too deep in one another for functions that follow them."""
  level = [content]
  for _ in range(_DEEPEST_JSON + 1):
    level = [child for node in level if isinstance(node, (dict, list))
             for child in (node.values() if isinstance(node, dict) else node)]
  return bool(level)
