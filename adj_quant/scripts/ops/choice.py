"""Which implementation of the quantisers runs."""

import tensorflow.compat.v1 as tf

from scripts import runtime, stack
from scripts.errors import UserError
from scripts.ops import compilation, fused

IMPLEMENTATIONS = ('auto', 'fused', 'ops', 'xla')


def choose(wanted, log=print, allow_growth=False):
  """'fused', 'ops' or 'xla' for one of IMPLEMENTATIONS; says so where 'auto' takes 'ops'.

  Args:
    wanted: one of IMPLEMENTATIONS.
    log: receives a line for the user.
    allow_growth: of the sessions to come: the first to open a GPU decides for all.

  Raises:
    UserError: 'fused' or 'xla' is wanted and cannot be had.
  """
  if wanted == 'xla' and not stack.HAS_XLA_SCOPES:
    raise UserError('--xla: TensorFlow %s cannot compile single ops; `make setup STACK=current` '
                    'installs one that can' % tf.version.VERSION)
  if wanted in ('ops', 'xla'):
    return wanted
  obstacle = _obstacle(allow_growth)
  if not obstacle:
    return 'fused'
  if wanted == 'fused':
    raise UserError('--quantizer_impl fused: ' + obstacle)
  log('note: quantisers run on TensorFlow\'s ops: ' + obstacle)
  return 'ops'


def _obstacle(allow_growth):
  """What keeps the fused ops from running; empty where nothing does."""
  if runtime.count_gpus(allow_growth):
    return 'the fused ops are for the CPU, and there is a GPU'
  if not fused.available():
    return ('the fused ops are not compiled (`python %s` does it, with a C++ compiler)'
            % compilation.PROGRAM)
  try:
    fused.load()
  except (tf.errors.OpError, OSError) as error:
    return 'the fused ops cannot be loaded (%s)' % str(error).partition('\n')[0]
  return ''
