"""Files that are written whole or not at all, and read with errors a user can act on."""

import contextlib
import json
import os
import shutil
import tempfile

from scripts.errors import UserError

UNFINISHED = '.unfinished-'  # Begins the names of files and folders that are being written.


def write_file(path, content):
  """Writes `content` (str or bytes) to `path` through a temporary file and a rename.

  Raises:
    UserError: the folder cannot be written or the disk is full; an older file at `path` is kept.
  """
  with whole_file(path) as stream:
    stream.write(content.encode('utf-8') if isinstance(content, str) else content)


@contextlib.contextmanager
def whole_file(path):
  """Yields a binary stream; what is written to it is the file at `path` when the block is done.

  Raises:
    UserError: as `write_file`.
  """
  folder = os.path.dirname(os.path.abspath(path))
  temporary = None
  try:
    if not os.path.exists(folder):  # Else a file in its place is told as "File exists".
      os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=UNFINISHED + os.path.basename(path))
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
  finally:  # After Ctrl-C as well.
    if temporary and os.path.exists(temporary):
      os.remove(temporary)


def remove_unfinished(folder):
  """Removes what writes that were killed have left in `folder`."""
  for name in os.listdir(folder):
    path = os.path.join(folder, name)
    if name.startswith(UNFINISHED):
      shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def check_file(path):
  """Proves that a file can be written at `path`, else raises UserError."""
  if os.path.isdir(path):
    raise UserError('cannot write %s: it is a folder' % path)
  check_writable(os.path.dirname(os.path.abspath(path)))


def check_writable(folder):
  """Makes `folder` if needed and proves that a file can be written there, else raises UserError."""
  probe = os.path.join(folder, '.writable')
  try:
    write_file(probe, b'x')
  except UserError as error:
    raise UserError('cannot write to the folder %s: %s'
                    % (folder, str(error).rpartition(': ')[2]))
  os.remove(probe)


def read_json(path, what, kind=dict):
  """The JSON object in the file at `path`, or with kind=list the list.

  `what` names its role in the message of a UserError.
  """
  try:
    with open(path, encoding='utf-8') as stream:
      content = json.load(stream)
  except OSError as error:
    raise UserError('cannot read %s %s: %s' % (what, path, error.strerror or error))
  except ValueError as error:
    raise UserError('%s %s is not valid JSON: %s' % (what, path, error))
  if not isinstance(content, kind):
    raise UserError('%s %s must hold one JSON %s'
                    % (what, path, {dict: 'object', list: 'list'}[kind]))
  return content
