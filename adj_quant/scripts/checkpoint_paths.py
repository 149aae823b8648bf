"""Which checkpoint a user means by a path, for every script of both halves.

A path may be a checkpoint's name, with or without its step; any of its files; TensorFlow's file
`checkpoint`; or a folder of checkpoints.
"""

import contextlib
import ntpath
import os
import re

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.files import read_json

BEST = 'best.json'  # In a folder of best checkpoints: {"checkpoint": its name, ...}.
LATEST = 'checkpoint'  # TensorFlow's file, which names the latest checkpoint of a folder.
_ENDING = re.compile(r'\.(index|meta|json|data-\d{5}-of-\d{5})$')
_STEP = re.compile(r'-(\d+)$')
_AFTER_NAME = r'(_swa)?(\.\d+)*-\d+$'  # What a training run appends to NAME.
_LISTED = 5  # Names in a message.


def find_checkpoint(path, log=print):
  """The checkpoint that a user means by a path.

  Args:
    path: a checkpoint's name; one that lacks its step, where one checkpoint alone has that name;
      the former name, with its step, of one that was renamed to a name without; one of a
      checkpoint's files; a folder, see `latest_checkpoint`; or the file in it that names a
      checkpoint.
    log: receives a line for the user where the path leaves a choice.

  Returns:
    Its path without an ending; `<path>.index` exists.

  Raises:
    UserError: there is no such checkpoint, or there are several. The message says what was looked
      for and what is there.
  """
  name = without_ending(path)
  for exact in (path, name):
    if os.path.exists(exact + '.index'):
      return exact
  if os.path.isdir(path):
    return _in_folder(path, log)
  if os.path.basename(path) in (LATEST, BEST) and os.path.isfile(path):
    return _in_folder(os.path.dirname(path) or '.', log)
  folder, base = os.path.split(name)
  there = checkpoint_names(folder or '.') if os.path.isdir(folder or '.') else []
  candidates = [each for each in there if re.match(re.escape(base) + _AFTER_NAME, each)
                or _lost_its_step(folder, each, base)]
  if len(candidates) == 1:
    chosen = os.path.join(folder, candidates[0])
    log('note: there is no checkpoint %s; taking %s' % (path, chosen))
    return chosen
  if candidates:
    raise UserError('%s may be %s: name one' % (path, _list(candidates)))
  raise UserError('no checkpoint at %s: looked for %s.index and %s-<step>.index; %s'
                  % (path, base, base, _contents(folder or '.', base)))


def _lost_its_step(folder, name, former):
  """Whether the checkpoint `name` was called `former` before: its description has that step."""
  match = re.match(re.escape(name) + _AFTER_NAME, former)
  description = os.path.join(folder, name + '.json')
  if not match or not os.path.isfile(description):
    return False
  with contextlib.suppress(UserError):  # It is somebody else's.
    step = read_json(description, 'description of checkpoint').get('step')
    return type(step) is int and former.endswith('-%d' % step)
  return False


def without_ending(path):
  """The checkpoint that a file of that name belongs to; a checkpoint's name as it is."""
  return _ENDING.sub('', path)


def is_checkpoint_file(path):
  """Whether a file belongs to a checkpoint, names one, or is called as one is."""
  return bool(os.path.exists(path + '.index') or _ENDING.search(path)
              or os.path.basename(path) in (LATEST, BEST))


def latest_checkpoint(folder, log=print, name=None):
  """The checkpoint that a folder stands for.

  It is the one that the file `best.json` or `checkpoint` names; where there is no such file, or
  what it names is gone, the one of the highest step, the last written among equals; else the only
  one. A folder that was copied from elsewhere may name its former place: the checkpoint of that
  name in the folder itself is taken.

  Args:
    folder: of checkpoints.
    log: receives a line for the user where none is named, or one that is elsewhere.
    name: where none is named, only checkpoints `<name>-<step>` count.

  Returns:
    Its path; None in a folder without checkpoints.

  Raises:
    UserError: the folder cannot be read, or has several checkpoints and none has a step.
  """
  source, named = _named(folder)
  if named:
    local = os.path.join(folder, ntpath.basename(named))
    for path in (local, named):
      if os.path.exists(path + '.index'):
        if os.path.abspath(path) != os.path.abspath(named):
          log('note: %s names %s; taking %s' % (source, named, path))
        return path
  there = checkpoint_names(folder)
  if name:
    there = [each for each in there if re.match(re.escape(name) + r'-\d+$', each)]
  if not there:
    return None
  path = _highest_step(folder, there)
  if source:
    log('note: %s names %s; taking the last one, %s' % (
        source, named + ', which is not there' if named else 'no checkpoint', path))
  elif len(there) > 1:
    log('note: taking the last of %d checkpoints, %s' % (len(there), path))
  return path


def checkpoint_names(folder):
  """Sorted names, without an ending, of the checkpoints in a folder. Raises UserError."""
  try:
    entries = os.listdir(folder)
  except OSError as error:
    raise UserError('cannot list the folder %s: %s' % (folder, error.strerror))
  return sorted(entry[:-len('.index')] for entry in entries
                if entry.endswith('.index') and not entry.startswith('.'))


def _in_folder(folder, log):
  path = latest_checkpoint(folder, log)
  if path:
    return path
  _, named = _named(folder)
  raise UserError('no checkpoint in the folder %s: %s%s' % (
      folder, 'it names %s, which is not there; ' % named if named else '', _contents(folder)))


def _named(folder):
  """(file, path) that a folder's record names as its checkpoint.

  The path is None where the file is damaged; (None, None) without such a file.
  """
  source = os.path.join(folder, BEST)
  if os.path.isfile(source):
    try:
      name = read_json(source, 'record of the best checkpoint').get('checkpoint')
    except UserError:
      return source, None
    return source, os.path.join(folder, name) if isinstance(name, str) and name else None
  source = os.path.join(folder, LATEST)
  if not os.path.isfile(source):
    return None, None
  try:
    state = tf.train.get_checkpoint_state(folder)
  except (tf.errors.OpError, ValueError):  # ValueError: its bytes are not UTF-8.
    return source, None
  return source, (state.model_checkpoint_path or None) if state else None


def _highest_step(folder, names):
  """Path of the last one of some checkpoints in a folder."""
  steps = [(int(match.group(1)), os.path.getmtime(os.path.join(folder, name + '.index')), name)
           for name, match in ((each, _STEP.search(each)) for each in names) if match]
  if not steps and len(names) > 1:
    raise UserError('%s holds the checkpoints %s, without steps: name one'
                    % (folder, _list(names)))
  return os.path.join(folder, max(steps)[-1] if steps else names[0])


def _contents(folder, base=None):
  """What is in a folder in place of the checkpoint `base`, for a message."""
  if not os.path.isdir(folder):
    return 'there is no folder %s' % folder
  entries, names = sorted(os.listdir(folder)), checkpoint_names(folder)
  parts = [each for each in entries if base and (each == base or each.startswith(base + '.'))]
  if parts:
    return 'only %s is there' % _list(parts)
  if names:
    return '%s holds the checkpoints %s' % (folder, _list(names))
  with_some = [each for each in entries if _holds_checkpoints(os.path.join(folder, each))]
  if with_some:
    return 'there are checkpoints in its folders %s' % _list(with_some)
  return '%s holds %s' % (folder, _list(entries) or 'nothing')


def _holds_checkpoints(folder):
  with contextlib.suppress(UserError):  # No folder, or one that cannot be read.
    return bool(checkpoint_names(folder))
  return False


def _list(names):
  shown = ', '.join(names[:_LISTED])
  return '%s and %d more' % (shown, len(names) - _LISTED) if len(names) > _LISTED else shown
