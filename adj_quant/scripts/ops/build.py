"""Compiles the fused ops if there is a C++ compiler: `make setup`, or

    python adj_quant/scripts/ops/build.py
"""

import os
import sys

if __name__ == '__main__':  # Run as a script; imported, the modules are found already.
  sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.ops import compilation

if __name__ == '__main__':
  prepare_tensorflow()
  sys.exit(compilation.compile_missing())
