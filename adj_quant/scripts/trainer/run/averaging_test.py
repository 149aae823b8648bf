"""Tests of the running mean."""

import numpy as np

from scripts.trainer.run.averaging import WeightAverage


def test_mean_by_hand():
  average = WeightAverage()
  for scale in (1, 2, 6):
    average.add([np.float32([scale, -scale]), np.float32([[10 * scale]])])
  first, second = average.mean()
  assert average.count == 3
  assert first.tolist() == [3.0, -3.0] and second.tolist() == [[30.0]]
  assert first.dtype == second.dtype == np.float32


def test_added_arrays_may_change_afterwards():
  average, values = WeightAverage(), np.ones([2])
  average.add([values])
  values += 5
  average.add([values])
  assert average.mean()[0].tolist() == [3.5, 3.5]


def test_many_small_steps_are_not_lost():
  average = WeightAverage()
  for _ in range(1000):
    average.add([np.float32([1.0]), np.float32([1e-8])])
  average.add([np.float32([1.0 + 1e-3]), np.float32([1e-8])])
  large, small = average.mean()
  np.testing.assert_allclose(large, 1.0 + 1e-3 / 1001, rtol=1e-7)
  np.testing.assert_allclose(small, 1e-8, rtol=1e-6)
