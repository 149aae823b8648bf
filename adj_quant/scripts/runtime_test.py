"""Tests of the environment that TensorFlow starts in."""

import logging
import os
import subprocess
import sys
import threading
import warnings

import pytest
import tensorflow.compat.v1 as tf

from scripts.paths import ADJ_QUANT
from scripts.runtime import new_session, prepare_tensorflow

ENVIRONMENT = {'TF_CPP_MIN_LOG_LEVEL': '2', 'TF_CPU_ALLOCATOR_USE_BFC': '1'}
PROGRAM = '''
from scripts import runtime
import os
import tensorflow.compat.v1 as tf
runtime.prepare_tensorflow()
with runtime.new_session() as session:
  session.run(tf.matmul(tf.ones([9, 9]), tf.ones([9, 9])))
print(*[os.environ[name] for name in %r])
''' % sorted(ENVIRONMENT)


def run(program=PROGRAM, end='', **environment):
  """Status, stdout and stderr of a Python program; the shell reads `end` after it."""
  inherited = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
  process = subprocess.run(['sh', '-c', '"$0" -c "$1" ' + end, sys.executable, program],
                           cwd=ADJ_QUANT, env={**inherited, **environment},
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  return process.returncode, process.stdout.decode(), process.stderr.decode()


def test_tensorflow_starts_without_a_word():
  assert run() == (0, '2 1\n', '')


def test_stderr_may_be_closed():
  assert run(end='2>&-') == (0, '2 1\n', '')


def test_no_temporary_file_is_needed():
  program = 'import tempfile; tempfile.TemporaryFile = lambda: open("/none/x")\n' + PROGRAM
  assert run(program)[:2] == (0, '2 1\n')


def test_what_the_user_chose_stays():
  assert run(TF_CPU_ALLOCATOR_USE_BFC='0') == (0, '2 0\n', '')
  status, out, _ = run(TF_CPP_MIN_LOG_LEVEL='0')
  assert (status, out) == (0, '0 1\n')


def test_why_tensorflow_does_not_start_is_told(tmp_path):
  package = tmp_path / 'tensorflow'
  package.mkdir()
  package.joinpath('__init__.py').write_text(
      "import os; os.write(2, b'no libcudart\\n'); raise ImportError('no TensorFlow')")
  status, _, err = run(PYTHONPATH=str(tmp_path))
  assert status == 1 and err.startswith('no libcudart\n')
  assert err.endswith('ImportError: no TensorFlow\n')


@pytest.fixture(name='settings')
def restored_settings():
  """What `prepare_tensorflow` changes is put back."""
  verbosity = logging.getLogger('tensorflow').level
  with warnings.catch_warnings():
    yield
  tf.logging.set_verbosity(verbosity)


def test_tensorflow_is_prepared(settings, recwarn):
  prepare_tensorflow()
  warnings.warn('of NumPy', FutureWarning)
  warnings.warn('of TensorFlow', DeprecationWarning)
  assert not recwarn.list
  warnings.warn('of the user\'s concern', RuntimeWarning)
  assert len(recwarn.list) == 1
  assert tf.logging.get_verbosity() == tf.logging.ERROR
  assert not tf.executing_eagerly()


@pytest.mark.parametrize('most', [1, 2])
def test_an_op_can_wait_for_another_on_any_number_of_cores(most):
  meeting, cores = threading.Barrier(2), os.sched_getaffinity(0)
  os.sched_setaffinity(0, sorted(cores)[:most])
  try:
    with tf.Graph().as_default(), new_session(use_gpu=False) as session:
      ops = [tf.py_func(lambda: meeting.wait(60) >= 0, [], tf.bool) for _ in range(2)]
      assert session.run(ops) == [True, True]
  finally:
    os.sched_setaffinity(0, cores)
