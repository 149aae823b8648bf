"""Compiles the fused ops in cc/ for the TensorFlow that is installed.

The library's name carries a digest of all that it was made of, so that one of other sources or
another TensorFlow is never loaded. Paths are no part of it, so that a folder may be moved. Without
a C++ compiler there is none, and everything runs on TensorFlow's own ops.
"""

import concurrent.futures
import glob
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile

import tensorflow.compat.v1 as tf

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, 'cc')
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
FOLDER = os.path.join(ROOT, 'build', 'ops')
PROGRAM = os.path.relpath(os.path.join(HERE, 'build.py'), ROOT)  # Compiles what is missing.
# Vectorised rounding wants -fno-math-errno -fno-trapping-math; equal bits on all machines want no
# contraction of a * b + c.
OPTIONS = ('-std=c++11', '-O3', '-fPIC', '-fvisibility=hidden', '-fno-math-errno',
           '-fno-trapping-math', '-ffp-contract=off', '-Wall', '-Wno-psabi', '-DNDEBUG')
# What kernels.cc is compiled for; the best that a machine has is chosen when it is loaded.
INSTRUCTIONS = {'baseline': (), 'avx2': ('-mavx2',), 'avx512': ('-mavx512f',)}


def library_path():
  """Where the library of these sources for this TensorFlow and kind of machine is or would be."""
  digest = hashlib.sha256()
  for path in [os.path.abspath(__file__)] + sorted(glob.glob(os.path.join(SOURCES, '*'))):
    with open(path, 'rb') as stream:
      digest.update(stream.read())
  flags = [flag for flag in tf.sysconfig.get_compile_flags() + tf.sysconfig.get_link_flags()
           if not flag.startswith(('-I', '-L'))]
  digest.update(repr((tf.version.VERSION, tf.version.GIT_VERSION, tf.version.COMPILER_VERSION,
                      flags, platform.machine())).encode())
  return os.path.join(FOLDER, 'fused-%s.so' % digest.hexdigest()[:16])


def compiler():
  """The C++ compiler, $CXX or g++ or clang++; None where there is none."""
  named = os.environ.get('CXX')
  return next(filter(None, map(shutil.which, [named] if named else ['g++', 'clang++', 'c++'])),
              None)


def build(cxx, path):
  """Compiles the library to `path`, which appears when it is complete.

  Raises:
    subprocess.CalledProcessError: the compiler's, with its messages in `output`.
  """
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
    units = [('kernels.cc', name, ('-DADJ_ISA=' + name,) + options)
             for name, options in INSTRUCTIONS.items() if not options or _is_x86()]
    units.append(('ops.cc', 'ops', tuple(tf.sysconfig.get_compile_flags())))
    commands = [[cxx, '-c', os.path.join(SOURCES, source), '-o', os.path.join(folder, name + '.o')]
                + list(OPTIONS + options) for source, name, options in units]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
      list(threads.map(_run, commands))
    objects = [os.path.join(folder, name + '.o') for _, name, _ in units]
    library = os.path.join(folder, 'library.so')
    _run([cxx, '-shared', '-o', library] + objects + tf.sysconfig.get_link_flags())
    os.replace(library, path)


def _is_x86():
  return platform.machine().lower() in ('x86_64', 'amd64')


def _run(command):
  subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                 stderr=subprocess.STDOUT)


def compile_missing():
  """Compiles what is not there yet; says what happened, and is never in the way of a setup."""
  path, cxx = library_path(), compiler()
  if os.path.exists(path):
    return 0
  if not cxx:
    print('fused ops: no C++ compiler was found; TensorFlow\'s own ops are used (slower)')
    return 0
  try:
    build(cxx, path)
  except (OSError, subprocess.CalledProcessError) as error:
    output = getattr(error, 'output', None) or b''
    print('%s\nfused ops: %s could not compile them (%s); TensorFlow\'s own ops are used (slower)'
          % (output.decode('utf-8', 'replace')[-2000:], cxx, error))
    return 0
  print('fused ops: compiled with %s' % cxx)
  return 0
