"""Events: written where somebody listens, read as a whole."""

import time

from scripts import events


def test_an_event_has_the_time_of_its_first_line(tmp_path, monkeypatch):
  path = tmp_path / 'events'
  monkeypatch.setenv(events.VARIABLE, str(path))
  assert events.read(str(path)) == {}
  before = time.time()
  events.tell(events.FIRST_STEP)
  after = time.time()
  events.tell(events.FIRST_BATCH)
  events.tell(events.FIRST_STEP)
  told = events.read(str(path))
  assert set(told) == {events.FIRST_STEP, events.FIRST_BATCH}
  assert before <= told[events.FIRST_STEP] <= after


def test_a_line_that_is_being_written_is_not_read(tmp_path):
  path = tmp_path / 'events'
  path.write_text('{"event": "first_step", "time": 1.5}\n{"event": "first_ba')
  assert events.read(str(path)) == {'first_step': 1.5}


def test_nothing_is_written_where_nobody_listens(tmp_path, monkeypatch):
  monkeypatch.delenv(events.VARIABLE, raising=False)
  monkeypatch.chdir(tmp_path)
  events.tell(events.FIRST_STEP)
  assert list(tmp_path.iterdir()) == []
