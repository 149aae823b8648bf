"""Tests of exit statuses and of what is set before TensorFlow starts."""

import logging
import os
import sys
import warnings

import pytest
import tensorflow.compat.v1 as tf

from scripts.errors import UserError, exits_with_status, prepare_tensorflow


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


ENVIRONMENT = {'TF_CPP_MIN_LOG_LEVEL': '2', 'TF_CPU_ALLOCATOR_USE_BFC': '1'}


@pytest.fixture(name='environment')
def restored_environment(monkeypatch):
  """The environment without its variables; what `prepare_tensorflow` changes is put back."""
  verbosity = logging.getLogger('tensorflow').level
  for name in ENVIRONMENT:
    monkeypatch.setenv(name, '')  # So that it is put back even where it is not set.
    monkeypatch.delenv(name)
  with warnings.catch_warnings():
    yield os.environ
  tf.logging.set_verbosity(verbosity)


def test_tensorflow_is_prepared(environment, recwarn):
  prepare_tensorflow()
  warnings.warn('of NumPy', FutureWarning)
  warnings.warn('of TensorFlow', DeprecationWarning)
  assert not recwarn.list
  warnings.warn('of the user\'s concern', RuntimeWarning)
  assert len(recwarn.list) == 1
  assert {name: environment[name] for name in ENVIRONMENT} == ENVIRONMENT
  assert tf.logging.get_verbosity() == tf.logging.ERROR


@pytest.mark.parametrize('name', sorted(ENVIRONMENT))
def test_what_the_user_chose_stays(environment, name):
  environment[name] = '0'
  prepare_tensorflow()
  assert {n: environment[n] for n in ENVIRONMENT} == dict(ENVIRONMENT, **{name: '0'})


@pytest.mark.usefixtures('environment')
def test_scripts_that_need_no_tensorflow_do_without(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow.compat.v1', None)
  prepare_tensorflow()
