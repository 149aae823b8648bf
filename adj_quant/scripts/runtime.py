"""The environment that TensorFlow starts in, and its sessions."""

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


def new_session(allow_growth=False, use_gpu=True):
  """A session on the default graph; `allow_growth` takes GPU memory as it is needed."""
  config = tf.ConfigProto(device_count=None if use_gpu else {'GPU': 0})
  config.gpu_options.allow_growth = allow_growth
  # Rewriting the graph takes longer than it saves: seconds before the first step.
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return tf.Session(config=config)
