"""Times in turns: the order of the calls, what is measured, medians and ratios by hand."""

import pytest

from scripts.bench import timing
from scripts.bench.timing import Ratio, Summary, Task


class Clock:
  """Goes on by what the tasks need."""

  def __init__(self):
    self.now = 0.0
    self.order = []

  def __call__(self):
    return self.now

  def task(self, name, *seconds):
    """A task that takes the given seconds one call after another, then the last ones."""
    left = list(seconds)

    def call():
      self.order.append(name)
      self.now += left.pop(0) if len(left) > 1 else left[0]
    return Task(name, call)


def test_tasks_take_turns_and_the_first_calls_do_not_count():
  clock, told = Clock(), []
  times = timing.measure([clock.task('a', 100, 1, 2), clock.task('b', 50, 4, 8)], 2, warm_up=1,
                         clock=clock, tell=lambda task: told.append(task.name))
  assert clock.order == told == ['a', 'b'] * 3
  assert times == {'a': [1, 2], 'b': [4, 8]}


def test_what_is_told_is_not_measured():
  clock = Clock()

  def tell(_):
    clock.now += 1000

  assert timing.measure([clock.task('a', 3)], 2, clock=clock, tell=tell) == {'a': [3, 3]}


@pytest.mark.parametrize('limit, rounds', [(None, 5), (0, 1), (9, 1), (10, 1), (11, 2), (45, 5)])
def test_no_round_begins_after_the_limit(limit, rounds):
  clock = Clock()
  times = timing.measure([clock.task('a', 7), clock.task('b', 3)], 5, warm_up=3, limit=limit,
                         clock=clock)
  assert times == {'a': [7] * rounds, 'b': [3] * rounds}


def test_summary():
  assert timing.summarize([5.0, 1.0, 2.0, 3.0, 4.0]) == Summary(3.0, 2.0, 4.0, 5)
  assert timing.summarize([5.0, 1.0, 2.0, 3.0, 4.0]).spread == 2.0
  assert timing.summarize([2.0]) == Summary(2.0, 2.0, 2.0, 1)


def test_ratio_of_medians_and_of_rounds():
  times = {'step': [4.0, 6.0, 9.0], 'one': [1.0, 2.0, 9.0], 'two': [1.0, 1.0, 1.0]}
  assert timing.ratio(times, 'step', ['one', 'two']) == Ratio(6.0 / 3.0, 1.45, 2.0)
  assert timing.ratio(times, 'step', ['two']).value == 6.0


def test_no_ratio_of_what_was_not_measured():
  times = {'step': [4.0], 'one': [1.0]}
  assert timing.ratio(times, 'forward', ['one']) is None
  assert timing.ratio(times, 'step', ['one', 'two']) is None
