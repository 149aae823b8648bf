"""Tests of the running mean."""

import hypothesis
import hypothesis.strategies as st
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


@hypothesis.settings(deadline=None)
@hypothesis.given(st.lists(st.floats(0, 1), min_size=1, max_size=50),
                  st.floats(-2, 2, width=32), st.floats(-2, 2, width=32))
def test_the_mean_of_points_in_an_interval_lies_in_it(places, first, second):
  low, high = sorted(np.float32([first, second]))
  average = WeightAverage()
  for place in places:
    average.add([np.clip(np.float32([low + (high - low) * place, low, high]), low, high)])
  mean, lowest, highest = average.mean()[0]
  assert low <= mean <= high and lowest == low and highest == high
