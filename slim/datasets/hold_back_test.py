"""Tests of holding back a part of a set's training records."""

import itertools
import os
import resource

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import stored_records
from datasets import hold_back
from imagenet import DatasetInfo, dataset_info, record_counts, write_info
from scripts.image_records import write_records
from scripts.testing.network import run_script

INFO = DatasetInfo('seven', classes=3, first_label=0)


@pytest.fixture(name='folder', scope='module')
def seven_images(tmp_path_factory):
  folder = tmp_path_factory.mktemp('records')
  write_info(str(folder), INFO)
  images = np.random.RandomState(0).randint(0, 256, [7, 8, 8, 3]).astype(np.uint8)
  write_records(str(folder), 'train', images, [0, 1, 2, 0, 1, 2, 0], image_format='png')
  return str(folder)


def records(folder, split):
  contents = []
  for name in sorted(n for n in os.listdir(str(folder)) if n.startswith(split)):
    contents += list(tf.python_io.tf_record_iterator(os.path.join(str(folder), name)))
  return contents


@pytest.mark.parametrize('on_all', [False, True])
def test_every_third_record_is_held_back(folder, tmp_path, on_all):
  flags = ['--train_on_all'] if on_all else []
  outcome = run_script(hold_back.main, ['--dataset_dir', folder, '--output_directory', tmp_path,
                                        '--every', 3] + flags)
  assert outcome.status == 0, outcome.err
  source = records(folder, 'train')
  assert len(source) == 7
  assert records(tmp_path, 'validation') == [source[2], source[5]]
  others = [record for index, record in enumerate(source) if index not in (2, 5)]
  assert records(tmp_path, 'train') == (source if on_all else others)
  assert dataset_info(str(tmp_path)) == INFO
  assert record_counts(str(tmp_path)) == {'train': 7 if on_all else 5, 'validation': 2}


def hold(folder, target, *flags):
  return run_script(hold_back.main, ['--dataset_dir', folder, '--output_directory', target,
                                     '--every', 3] + list(flags))


def test_a_run_replaces_its_own_records_and_others_when_told_to(folder, tmp_path):
  assert hold(folder, tmp_path).status == 0 and hold(folder, tmp_path).status == 0
  (tmp_path / 'train-00000-of-00002').write_bytes(b'')
  before = sorted(os.listdir(str(tmp_path)))
  outcome = hold(folder, tmp_path, '--train_on_all')
  assert outcome.status == 2 and sorted(os.listdir(str(tmp_path))) == before
  assert outcome.error == ('error: %s holds another set: choose another folder, or replace the '
                           'set with --overwrite' % tmp_path)
  assert hold(folder, tmp_path, '--train_on_all', '--overwrite').status == 0
  assert len(records(tmp_path, 'train')) == 7
  assert sorted(os.listdir(str(tmp_path))) == [
      'dataset.json', 'hold_back.manifest.json', 'train-00000-of-00001',
      'validation-00000-of-00001']


@pytest.mark.parametrize('name', [
    'validation-00000-of-00001', 'flowers_train_00000-of-00005.tfrecord', 'dataset.json'])
def test_a_set_of_another_program_is_refused(folder, tmp_path, name):
  (tmp_path / name).write_bytes(b'')
  assert 'holds another set' in hold(folder, tmp_path).error
  assert os.listdir(str(tmp_path)) == [name]
  assert hold(folder, tmp_path, '--overwrite').status == 0


def test_ctrl_c_leaves_nothing(folder, tmp_path, monkeypatch):
  def stop(path):
    yield from itertools.islice(stored_records(path), 4)
    raise KeyboardInterrupt

  monkeypatch.setattr(hold_back, 'stored_records', stop)
  assert hold(folder, tmp_path).status == 130
  assert os.listdir(str(tmp_path)) == []


def test_what_a_killed_run_left_is_removed(folder, tmp_path):
  (tmp_path / '.unfinished-train-00000-of-00001x').write_bytes(b'half')
  assert hold(folder, tmp_path).status == 0
  assert not [name for name in os.listdir(str(tmp_path)) if name.startswith('.')]


@pytest.mark.parametrize('old', [False, True])
def test_a_full_disk_is_told_and_neither_file_is_left(folder, tmp_path, old):
  if old:
    assert hold(folder, tmp_path).status == 0
  before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
  size = max(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, limits[1]))  # For train, on all records.
  try:
    outcome = hold(folder, tmp_path, '--train_on_all', '--overwrite')
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert outcome.status == 2 and outcome.error.startswith('error: cannot write')
  assert outcome.error.endswith(': File too large')
  assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize('flags, message', [
    (['--every', 8], 'too few to hold back every 8-th'), (['--every', 1], 'every'),
    (['--output_directory', None], 'is the folder of the records')])
def test_refusals(folder, tmp_path, flags, message):
  argv = ['--dataset_dir', folder, '--output_directory', tmp_path] + [
      folder if flag is None else flag for flag in flags]
  outcome = run_script(hold_back.main, argv)
  assert outcome.status == 2 and message in outcome.error
  assert sorted(os.listdir(str(tmp_path))) == []
