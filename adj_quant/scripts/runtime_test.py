"""Tests of the environment that TensorFlow starts in."""

import logging
import os
import threading
import warnings

import pytest
import tensorflow.compat.v1 as tf

from scripts.runtime import new_session, prepare_tensorflow

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
