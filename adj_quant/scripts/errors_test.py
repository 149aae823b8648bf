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


@pytest.fixture(name='talk')
def talking_script(tmp_path):
  """Starts a script that prints a million letters to `stdout`."""
  script = tmp_path / 'talk.py'
  script.write_text('''
import sys
from scripts.errors import exits_with_status
sys.exit(exits_with_status(lambda argv: print('x' * 10 ** 6))())
''')
  folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

  def start(stdout):
    return subprocess.Popen([sys.executable, str(script)], stdout=stdout, stderr=subprocess.PIPE,
                            env=dict(os.environ, PYTHONPATH=folder))

  return start


def test_a_reader_that_stops_early_is_no_error(talk):
  process = talk(subprocess.PIPE)
  process.stdout.close()
  assert (process.stderr.read(), process.wait()) == (b'', 0)
  process.stderr.close()


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no device that is always full')
def test_output_to_a_full_disk_is_one_line_and_status_2(talk):
  with open('/dev/full', 'wb') as full:
    process = talk(full)
    assert process.stderr.read() == b'error: output: No space left on device\n'
    assert process.wait() == 2
  process.stderr.close()
