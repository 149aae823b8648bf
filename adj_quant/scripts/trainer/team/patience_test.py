"""Waiting: how long the naps are, and when patience is over."""

import pytest

from scripts.trainer.team import patience as module
from scripts.trainer.team.patience import Patience


class Clock:
  """A time that only sleeping moves."""

  def __init__(self):
    self.now, self.naps = 100.0, []

  def monotonic(self):
    return self.now

  def sleep(self, seconds):
    self.now += seconds
    self.naps.append(seconds)


@pytest.fixture(name='clock')
def patched_clock(monkeypatch):
  clock = Clock()
  monkeypatch.setattr(module, 'time', clock)
  return clock


def test_naps_grow_with_the_wait_up_to_a_limit(clock):
  patience = Patience(60)
  while not patience.is_over:
    patience.nap()
  assert clock.naps[0] == 0.001 and clock.naps == sorted(clock.naps)
  assert max(clock.naps) == 0.25 and 60 < patience.waited < 60.5
  # Each is at most an eighth of the wait before it, so that little is slept too long.
  assert len(clock.naps) < 400


def test_the_first_nap_is_most_of_the_wait_that_is_expected(clock):
  patience = Patience(60, expected=0.1)
  patience.nap()
  patience.nap()
  assert clock.naps == [pytest.approx(0.08), pytest.approx(0.01)]


def test_a_sign_of_life_renews_it(clock):
  patience = Patience(10)
  clock.sleep(9.0)
  patience.see(7)
  clock.sleep(9.0)
  assert not patience.is_over and patience.waited == pytest.approx(18.0)
  patience.see(7)  # The same as before is none.
  clock.sleep(1.5)
  assert patience.is_over
