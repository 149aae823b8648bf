"""What the user can put right, said in one line."""

import functools
import os
import sys
import warnings


class UserError(Exception):
  """Bad input: the message names the file, flag or layer and what to do, in one line."""


def prepare_tensorflow():
  """Sets what TensorFlow reads from the environment when it starts; call it first in a `main`.

  Keeps the start-up chatter of TensorFlow and NumPy from the user's terminal, and takes
  TensorFlow's own allocator for tensors on the CPU: the C library's gives large ones back to the
  system after every op, and fetching them again costs about a third of a step.
  """
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
  os.environ.setdefault('TF_CPU_ALLOCATOR_USE_BFC', '1')
  warnings.filterwarnings('ignore', category=FutureWarning)
  warnings.filterwarnings('ignore', category=DeprecationWarning)
  try:
    import tensorflow.compat.v1 as tf
  except ImportError:  # cost.py and its like run without TensorFlow.
    return
  tf.logging.set_verbosity(tf.logging.ERROR)


def exits_with_status(main):
  """Decorates `main(argv=None)`: returns its status, 2 after a `UserError`, 130 after Ctrl-C."""
  @functools.wraps(main)
  def guarded(argv=None):
    try:
      return main(argv) or 0
    except UserError as error:
      print('error: %s' % ' '.join(str(error).split()), file=sys.stderr)
      return 2
    except KeyboardInterrupt:
      print('stopped', file=sys.stderr)
      return 130
  return guarded
