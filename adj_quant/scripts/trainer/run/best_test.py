"""Tests of the rule by which a checkpoint is the best, and of the folder that keeps it."""

import json

import pytest

from scripts import checkpoint_files
from scripts.errors import UserError
from scripts.trainer.run import best
from scripts.trainer.run.best import Score

REFERENCE = Score(metric=0.18, target=0.18, correct=900, images=1000, dataset='/data')


@pytest.mark.parametrize('change, wins', [
    ({}, False),  # Equal: the earlier one stays.
    ({'correct': 901}, True),
    ({'correct': 899}, False),
    ({'correct': 901, 'metric': 0.1835}, True),  # Within 2 % of the target.
    ({'correct': 901, 'metric': 0.1837}, False),  # Above it.
    ({'correct': 900, 'metric': 0.179}, True),
    ({'correct': 899, 'metric': 0.05}, False),
])
def test_rule_against_a_score_on_target(change, wins):
  assert (REFERENCE._replace(**change).rank > REFERENCE.rank) is wins


@pytest.mark.parametrize('change, wins', [
    ({'metric': 0.29, 'correct': 100}, True),  # Above the target the metric alone counts.
    ({'metric': 0.31, 'correct': 999}, False),
    ({'metric': 0.3, 'correct': 999}, False),
    ({'metric': 0.18, 'correct': 100}, True),
])
def test_rule_against_a_score_above_target(change, wins):
  above = REFERENCE._replace(metric=0.3)
  assert (above._replace(**change).rank > above.rank) is wins


def make(folder, name, run='this'):
  """Makes the files of a checkpoint."""
  for file_name in files_of(name):
    (folder / file_name).write_text(json.dumps({'run': run}))


def keep(folder, name, run='this', **change):
  """Makes the files of a checkpoint and offers it as the best; deletes what it replaces."""
  make(folder, name, run)
  is_best, replaced = best.keep_if_best(str(folder / name), REFERENCE._replace(**change),
                                        str(folder / 'best'), run)
  if replaced:
    checkpoint_files.delete_checkpoint(replaced)
  return is_best


def names(folder):
  return sorted(path.name for path in folder.iterdir())


def files_of(name):
  return [name + ending for ending in ('.data-00000-of-00001', '.index', '.json')]


def test_first_is_copied_and_recorded(tmp_path):
  assert best.best_path(str(tmp_path / 'best')) is None
  assert keep(tmp_path, 'a-1')
  assert names(tmp_path / 'best') == files_of('a-1') + ['best.json']
  assert (tmp_path / 'a-1.index').exists()  # A copy: the run's own stays.
  assert best.best_path(str(tmp_path / 'best')) == str(tmp_path / 'best' / 'a-1')
  record = json.loads((tmp_path / 'best' / 'best.json').read_text())
  assert record == {'checkpoint': 'a-1', 'score': dict(REFERENCE._asdict())}


def test_better_replaces_and_worse_does_not(tmp_path):
  keep(tmp_path, 'a-1')
  assert not keep(tmp_path, 'b-2', correct=1)
  assert names(tmp_path / 'best') == files_of('a-1') + ['best.json']
  assert keep(tmp_path, 'c-3', correct=950)
  assert names(tmp_path / 'best') == ['best.json'] + files_of('c-3')
  assert not keep(tmp_path, 'd-4', correct=949)


def test_what_is_replaced_stays_until_the_caller_deletes_it(tmp_path):
  keep(tmp_path, 'a-1')
  make(tmp_path, 'b-2')
  folder = str(tmp_path / 'best')
  assert best.keep_if_best(str(tmp_path / 'b-2'), REFERENCE._replace(correct=950), folder,
                           'this') == (True, str(tmp_path / 'best' / 'a-1'))
  assert names(tmp_path / 'best') == files_of('a-1') + files_of('b-2') + ['best.json']


@pytest.mark.parametrize('earlier', [False, True])
def test_restore_takes_back_what_a_run_did(tmp_path, earlier):
  folder = tmp_path / 'best'
  if earlier:
    keep(tmp_path, 'a-1')
  record = best.record(str(folder))
  make(tmp_path, 'b-2')
  best.keep_if_best(str(tmp_path / 'b-2'), REFERENCE._replace(correct=950), str(folder), 'this')
  assert best.restore(str(folder), record, 'another') == 'b-2'
  assert best.restore(str(folder), record, 'this') == ('a-1' if earlier else None)
  assert best.record(str(folder)) == record
  assert (folder / 'b-2.index').exists()  # Whose files are deleted is not decided here.


def test_better_one_of_the_same_name_stays(tmp_path):
  keep(tmp_path, 'a-1')
  assert keep(tmp_path, 'a-1', correct=950)
  assert names(tmp_path / 'best') == files_of('a-1') + ['best.json']


@pytest.mark.parametrize('description', ['{"run": "another"}', '{}', '{', None])
def test_the_best_of_another_run_stays_and_is_no_longer_recorded(tmp_path, description):
  keep(tmp_path, 'a-1', run='another')
  path = tmp_path / 'best' / 'a-1.json'
  path.unlink() if description is None else path.write_text(description)
  there = names(tmp_path / 'best')
  assert keep(tmp_path, 'b-2', correct=950)
  assert names(tmp_path / 'best') == sorted(there + files_of('b-2'))
  assert best.best_path(str(tmp_path / 'best')).endswith('b-2')
  assert keep(tmp_path, 'c-3', correct=960)  # Its own is replaced.
  assert names(tmp_path / 'best') == sorted(there + files_of('c-3'))


def test_the_best_of_another_run_stays_where_a_better_one_has_its_name(tmp_path):
  keep(tmp_path, 'a-1', run='another')
  assert keep(tmp_path, 'a-1', correct=950)
  assert names(tmp_path / 'best') == files_of('a-1') + files_of('a.1-1') + ['best.json']
  assert json.loads((tmp_path / 'best' / 'a-1.json').read_text()) == {'run': 'another'}
  assert best.best_path(str(tmp_path / 'best')).endswith('a.1-1')


@pytest.mark.parametrize('change', [{'target': 0.1}, {'dataset': '/other'}, {'images': 10}])
def test_another_target_or_data_set_starts_afresh(tmp_path, change):
  keep(tmp_path, 'a-1')
  assert keep(tmp_path, 'b-2', correct=1, metric=0.9, **change)
  # What cannot be compared is not deleted, but no longer the best.
  assert names(tmp_path / 'best') == files_of('a-1') + files_of('b-2') + ['best.json']
  assert best.best_path(str(tmp_path / 'best')).endswith('b-2')


def test_a_record_without_its_checkpoint_counts_for_nothing(tmp_path):
  keep(tmp_path, 'a-1', correct=999)
  (tmp_path / 'best' / 'a-1.index').unlink()
  assert best.best_path(str(tmp_path / 'best')) is None
  assert keep(tmp_path, 'b-2', correct=1)


def test_torn_record_is_named(tmp_path):
  keep(tmp_path, 'a-1')
  (tmp_path / 'best' / 'best.json').write_text('{')
  with pytest.raises(UserError, match='record of the best checkpoint .*best.json is not valid'):
    keep(tmp_path, 'b-2')


@pytest.mark.parametrize('content', [
    '{}', '{"checkpoint": "a-1"}', '{"checkpoint": 3, "score": {}}'])
def test_refuses_a_record_of_something_else(tmp_path, content):
  (tmp_path / 'best.json').write_text(content)
  with pytest.raises(UserError, match='best.json is not a record of the best checkpoint'):
    best.best_path(str(tmp_path))
