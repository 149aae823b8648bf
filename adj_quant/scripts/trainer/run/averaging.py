"""Stochastic weight averaging.

Source: Izmailov et al., "Averaging Weights Leads to Wider Optima", 2018, section 3.2.
"""

import numpy as np


class WeightAverage:
  """Running mean of vectors, in float64. Bit-widths are never given to it."""

  def __init__(self):
    self.count = 0
    self.sums = None

  def add(self, vectors):
    """Takes a list of arrays, the same shapes every time."""
    vectors = [np.array(v, np.float64) for v in vectors]
    self.sums = vectors if self.sums is None else [s + v for s, v in zip(self.sums, vectors)]
    self.count += 1

  def mean(self):
    """List of float32 arrays."""
    return [np.float32(s / self.count) for s in self.sums]
