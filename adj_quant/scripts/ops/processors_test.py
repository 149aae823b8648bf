"""The kernels of the fused ops on other processors, run by an emulator."""

import os
import platform
import shutil
import subprocess

import pytest

from scripts.ops import compilation
from scripts.paths import ADJ_QUANT

PROGRAM = os.path.join(ADJ_QUANT, 'scripts', 'testing', 'kernel_digests.cc')
ARM_COMPILER, ARM_EMULATOR = 'aarch64-linux-gnu-g++', 'qemu-aarch64'


def digests(cxx, folder, emulator=()):
  """Lines of the program that was compiled by `cxx`, a digest for each result."""
  program = os.path.join(str(folder), os.path.basename(cxx))
  options = [o for o in compilation.OPTIONS if o not in ('-fPIC', '-fvisibility=hidden')]
  subprocess.check_call([cxx, '-static', '-DADJ_ISA=baseline', '-I', compilation.SOURCES, PROGRAM,
                         os.path.join(compilation.SOURCES, 'kernels.cc'), '-o', program] + options)
  return subprocess.check_output(list(emulator) + [program]).decode().splitlines()


@pytest.mark.skipif(not (shutil.which(ARM_COMPILER) and shutil.which(ARM_EMULATOR)
                         and platform.machine() == 'x86_64' and compilation.compiler()),
                    reason='needs %s and %s' % (ARM_COMPILER, ARM_EMULATOR))
def test_arm_computes_the_same_bits(tmp_path):
  expected = digests(compilation.compiler(), tmp_path)
  assert len(set(line.split()[-1] for line in expected)) > 20
  assert digests(ARM_COMPILER, tmp_path, [ARM_EMULATOR]) == expected
