"""The environment that TensorFlow starts in."""

import os
import warnings

import tensorflow.compat.v1 as tf


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
  tf.logging.set_verbosity(tf.logging.ERROR)
