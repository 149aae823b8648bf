"""Tests of how a run begins: what its values follow from, what may differ, what is refused."""

import os
from collections import namedtuple

import pytest

from scripts.errors import UserError
from scripts.testing.states import Model, VALUES
from scripts.trainer import flags
from scripts.trainer.run import resume
from scripts.trainer.run import state as states
from scripts.trainer.run.averaging import WeightAverage

OPTIONS = flags.ModelOptions('tiny', None, {}, None, None, None, False, None, 500, 100.0, False)


@pytest.fixture(name='folders')
def output_folders(tmp_path):
  actual = {name: str(tmp_path / name) for name in ('weights', 'best_ckpt')}
  for folder in actual.values():
    os.makedirs(folder)
  return actual


@pytest.fixture(name='inputs')
def input_files(tmp_path):
  """Flags of files, which hold their own names, and their options."""
  folder = tmp_path / 'in'
  folder.mkdir()
  for name in ('weights', 'thresholds', 'teacher', 'train-x', 'validation-x', 'dataset.json',
               'c-1.index', 'c-1.data-00000-of-00001', 'c-1.json'):
    (folder / name).write_text(name)
  values = dict(dataset=str(folder), weight_path=str(folder / 'weights'),
                ckpt_path_thres=str(folder / 'thresholds'), teacher_path=str(folder / 'teacher'),
                ckpt_path=None, lr=0.1, threads=1, keep=5, output_dir='x')
  return values


def configuration(values, **changed):
  values = dict(values, **changed)
  return resume.configuration(values, OPTIONS._replace(
      weight_path=values['weight_path'], ckpt_path=values['ckpt_path'],
      thresholds_path=values['ckpt_path_thres'],
      measure_thresholds=values.get('eval_initial_thresholds', False)))


def test_free_flags_and_moved_files_make_no_difference(inputs, tmp_path):
  old = configuration(inputs)
  (tmp_path / 'in').rename(tmp_path / 'moved')
  moved = {flag: value.replace('/in', '/moved') if isinstance(value, str) else value
           for flag, value in inputs.items()}
  assert resume.differences(old, configuration(moved, threads=9, keep=1, output_dir='y')) == []


def test_every_flag_that_differs_is_named(inputs):
  assert resume.differences(configuration(inputs, finetune=False),
                            configuration(inputs, lr=0.2, finetune=True, later=1)) == [
      '--finetune True (was False)', '--later 1 (was None)', '--lr 0.2 (was 0.1)']


@pytest.mark.parametrize('flag, name', [
    ('weight_path', 'weights'), ('ckpt_path_thres', 'thresholds'), ('teacher_path', 'teacher'),
    ('dataset', 'train-x'), ('dataset', 'validation-x'), ('dataset', 'dataset.json')])
def test_a_changed_file_is_named(inputs, tmp_path, flag, name):
  old = configuration(inputs)
  path = tmp_path / 'in' / name
  path.write_text('something else')
  assert resume.differences(old, configuration(inputs)) == [
      '--%s %s (its content has changed)' % (flag, inputs[flag])]
  other = configuration(inputs, **{flag: str(tmp_path / 'none')})
  assert resume.differences(old, other) == [
      '--%s %s (was %s)' % (flag, tmp_path / 'none', inputs[flag])]


def test_a_checkpoint_stands_for_weights_and_ranges(inputs, tmp_path):
  path = str(tmp_path / 'in' / 'c-1')
  old = configuration(inputs, ckpt_path=path)
  assert set(old['inputs']) == {'dataset', 'teacher_path', 'ckpt_path'}
  for name in ('c-1.data-00000-of-00001', 'c-1.json'):
    (tmp_path / 'in' / name).write_text('else')
    changed = configuration(inputs, ckpt_path=path)
    assert resume.differences(old, changed) == ['--ckpt_path %s (its content has changed)' % path]
    old = changed
  # A better checkpoint may have taken its place in the folder of the best.
  (tmp_path / 'in' / 'c-1.index').unlink()
  assert resume.differences(old, configuration(inputs, ckpt_path=path)) == []


def test_a_folder_stands_for_the_checkpoint_that_it_meant_at_first(inputs, tmp_path):
  folder = tmp_path / 'in'
  old = configuration(inputs, ckpt_path=str(folder))
  assert old['inputs']['ckpt_path']['path'] == str(folder / 'c-1')
  for name in ('c-2.index', 'c-2.data-00000-of-00001', 'c-2.json'):
    (folder / name).write_text('')  # By the run itself, where it starts from its own folder.
  assert resume.differences(old, configuration(inputs, ckpt_path=str(folder))) == []
  other = configuration(inputs, ckpt_path=str(folder / 'c-2'))
  assert resume.differences(old, other) == [
      '--ckpt_path %s (was %s)' % (folder / 'c-2', folder / 'c-1')]
  (folder / 'c-1.json').write_text('else')
  assert resume.differences(old, configuration(inputs, ckpt_path=str(folder))) == [
      '--ckpt_path %s (its content has changed)' % (folder / 'c-1')]


def test_measured_thresholds_are_no_input(inputs):
  assert set(configuration(inputs, eval_initial_thresholds=True)['inputs']) == {
      'dataset', 'teacher_path', 'weight_path'}


def commit(folders, config, **changed):
  """Makes a state with a configuration the current one; returns it."""
  store = Model(folders).store
  point = store.write(4, VALUES, WeightAverage())
  state = states.State(**dict(dict(run='this', config=config, model={}, good=point, point=point),
                              **changed))
  store.commit(state)
  return state


def test_an_unfinished_run_goes_on(folders, inputs):
  config = configuration(inputs)
  assert resume.find_state(folders, config) is None
  state = commit(folders, config)
  assert resume.find_state(folders, config) == state
  assert resume.find_state(folders, config, restart=True) is None
  assert os.listdir(folders['weights']) == []


def test_an_unfinished_run_with_other_flags_is_refused(folders, inputs):
  commit(folders, configuration(inputs))
  with pytest.raises(UserError) as error:
    resume.find_state(folders, configuration(inputs, lr=0.3, alpha=1))
  assert str(error.value) == (
      'the unfinished run in %s had other flags: --alpha 1 (was None), --lr 0.3 (was 0.1); it '
      'resumes with its own flags, and --restart starts over' % os.path.dirname(folders['weights']))


def test_a_finished_run_gives_way_to_another(folders, inputs):
  state = commit(folders, configuration(inputs), finished=True)
  assert resume.find_state(folders, configuration(inputs)) == state
  assert resume.find_state(folders, configuration(inputs, lr=0.3)) is None


def test_two_runs_in_one_folder_are_refused(folders):
  with resume.locked(folders['weights']):
    with pytest.raises(UserError, match='^another run is using .*: choose another --output_'):
      with resume.locked(folders['weights']):
        pass
  with resume.locked(folders['weights']):
    pass


@pytest.mark.parametrize('keep, kept, mini_epochs, states_at_once, expected', [
    (5, None, 20, 2, 6 + 1 + 2 + 2000),  # Five and a new one, the average, two of the best.
    (5, None, 3, 3, 3 + 1 + 2 + 3000),
    (5, 0, 3, 2, 3 + 1 + 2 + 1000),
    (5, 5, 15, 2, 1 + 1 + 2 + 1000),
    (1, 3, 0, 2, 0 + 1 + 2 + 1000)])
def test_needed_space(keep, kept, mini_epochs, states_at_once, expected):
  assert resume.needed_bytes(keep, kept, mini_epochs, states_at_once, 1, 1000) == expected


def test_space_is_checked(folders, monkeypatch):
  usage = namedtuple('usage', 'free')
  monkeypatch.setattr(resume.shutil, 'disk_usage', lambda folder: usage(2000000))
  resume.check_space(folders['weights'], 2000000)
  with pytest.raises(UserError) as error:
    resume.check_space(folders['weights'], 2100000)
  assert str(error.value) == (
      'a run writes up to 2.1 MB more to %s and 2.0 MB are free: free some, lower --keep or choose '
      'another --output_dir' % os.path.dirname(folders['weights']))
