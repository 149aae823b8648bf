"""Runs stages in order: completed ones are skipped, interrupted ones resumed."""

import collections
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time

from scripts.checkpoint_paths import latest_checkpoint
from scripts.errors import Terminated, UserError
from scripts.files import check_writable, read_json, write_file
from scripts.pipeline import processes
from scripts.pipeline.stages import Newest

STAMP = 'stage.json'  # In a stage's folder: what it was begun with, and whether it is done.
_QUIET_SECONDS = 15  # Between lines where there is no terminal.
_PATIENCE = 60  # Seconds that a script has to end after Ctrl-C.
_TAIL = 20  # Lines of output shown when a stage fails.


@contextlib.contextmanager
def sole_user(folder):
  """Keeps a second demonstration, or what is left of a killed one, out of its folder."""
  with open(os.path.join(folder, 'lock'), 'w') as stream:  # Scripts inherit it, so it holds on.
    try:
      fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      print('waiting until another demonstration in %s has ended' % folder, flush=True)
      fcntl.flock(stream, fcntl.LOCK_EX)
    yield


class Runner:
  """Runs stages in order; a completed one marks its folder and is skipped.

  A stage is done when it was run with the commands that it has now, after the same stages. One
  that was interrupted resumes in its folder if its scripts can; otherwise, and with other
  commands, it begins with an empty folder.
  """

  def __init__(self, work, source, total):
    """Describes a run.

    Args:
      work: folder that holds those of the stages.
      source: text that identifies what the first stage works on.
      total: number of stages, for the user.
    """
    self._work, self._fingerprint, self._total = work, source, total
    self.seconds = collections.OrderedDict()  # Stage -> how long it took, perhaps earlier.

  def run(self, stage):
    """Runs a `stages.Stage` unless it is done.

    Raises:
      UserError: a command failed, its last lines are printed before; or the stage's folder is
        somebody else's.
    """
    self._fingerprint = _fingerprint(stage, self._fingerprint)
    folder = os.path.join(self._work, stage.name)
    title = '[%d/%d] %s' % (len(self.seconds) + 1, self._total, stage.title)
    stamp = _read_stamp(folder)
    if stamp.get('fingerprint') != self._fingerprint:
      _empty(folder)
      stamp = {'fingerprint': self._fingerprint, 'seconds': 0.0, 'done': False}
    if not stamp['done']:
      if not stage.resumes:
        _empty(folder)
      check_writable(folder)
      _run_stage(stage, folder, title, stamp)
    print('%s: done, %d s' % (title, round(stamp['seconds'])), flush=True)
    self.seconds[stage.name] = stamp['seconds']

  def run_branch(self, stages):
    """Runs a list of stages on which those that are run after it do not depend."""
    before = self._fingerprint
    for stage in stages:
      self.run(stage)
    self._fingerprint = before


def newest_checkpoint(folder):
  """Path of the checkpoint with the most steps in `folder`, the last written among equals."""
  path = latest_checkpoint(folder, log=lambda line: None)
  if not path:
    raise UserError('there is no checkpoint in %s: delete %s to train again'
                    % (folder, os.path.dirname(folder)))
  return path


def identify_files(folder):
  """Text that changes when the files of `folder` do: their names, sizes and times."""
  try:
    entries = [(entry.name, entry.stat().st_size, entry.stat().st_mtime)
               for entry in os.scandir(folder) if entry.is_file()]
  except OSError as error:
    raise UserError('cannot read the data folder %s: %s' % (folder, error.strerror))
  return hashlib.sha256(repr(sorted(entries)).encode()).hexdigest()


def _empty(folder):
  """Removes the folder of a stage, and no other."""
  if os.path.isdir(folder) and os.listdir(folder):
    if not os.path.exists(os.path.join(folder, STAMP)):
      raise UserError('%s is not a work folder of the demo (it has no %s): choose another '
                      '--work_dir' % (folder, STAMP))
    shutil.rmtree(folder)


def _fingerprint(stage, before):
  return hashlib.sha256(json.dumps([before, stage]).encode()).hexdigest()


def _read_stamp(folder):
  path = os.path.join(folder, STAMP)
  return read_json(path, 'stamp of a stage') if os.path.exists(path) else {}


def _write_stamp(folder, stamp):
  write_file(os.path.join(folder, STAMP), json.dumps(stamp, indent=1, sort_keys=True) + '\n')


def _run_stage(stage, folder, title, stamp):
  _write_stamp(folder, stamp)
  began, before = time.time(), stamp['seconds']
  try:
    with open(os.path.join(folder, 'output.log'), 'ab') as log:
      for command in stage.commands:
        _run_command(_resolve(command), log, title, began)
    stamp['done'] = True
  finally:
    stamp['seconds'] = before + time.time() - began
    _write_stamp(folder, stamp)


def _resolve(command):
  return [newest_checkpoint(word.folder) if isinstance(word, Newest) else word
          for word in command]


def _run_command(command, log, title, began):
  """Runs a script of this project; its output goes to `log` and its last line to the user."""
  log.write(('$ python %s\n' % ' '.join(command)).encode())
  log.flush()
  readable, writable = os.pipe()
  process = processes.start(command, writable)
  os.close(writable)
  tail = collections.deque([''], _TAIL)
  with open(readable, 'rb') as stream:
    reader = threading.Thread(target=_read, args=(stream, log, tail))
    reader.start()
    try:
      _show(reader, tail, _Progress('%s (%s)' % (title, os.path.basename(command[0])), began))
    except Terminated:  # Unlike Ctrl-C, this process alone got it.
      process.terminate()
      raise
    finally:
      _end(process, reader)
      status = processes.join(process)
  if status == 2:  # Bad input, and the last line tells which.
    raise UserError('%s: %s; all of its output is in %s' % (
        os.path.basename(command[0]), re.sub('^error: ', '', tail[-1]), log.name))
  if status:
    print('\n'.join(line for line in tail if line), file=sys.stderr)
    raise UserError('%s ended with status %d; all of its output is in %s; the same command resumes '
                    'from here' % (os.path.basename(command[0]), status, log.name))


def _show(reader, tail, progress):
  """Shows how far a script is, until it ends."""
  try:
    while reader.is_alive():
      reader.join(0.2)
      progress.show(tail[-1])
  finally:
    progress.clear()


def _end(process, reader):
  """Lets a script that was interrupted along with this one save what it has, and end."""
  reader.join(_PATIENCE)
  if reader.is_alive():
    process.terminate()
    reader.join()


def _read(stream, log, tail):
  """Copies a stream to `log` and keeps its last lines; a carriage return ends a line, too."""
  line = b''
  for byte in iter(lambda: stream.read1(4096), b''):
    log.write(byte)
    log.flush()
    pieces = re.split(b'[\r\n]+', line + byte)
    line = pieces.pop()
    tail.extend(piece.decode('utf-8', 'replace').strip() for piece in pieces if piece.strip())
  if line.strip():
    tail.append(line.decode('utf-8', 'replace').strip())


class _Progress:
  """One line at the bottom of a terminal; without one, a line now and then."""

  def __init__(self, title, began):
    self._title, self._began, self._shown = title, began, time.time()
    self._terminal = sys.stdout.isatty()

  def show(self, text):
    """Shows the last line of output."""
    minutes, seconds = divmod(int(time.time() - self._began), 60)
    line = '%s %d:%02d %s' % (self._title, minutes, seconds, text)
    if self._terminal:
      width = shutil.get_terminal_size().columns - 1
      sys.stdout.write('\r%-*s' % (width, line[:width]))
    elif time.time() - self._shown >= _QUIET_SECONDS:
      self._shown = time.time()
      sys.stdout.write(line + '\n')
    sys.stdout.flush()

  def clear(self):
    """Takes the line away."""
    if self._terminal:
      sys.stdout.write('\r%s\r' % (' ' * (shutil.get_terminal_size().columns - 1)))
      sys.stdout.flush()
