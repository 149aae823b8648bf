"""Which implementation of the quantisers runs."""

import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.ops import build, fused

IMPLEMENTATIONS = ('auto', 'fused', 'ops')


def choose(wanted, log=print):
  """'fused' or 'ops' for one of IMPLEMENTATIONS; says so where 'auto' has to take 'ops'.

  Raises:
    UserError: 'fused' is wanted and cannot be had.
  """
  if wanted == 'ops':
    return 'ops'
  obstacle = _obstacle()
  if not obstacle:
    return 'fused'
  if wanted == 'fused':
    raise UserError('--quantizer_impl fused: ' + obstacle)
  log('note: quantisers run on TensorFlow\'s ops: ' + obstacle)
  return 'ops'


def _obstacle():
  """What keeps the compiled kernels from running; empty where nothing does."""
  if tf.test.is_built_with_cuda() and tf.test.is_gpu_available():
    return 'the kernels are for the CPU, and there is a GPU'
  if not fused.available():
    return 'the kernels are not compiled (`python %s` does it, with a C++ compiler)' % build.PROGRAM
  try:
    fused.load()
  except (tf.errors.OpError, OSError) as error:
    return 'the kernels cannot be loaded (%s)' % str(error).partition('\n')[0]
  return ''
