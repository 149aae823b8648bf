"""Waiting for other processes."""

import time

_LONGEST_NAP = 0.25  # Seconds between looks.


class Patience:
  """Naps between looks: first most of the time that the last wait took, then ever longer ones."""

  def __init__(self, timeout, expected=0.0):
    """Args: seconds after which to give up, seconds that the wait will probably take."""
    self._began = self._renewed = time.monotonic()
    self._timeout, self._first = timeout, 0.8 * expected
    self._seen = None  # The last sign of life.

  @property
  def waited(self):
    """Seconds so far."""
    return time.monotonic() - self._began

  @property
  def is_over(self):
    """Whether the time-out has passed."""
    return time.monotonic() - self._renewed > self._timeout

  def see(self, sign):
    """Lets the time-out begin anew where a sign of life is another one than before."""
    if sign != self._seen:
      self._seen, self._renewed = sign, time.monotonic()

  def nap(self):
    """Sleeps until the next look."""
    time.sleep(min(_LONGEST_NAP, max(0.001, self._first, self.waited / 8)))
    self._first = 0.0
