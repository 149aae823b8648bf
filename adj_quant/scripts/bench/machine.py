"""The machine that the times were measured on."""

import os
import platform
import sys

import numpy as np
import tensorflow.compat.v1 as tf

from scripts import runtime


def describe():
  """Dict of the processor, its cores, their load before the measurement, and versions."""
  return {'cpu': cpu_model(), 'cores': runtime.cores(), 'load_average': load_average(),
          'system': platform.platform(), 'python': sys.version.split()[0],
          'tensorflow': tf.VERSION, 'numpy': np.__version__}


def load_average():
  """Processes that ran or waited in the last minute on average, None where nobody knows."""
  try:
    return os.getloadavg()[0]
  except OSError:
    return None


def cpu_model(path='/proc/cpuinfo'):
  """The processor's name as the system gives it."""
  try:
    with open(path) as info:
      for line in info:
        if line.startswith('model name'):
          return line.partition(':')[2].strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()
