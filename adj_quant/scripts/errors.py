"""Errors that a user can correct, reported in one line."""

import argparse
import contextlib
import functools
import io
import os
import signal
import sys
import threading


class UserError(Exception):
  """Bad input: the message names the file, flag or layer and what to do, in one line."""


def _help_formatter(prog):
  return argparse.HelpFormatter(prog, max_help_position=32, width=100)


class ArgumentParser(argparse.ArgumentParser):
  """A parser that refuses bad flags in one line, and abbreviations of flags."""

  def __init__(self, description):
    super(ArgumentParser, self).__init__(
        description=description, allow_abbrev=False, formatter_class=_help_formatter)

  def error(self, message):
    """Ends the program with status 2."""
    self.exit(2, 'error: %s (see %s --help)\n' % (message, self.prog))


class Terminated(KeyboardInterrupt):
  """This process got SIGTERM; whatever ends for Ctrl-C ends for it, too."""


def exits_with_status(main):
  """Decorates `main(argv=None)`: it returns the status of the process.

  2 after bad input, 130 after Ctrl-C, 143 after SIGTERM, each with one line on stderr. What stdout
  cannot encode, such as the name of a file that is not UTF-8, is printed as escapes.
  """
  @functools.wraps(main)
  def guarded(argv=None):
    _prepare_output()
    try:
      with _sigterm_raises():
        status = main(argv) or 0
        sys.stdout.flush()
      return status
    except BrokenPipeError:  # The reader of a pipe has had enough; say nothing at exit either.
      _discard_output()
      return 0
    except OSError as error:
      return _end(2, 'error: %s: %s' % (error.filename or 'output', error.strerror or error))
    except UserError as error:
      return _end(2, 'error: %s' % _shortened(' '.join(str(error).split())))
    except UnicodeEncodeError as error:
      text = error.object[max(error.start - 80, 0):error.end + 80]
      return _end(2, 'error: %s is not UTF-8, which TensorFlow needs: rename it' % ascii(text))
    except Terminated:
      return _end(128 + signal.SIGTERM, 'stopped by SIGTERM')
    except KeyboardInterrupt:
      return _end(130, 'stopped')
  return guarded


def _shortened(text):
  """A message in which a file's content may be: its ends, which say what is wrong."""
  return text if len(text) <= 2000 else '%s ... %s' % (text[:1000], text[-1000:])


def _end(status, message):
  """Prints what came before and `message`; returns `status`."""
  try:
    sys.stdout.flush()
  except OSError:  # Else Python tries again at exit, and complains.
    _discard_output()
  print(message, file=sys.stderr)
  return status


def _discard_output():
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_output():
  """Replaces a stdout that is closed, or that fails where it cannot encode a character."""
  for name in ('stdout', 'stderr'):
    if getattr(sys, name) is None:  # The process was started with it closed.
      setattr(sys, name, open(os.devnull, 'w'))
  stdout = sys.stdout
  if stdout is sys.__stdout__ and stdout.errors != 'backslashreplace':
    stdout.flush()
    sys.stdout = io.TextIOWrapper(  # Python 3.6 cannot change the one it has.
        stdout.buffer, stdout.encoding, 'backslashreplace', line_buffering=stdout.line_buffering,
        write_through=getattr(stdout, 'write_through', False))


@contextlib.contextmanager
def _sigterm_raises():
  """Lets SIGTERM raise `Terminated` in the main thread, unless it is handled or ignored already."""
  def interrupt(*_):
    raise Terminated

  if (threading.current_thread() is not threading.main_thread()
      or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL):
    yield
    return
  signal.signal(signal.SIGTERM, interrupt)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
