"""Tests of exit statuses and of how bad flags are refused."""

import os
import signal
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


def test_a_message_of_any_length_can_be_read(capsys):
  assert main(UserError('file x' + 'y' * 10**6 + ' is wrong')) == 2
  err = capsys.readouterr().err
  assert len(err) < 2100 and err.startswith('error: file x') and err.endswith('y is wrong\n')


def test_interrupt_is_status_130(capsys):
  assert main(KeyboardInterrupt()) == 130
  assert capsys.readouterr() == ('', 'stopped\n')


def test_a_name_that_tensorflow_cannot_take_is_one_line_and_status_2(capsys):
  with pytest.raises(UnicodeEncodeError) as error:
    '/data/caf\udce9'.encode('utf-8')
  assert main(error.value) == 2
  assert capsys.readouterr().err == (
      "error: '/data/caf\\udce9' is not UTF-8, which TensorFlow needs: rename it\n")


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


def start(body, stdout=subprocess.PIPE, **environment):
  """Starts a process whose `main` is the body of a function."""
  script = '''
import os, signal, sys, time
from scripts.errors import Terminated, exits_with_status
from scripts.files import whole_file
@exits_with_status
def main(argv=None):
  %s
sys.exit(main())
''' % body
  folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  return subprocess.Popen([sys.executable, '-c', script], stdout=stdout, stderr=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=folder, **environment))


@pytest.fixture(name='talk')
def talking_script():
  """Starts a script that prints a million letters to `stdout`."""
  return lambda stdout: start('print("x" * 10 ** 6)', stdout)


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


@pytest.mark.parametrize('encoding', ['ascii', 'utf-8'])
def test_any_name_can_be_printed(encoding):
  process = start(r'print("caf\udce9 \xe4")', PYTHONIOENCODING=encoding)
  assert process.communicate() == (
      b'caf\\udce9 ' + '\xe4'.encode(encoding, 'backslashreplace') + b'\n', b'')
  assert process.wait() == 0


def test_output_that_is_closed_is_not_needed():
  command = 'exec "%s" -c "%s" >&-' % (sys.executable, (
      'from scripts.errors import exits_with_status; import sys; '
      'sys.exit(exits_with_status(lambda argv: print(1))())'))
  folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  process = subprocess.Popen(['sh', '-c', command], stderr=subprocess.PIPE,
                             env=dict(os.environ, PYTHONPATH=folder))
  assert process.communicate()[1] == b'' and process.returncode == 0


def test_sigterm_is_one_line_and_status_143_and_leaves_nothing(tmp_path):
  process = start('''
  with whole_file(%r) as stream:
    stream.write(b'half')
    print('writing', flush=True)
    time.sleep(60)''' % str(tmp_path / 'file'))
  assert process.stdout.readline() == b'writing\n'
  process.terminate()
  assert process.communicate() == (b'', b'stopped by SIGTERM\n')
  assert process.returncode == 143 and os.listdir(str(tmp_path)) == []


def test_a_script_that_handles_sigterm_itself_does_so(capsys):
  def ignore(*_):
    print('not now')

  former = signal.signal(signal.SIGTERM, ignore)
  try:
    assert exits_with_status(lambda argv: os.kill(os.getpid(), signal.SIGTERM))() == 0
    assert signal.getsignal(signal.SIGTERM) is ignore
  finally:
    signal.signal(signal.SIGTERM, former)
  assert capsys.readouterr() == ('not now\n', '')


def test_sigterm_is_as_before_after_main():
  former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
  try:
    assert exits_with_status(lambda argv: os.kill(os.getpid(), signal.SIGTERM))() == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
  finally:
    signal.signal(signal.SIGTERM, former)
