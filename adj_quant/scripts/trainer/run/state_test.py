"""Tests of the state on the disk: round trips, what is deleted when, every way to be wrong."""

import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from scripts.files import UNFINISHED
from scripts.testing.states import Model, VALUES
from scripts.trainer.run import state as states
from scripts.trainer.run.averaging import WeightAverage
from scripts.trainer.run.state import Point, State


@pytest.fixture(name='folders')
def output_folders(tmp_path):
  actual = {name: str(tmp_path / name) for name in ('weights', 'best_ckpt')}
  for folder in actual.values():
    os.makedirs(folder)
  return actual


def an_average():
  average = WeightAverage()
  for value in (0.1, 0.7, 1e-9):
    average.add([np.float32([value, 1 / 3]), np.float32([[value]])])
  return average


def a_state(store, step=4, **changed):
  point = store.write(step, VALUES, an_average(), {'total': 0.1 + 0.2})
  return State(**dict(dict(run='this', config={'flags': {'lr': 3e-6}, 'inputs': {}},
                           model={'classes': 4}, good=point, point=point), **changed))


def names(folder):
  return sorted(os.listdir(folder))


def make_checkpoint(folder, name, run):
  for ending in ('.index', '.data-00000-of-00001'):
    with open(os.path.join(folder, name + ending), 'w'):
      pass
  with open(os.path.join(folder, name + '.json'), 'w') as stream:
    json.dump({'run': run}, stream)


def refusal(call, *arguments):
  with pytest.raises(UserError) as error:
    call(*arguments)
  assert '\n' not in str(error.value)
  return str(error.value)


def test_all_values_come_back_bit_for_bit(folders):
  saved = a_state(Model(folders).store, factor=0.5, rollbacks=2, kept=['c-1'], last='c-1',
                  best={'checkpoint': 'x'}, reference=states.Reference(3, 4, 1 / 3))
  Model(folders).store.commit(saved)
  actual = states.read_state(folders['weights'])
  assert actual == saved and actual.point.sums == {'total': 0.1 + 0.2}
  model = Model(folders)
  average = model.store.load(actual.point)
  for name, value in model.store.values().items():
    assert value.dtype == VALUES[name].dtype and np.array_equal(value, VALUES[name])
  expected = an_average()
  assert average.count == expected.count == 3
  for total, other in zip(average.sums, expected.sums):
    assert total.dtype == np.float64 and np.array_equal(total, other)
  average.add([np.float32([1, 1]), np.float32([[1]])])  # What was read can be added to.


def test_a_state_says_which_tensorflow_wrote_it(folders):
  store = Model(folders).store
  store.commit(a_state(store, tensorflow='0.1'))  # As it was read.
  assert states.read_state(folders['weights']).tensorflow == tf.version.VERSION
  path = os.path.join(folders['weights'], 'state.json')
  with open(path) as stream:
    content = json.load(stream)
  del content['tensorflow']
  with open(path, 'w') as stream:
    json.dump(content, stream)
  assert states.read_state(folders['weights']).tensorflow == '1.13.1'


def test_a_state_without_an_average(folders):
  store = Model(folders).store
  average = store.load(store.write(0, VALUES, WeightAverage()))
  assert (average.count, average.sums) == (0, None)


def test_arrays_are_written_before_and_deleted_after_the_state(folders, monkeypatch):
  store = Model(folders).store
  store.commit(a_state(store))
  later = a_state(store, 8)
  assert names(folders['weights']) == ['state-4.npz', 'state-8.npz', 'state.json']
  assert states.read_state(folders['weights']).point.step == 4
  seen = []
  monkeypatch.setattr(os, 'remove', lambda path, remove=os.remove: (
      seen.append(states.read_state(folders['weights']).point.step), remove(path)))
  store.commit(later)
  assert seen == [8] and names(folders['weights']) == ['state-8.npz', 'state.json']


def test_a_state_inside_of_a_mini_epoch_keeps_the_good_one(folders):
  store = Model(folders).store
  good = a_state(store)
  store.commit(good)
  for step in (5, 6):
    store.commit(good._replace(point=store.write(step, VALUES, WeightAverage())))
  assert names(folders['weights']) == ['state-4.npz', 'state-6.npz', 'state.json']


def test_obsolete_checkpoints_are_deleted_with_the_commit(folders):
  for folder in folders.values():
    for name in ('c-1', 'c-2'):
      make_checkpoint(folder, name, 'any')
  store = Model(folders).store
  store.commit(a_state(store, obsolete=['weights/c-1', 'best_ckpt/c-2', 'weights/gone-9']))
  assert [n for n in names(folders['weights']) if n.endswith('.index')] == ['c-2.index']
  assert [n for n in names(folders['best_ckpt']) if n.endswith('.index')] == ['c-1.index']


def test_tidy_removes_what_this_run_did_after_its_state(folders):
  weights, best = folders['weights'], folders['best_ckpt']
  for name, run in (('c-1', 'this'), ('c-2', 'this'), ('c-3', 'another'), ('c_swa-2', 'this')):
    make_checkpoint(weights, name, run)
  make_checkpoint(best, 'c-2', 'this')
  make_checkpoint(best, 'c-3', 'another')
  os.remove(os.path.join(weights, 'c-2.index'))  # Killed before its end.
  os.makedirs(os.path.join(best, UNFINISHED + 'c-9'))
  with open(os.path.join(weights, 'foreign.json'), 'w') as stream:
    stream.write('{')
  store = Model(folders).store
  state = a_state(store, kept=['c-1'], last='c-1')
  store.commit(state)
  store.write(8, VALUES, WeightAverage())
  states.tidy(folders, state)
  endings = ('.data-00000-of-00001', '.index', '.json')
  assert names(weights) == sorted(['c-1' + e for e in endings] + ['c-3' + e for e in endings] + [
      'foreign.json', 'state-4.npz', 'state.json'])
  assert names(best) == ['c-3' + e for e in endings]


def test_without_a_state_only_what_is_unfinished_is_removed(folders):
  make_checkpoint(folders['weights'], 'c-1', 'this')
  with open(os.path.join(folders['weights'], UNFINISHED + 'x'), 'w'):
    pass
  states.tidy(folders, None)
  assert len(names(folders['weights'])) == 3


def test_a_removed_state_is_gone(folders):
  assert states.read_state(folders['weights']) is None
  store = Model(folders).store
  store.commit(a_state(store))
  states.remove_state(folders['weights'])
  assert states.read_state(folders['weights']) is None and not names(folders['weights'])


@pytest.mark.parametrize('content', ['', '{', '[]', '{"format": 1}', '{"format": 0, "run": "x"}'])
def test_something_else_than_a_state_is_refused(folders, content):
  path = os.path.join(folders['weights'], states.NAME)
  with open(path, 'w') as stream:
    stream.write(content)
  assert refusal(states.read_state, folders['weights']) == (
      '%s is not a state of this version of the program: --restart starts over' % path)


def test_arrays_that_were_changed_are_refused(folders):
  store = Model(folders).store
  point = store.write(4, VALUES, an_average())
  path = os.path.join(folders['weights'], point.arrays)
  with open(path, 'r+b') as stream:
    stream.seek(-1, os.SEEK_END)
    stream.write(b'x')
  assert 'damaged, %s has another checksum' % path in refusal(store.load, point)
  os.remove(path)
  assert refusal(store.load, point) == ('cannot read the state of the run %s: No such file or '
                                        'directory; --restart starts over' % path)


def test_other_variables_are_refused(folders):
  point = Model(folders).store.write(4, VALUES, WeightAverage())
  other = Model(folders, ('a', 'c'))
  assert '(variable b): --restart starts over' in refusal(other.store.load, point)
  assert isinstance(point, Point)
