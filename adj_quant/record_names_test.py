import os

import pytest

import record_names
from scripts.errors import UserError


def touch(folder, *names):
  for name in names:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'')


def files(folder, split='train'):
  return [os.path.relpath(path, str(folder)) for path in
          record_names.split_files(str(folder), split)]


@pytest.mark.parametrize('names', [
    ['train-00000-of-00002', 'train-00001-of-00002'],
    ['train-00000-of-00001.tfrecord'],
    ['train-a', 'train-b'],
    ['flowers_train_00000-of-00002.tfrecord', 'flowers_train_00001-of-00002.tfrecord'],
    ['my-set-train-0-of-1'],
    ['train_00000-of-00001.tfrecords'],
    ['cifar10_train.tfrecord'],
    ['train.tfrecord'],
    ['train/train-00000-of-00002', 'train/train-00001-of-00002'],
    ['train/flowers_train_00000-of-00001.tfrecord'],
])
def test_each_layout_is_read_and_nothing_beside_it(tmp_path, names):
  touch(tmp_path, *names)
  touch(tmp_path, 'labels.txt', 'train.manifest.json', 'validation-00000-of-00001',
        '.unfinished-train-00000-of-00001', 'constraint_0-of-1', 'train/n01440764/1.jpg')
  assert files(tmp_path) == names
  assert record_names.split_names(str(tmp_path)) == ['constraint', 'train', 'validation']


def test_the_plain_layout_comes_first(tmp_path):
  touch(tmp_path, 'train-00000-of-00001', 'flowers_train_00000-of-00001.tfrecord',
        'train/train-00000-of-00001')
  assert files(tmp_path) == ['train-00000-of-00001']
  assert record_names.split_names(str(tmp_path)) == ['flowers_train', 'train']
  assert files(tmp_path, 'flowers_train') == ['flowers_train_00000-of-00001.tfrecord']


@pytest.mark.parametrize('start', ['train-', 'flowers_train_', 'train/train-'])
def test_numbered_files_are_complete(tmp_path, start):
  touch(tmp_path, start + '00000-of-00003', start + '00002-of-00003')
  with pytest.raises(UserError) as error:
    files(tmp_path)
  missing = tmp_path / (start + '00001-of-00003')
  assert str(error.value) == '1 of the 00003 files of train are missing in %s, the first is %s' % (
      missing.parent, missing.name)
  assert len(record_names.present_files(str(tmp_path), 'train')) == 2


def test_two_sets_in_one_folder_are_refused(tmp_path):
  touch(tmp_path, 'birds_train_00000-of-00001', 'flowers_train_00000-of-00001')
  with pytest.raises(UserError, match='flowers_train_00000-of-00001 in .* is not one of the 00001'):
    files(tmp_path)


def test_a_folder_without_records_is_told(tmp_path):
  touch(tmp_path, 'train.txt', 'train/cat/1.jpg', 'retrain_00000-of-00001')
  with pytest.raises(UserError, match=(
      r'no files train-\* in .*: it must hold TFRecords of images, named train-00000-of-00008')):
    files(tmp_path)
  with pytest.raises(UserError, match='cannot read the data folder .*: No such file'):
    files(tmp_path / 'none')
  assert record_names.present_files(str(tmp_path), 'train') == ()
  (tmp_path / 'retrain_00000-of-00001').unlink()
  with pytest.raises(UserError, match='no files train-00000-of-00008 or the like in'):
    record_names.split_names(str(tmp_path))
