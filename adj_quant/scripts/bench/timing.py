"""Times of several calls, taken in turns, and their statistics."""

import time
from typing import Any, NamedTuple

import numpy as np


class Task(NamedTuple):
  """Something that is measured."""
  name: Any  # Hashable.
  call: Any  # Function of nothing.


class Summary(NamedTuple):
  """What is said of the times of one task, in seconds."""
  median: float
  low: float  # First quartile.
  high: float  # Third quartile.
  rounds: int

  @property
  def spread(self):
    """Interquartile range in seconds."""
    return self.high - self.low


class Ratio(NamedTuple):
  """A time in units of others."""
  value: float  # Of the medians.
  low: float  # First quartile of the ratios of single rounds.
  high: float  # Third quartile.


def measure(tasks, rounds, warm_up=2, limit=None, clock=time.perf_counter,
            tell=lambda task: None):
  """Calls all tasks in turns, so that whatever slows the machine for a while slows all of them.

  Args:
    tasks: list of `Task`s with different names.
    rounds: how often each is measured.
    warm_up: how often each is called before, one after another, without being measured.
    limit: seconds after which no further round begins, None for no limit. The first round is
      always measured.
    clock: function of nothing that gives seconds.
    tell: called with each task before it runs, not measured.

  Returns:
    Dict name -> list of seconds, one a round, all of one length.
  """
  times = {task.name: [] for task in tasks}
  began = None
  for index in range(warm_up + rounds):
    if index == warm_up:
      began = clock()
    elif limit is not None and index > warm_up and clock() - began >= limit:
      break
    for task in tasks:
      tell(task)
      start = clock()
      task.call()
      if index >= warm_up:
        times[task.name].append(clock() - start)
  return times


def summarize(seconds):
  """The `Summary` of a list of times."""
  low, median, high = np.percentile(seconds, [25, 50, 75])
  return Summary(float(median), float(low), float(high), len(seconds))


def ratio(times, name, units):
  """How long a task takes, compared with others one after another.

  Args:
    times: what `measure` returns.
    name: of the task.
    units: names of the tasks whose summed time is 1.

  Returns:
    `Ratio`, or None where one of them was not measured.
  """
  if any(each not in times for each in [name] + list(units)):
    return None
  value = np.median(times[name]) / sum(np.median(times[unit]) for unit in units)
  by_round = np.divide(times[name], np.sum([times[unit] for unit in units], axis=0))
  return Ratio(float(value), *[float(edge) for edge in np.percentile(by_round, [25, 75])])
