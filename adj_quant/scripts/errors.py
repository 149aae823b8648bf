"""What the user can put right, said in one line."""

import argparse
import functools
import os
import sys


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


def _discard_output():
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def exits_with_status(main):
  """Decorates `main(argv=None)`: returns its status, 2 after bad input, 130 after Ctrl-C."""
  @functools.wraps(main)
  def guarded(argv=None):
    try:
      status = main(argv) or 0
      sys.stdout.flush()
      return status
    except BrokenPipeError:  # The reader of a pipe has had enough; say nothing at exit either.
      _discard_output()
      return 0
    except OSError as error:
      _discard_output()
      print('error: %s: %s' % (error.filename or 'output', error.strerror), file=sys.stderr)
      return 2
    except UserError as error:
      print('error: %s' % ' '.join(str(error).split()), file=sys.stderr)
      return 2
    except KeyboardInterrupt:
      print('stopped', file=sys.stderr)
      return 130
  return guarded
