"""The environment that TensorFlow starts in, and its sessions.

Importing this module sets that environment: a current TensorFlow reads it while it is imported, and
modules import TensorFlow at their top. So a script imports this module before any other that
imports TensorFlow.
"""

import contextlib
import os
import sys
import tempfile
import warnings

# Keeps the chatter of TensorFlow from the user's terminal, unless he asks for another level.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
# TensorFlow's own allocator for tensors on the CPU: the C library's gives large ones back to the
# system after every op, and fetching them again costs about a third of a step.
os.environ.setdefault('TF_CPU_ALLOCATOR_USE_BFC', '1')


@contextlib.contextmanager
def _silent_unless_it_fails():
  """Keeps from stderr what a block writes there, C++ included, unless it raises."""
  with tempfile.TemporaryFile() as written:
    sys.stderr.flush()
    stderr = os.dup(2)
    os.dup2(written.fileno(), 2)
    try:
      yield
    except BaseException:
      sys.stderr.flush()
      written.seek(0)
      os.write(stderr, written.read())
      raise
    finally:
      sys.stderr.flush()
      os.dup2(stderr, 2)
      os.close(stderr)


# Some lines a current TensorFlow prints before it knows its log level.
with contextlib.ExitStack() as block:
  if os.environ['TF_CPP_MIN_LOG_LEVEL'] == '2' and sys.stderr is not None:  # None: it is closed.
    with contextlib.suppress(OSError):  # No temporary file can be made.
      block.enter_context(_silent_unless_it_fails())
  import tensorflow.compat.v1 as tf

  from scripts import stack


def prepare_tensorflow():
  """Makes TensorFlow and NumPy quiet, graphs what TensorFlow builds, float32 what a GPU computes;
  first in a `main`.
  """
  warnings.filterwarnings('ignore', category=FutureWarning)
  warnings.filterwarnings('ignore', category=DeprecationWarning)
  tf.logging.set_verbosity(tf.logging.ERROR)  # Before the next line, which is deprecated.
  tf.disable_v2_behavior()
  stack.allow_tf32(False)


def cores():
  """Cores that this process may use."""
  affinity = getattr(os, 'sched_getaffinity', None)  # macOS has none.
  return len(affinity(0)) if affinity else os.cpu_count()


def session_config(allow_growth=False, distributed=False, **options):
  """A `tf.ConfigProto` for a session of this process, with `options` of its own.

  `allow_growth` takes GPU memory as it is needed. On one core TensorFlow would run ops in a single
  thread. There, TensorFlow 1.13.1 waits for ever where the iterator of a data set starts over: the
  end of the old one waits, in that thread, for images that only that thread can decode.
  `distributed` sessions use the threads of their server, so that this config is for both.
  """
  config = tf.ConfigProto(**options)
  if cores() == 1:
    config.inter_op_parallelism_threads = 2
    # Else the first session of a process decides for all.
    config.use_per_session_threads = not distributed
  config.gpu_options.allow_growth = allow_growth
  # Rewriting the graph takes longer than it saves: seconds before the first step.
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return config


def new_session(allow_growth=False, use_gpu=True):
  """A session on the default graph; see `session_config`."""
  return tf.Session(config=session_config(
      allow_growth, device_count=None if use_gpu else {'GPU': 0}))


def count_gpus(allow_growth=False):
  """GPUs that TensorFlow sees; `allow_growth` is that of the sessions to come."""
  if not tf.test.is_built_with_cuda():
    return 0
  with tf.Graph().as_default(), new_session(allow_growth) as session:
    return sum(device.device_type == 'GPU' for device in session.list_devices())
