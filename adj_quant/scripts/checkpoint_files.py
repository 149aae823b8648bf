"""Files of TensorFlow checkpoints: opened, listed, copied, deleted; errors in one line.

Beside a checkpoint of this project lies a JSON file that says what it is a checkpoint of:
`ckpt_metric_0.183060-219.json`.
"""

import contextlib
import itertools
import os
import re
import shutil

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.files import read_json, whole_file

# What TensorFlow is writing: a part of a checkpoint, or its file `checkpoint`.
_TEMPORARY = re.compile(r'.+\.tempstate\d+$|checkpoint\.tmp[0-9a-f]{32}$')
# What reading damaged bytes raises; IndexError: some are missing.
DAMAGED = (tf.errors.OpError, ValueError, IndexError)
# What a current TensorFlow says before the error: in which call and node, and where that was made.
_CALL = re.compile(r'Graph execution error:\n\n(Detected at node .*?\nNode: [^\n]*\n)?', re.DOTALL)
_DESCRIPTION = re.compile(r'(?P<checkpoint>.+-\d+)\.json$')


def open_checkpoint(path):
  """A reader of the checkpoint at `path`, UserError where there is none or it is torn."""
  if not os.path.exists(path + '.index'):
    raise UserError('no checkpoint at %s (expected %s.index); give the name without its ending'
                    % (path, path))
  try:
    return tf.train.load_checkpoint(path)
  except DAMAGED as error:
    raise UserError('checkpoint %s is damaged: %s' % (path, reason(error)))


def read_tensor(reader, name, path):
  """The array `name` of the checkpoint at `path` that `reader` is of, UserError where damaged."""
  try:
    return reader.get_tensor(name)
  except DAMAGED as error:
    raise UserError('checkpoint %s is damaged at %s: %s' % (path, name, reason(error)))


def read_description(path):
  """What was saved beside the checkpoint at `path`, as a dict."""
  open_checkpoint(path)
  return read_json(path + '.json', 'description of checkpoint')


def described_checkpoints(folder):
  """List of (path, description) of the checkpoints in `folder` that have one, whole or broken."""
  described = []
  for name in sorted(os.listdir(folder)):
    match = _DESCRIPTION.match(name)
    if match:
      with contextlib.suppress(UserError):  # It is somebody else's.
        described.append((os.path.join(folder, match.group('checkpoint')),
                          read_json(os.path.join(folder, name), 'description of checkpoint')))
  return described


def checkpoint_files(path):
  """The files a checkpoint consists of."""
  folder, name = os.path.split(path)
  try:
    entries = os.listdir(folder or '.')
  except OSError as error:
    raise UserError('cannot list %s: %s' % (folder, error.strerror))
  return sorted(os.path.join(folder, e) for e in entries
                if e in (name + '.index', name + '.json') or e.startswith(name + '.data-'))


def in_order_of_writing(path):
  """The files of a checkpoint: first what says whose it is, last the index, which makes it one."""
  return sorted(checkpoint_files(path), key=lambda f: (f.endswith('.index'), '.data-' in f))


def flush(path):
  """Lets the disk have a file before another depends on it."""
  with open(path, 'rb') as stream:
    os.fsync(stream.fileno())


def possible_names(name, step):
  """Yields `<name>-<step>`, then `<name>.1-<step>` and so on, for where that is taken."""
  yield '%s-%s' % (name, step)
  for number in itertools.count(1):
    yield '%s.%d-%s' % (name, number, step)


def copy_checkpoint(path, folder, name=None):
  """Copies a checkpoint into `folder`, its index last; returns the path of the copy.

  Args:
    path: the checkpoint.
    folder: an older checkpoint of the same name in it is replaced.
    name: of the copy; None: as it is called.
  """
  target = os.path.join(folder, name or os.path.basename(path))
  for source in in_order_of_writing(path):
    with open(source, 'rb') as stream, whole_file(target + source[len(path):]) as copied:
      shutil.copyfileobj(stream, copied)
  return target


def delete_checkpoint(path):
  """Removes the files of a checkpoint, its index first."""
  if os.path.isdir(os.path.dirname(path) or '.'):
    for name in reversed(in_order_of_writing(path)):
      os.remove(name)


@contextlib.contextmanager
def saving(path):
  """Lets a block write a checkpoint at `path` with a Saver; where it fails, nothing of it stays.

  Raises:
    UserError: the disk is full, or the like.
  """
  try:
    yield
  except (tf.errors.OpError, OSError, ValueError) as error:
    raise UserError('cannot write checkpoint %s: %s' % (path, reason(error)))
  finally:  # After Ctrl-C and SIGTERM as well.
    folder = os.path.dirname(path) or '.'
    if os.path.isdir(folder):
      remove_temporary(folder)
      if not os.path.exists(path + '.index'):
        delete_checkpoint(path)


def remove_temporary(folder):
  """Removes what TensorFlow was writing into `folder` when a save failed or was killed."""
  for name in os.listdir(folder):
    if _TEMPORARY.match(name):
      os.remove(os.path.join(folder, name))


def reason(error):
  """What an error of TensorFlow or Python says, without the place in the graph."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  if isinstance(error, UserError):
    return str(error).rpartition(': ')[2]
  return _CALL.sub('', str(getattr(error, 'message', error))).partition('\n')[0]
