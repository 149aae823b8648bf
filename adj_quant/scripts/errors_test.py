"""Tests of exit statuses and of how bad flags are refused."""

import os
import subprocess
import sys

import pytest

from scripts.errors import ArgumentParser, UserError, exits_with_status


@exits_with_status
def main(argv=None):
  """Returns or raises what it is given."""
  if isinstance(argv, BaseException):
    raise argv
  return argv


@pytest.mark.parametrize('returned, status', [(None, 0), (0, 0), (3, 3)])
def test_status_of_a_main_that_returns(capsys, returned, status):
  assert main(returned) == status
  assert capsys.readouterr() == ('', '')


def test_user_error_is_one_line_and_status_2(capsys):
  assert main(UserError('cannot read\n  the file')) == 2
  assert capsys.readouterr() == ('', 'error: cannot read the file\n')


def test_interrupt_is_status_130(capsys):
  assert main(KeyboardInterrupt()) == 130
  assert capsys.readouterr() == ('', 'stopped\n')


@pytest.mark.parametrize('error', [ValueError('a defect'), SystemExit(7)])
def test_other_errors_pass(error):
  with pytest.raises(type(error)):
    main(error)


def test_name_and_docstring_are_kept():
  assert main.__name__ == 'main' and main.__doc__ == 'Returns or raises what it is given.'


def test_bad_flags_are_one_line_and_status_2(capsys):
  parser = ArgumentParser('A script.')
  parser.add_argument('--batch_size', type=int)
  for argv in (['--batch_size', 'x'], ['--batch', '3']):  # Abbreviations are no flags.
    with pytest.raises(SystemExit) as ended:
      parser.parse_args(argv)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.count('\n') == 1 and '--batch' in err


def test_a_reader_that_stops_early_is_no_error(tmp_path):
  script = tmp_path / 'talk.py'
  script.write_text('''
import sys
from scripts.errors import exits_with_status
sys.exit(exits_with_status(lambda argv: print('x' * 10 ** 6))())
''')
  folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  talk = subprocess.Popen([sys.executable, str(script)], env=dict(os.environ, PYTHONPATH=folder),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  talk.stdout.close()
  assert (talk.stderr.read(), talk.wait()) == (b'', 0)
  talk.stderr.close()
