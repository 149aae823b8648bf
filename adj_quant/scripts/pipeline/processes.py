"""Scripts of this project in processes that start with TensorFlow imported.

A demonstration runs some twenty scripts, and to import TensorFlow and its contrib takes each longer
than most of what it does. So they are forks of one process that has imported them, and has never
made a session: nothing of TensorFlow runs in it that a fork would miss.
"""

import gc
import importlib
import io
import multiprocessing
import os
import runpy
import signal
import sys
import threading

from scripts.paths import SLIM

_FORKS = multiprocessing.get_context('fork')


def preload():
  """Imports what most scripts import, without making anything of it."""
  sys.path.append(SLIM)
  importlib.import_module('contrib')


def start(command, output=None):
  """Starts `python -u COMMAND`, without an input.

  It gets SIGTERM when this process is gone.

  Args:
    command: list of words, the first the path of a script.
    output: file descriptor for all it says; None: that of this process.

  Returns:
    `multiprocessing.Process`.
  """
  sys.stdout.flush()
  sys.stderr.flush()
  lifeline, held = os.pipe()
  process = _FORKS.Process(target=_be_script, args=(list(command), output, lifeline, held))
  # What this process leaves to the garbage collector is freed here or never: a fork that frees a
  # graph of TensorFlow waits for ever for a lock that another thread held.
  gc.collect()
  gc.disable()
  try:
    process.start()
  finally:
    gc.enable()
  os.close(lifeline)
  process.held = held  # It closes with this process, however that ends, or in `join`.
  return process


def join(process):
  """Waits for a process of `start`; its exit status, negative for a signal."""
  process.join()
  os.close(process.held)
  return process.exitcode


def _be_script(command, output, lifeline, held):
  """Turns a fork into what `python -u COMMAND` would be."""
  if hasattr(gc, 'freeze'):  # Python 3.6 has none.
    gc.freeze()
  gc.enable()
  os.close(held)
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
  os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
  for number in (1, 2) if output is not None else ():
    os.dup2(output, number)
  sys.stdout, sys.stderr = (io.TextIOWrapper(open(number, 'wb', 0, closefd=False),
                                             errors='backslashreplace', write_through=True)
                            for number in (1, 2))
  threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
  sys.argv, sys.path[0] = command, os.path.dirname(command[0])
  runpy.run_path(command[0], run_name='__main__')


def _watch(lifeline):
  """Ends this process as `kill` does when nobody holds the other end any more."""
  os.read(lifeline, 1)
  os.kill(os.getpid(), signal.SIGTERM)
