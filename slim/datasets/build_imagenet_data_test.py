"""Tests of making records of ImageNet."""

import json
import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import find_split
from datasets import build_imagenet_data, dataset_factory, imagenet
from scripts import image_records
from scripts.errors import UserError
from scripts.testing.network import run_script

# The order of the numbers is not the alphabetical one.
SYNSETS = ['n00000030', 'n00000010', 'n00000020']
JPEG, = image_records.encode([np.zeros([4, 6, 3])])


@pytest.fixture(name='folder')
def three_synsets(tmp_path):
  for synset in SYNSETS:
    (tmp_path / 'train' / synset).mkdir(parents=True)
    for number in (1, 2):
      (tmp_path / 'train' / synset / ('%s_%d.JPEG' % (synset, number))).write_bytes(JPEG)
  (tmp_path / 'val').mkdir()
  for number in (3, 1, 2):
    (tmp_path / 'val' / ('ILSVRC2012_val_%08d.JPEG' % number)).write_bytes(JPEG)
  (tmp_path / 'synsets.txt').write_text('\n'.join(SYNSETS))
  (tmp_path / 'numbers.txt').write_text('1\n3\n3\n')
  (tmp_path / 'truth.txt').write_text('n00000030\nn00000020\nn00000020\n')
  return tmp_path


def convert(folder, *flags):
  return run_script(build_imagenet_data.main, (
      '--train_directory=%s' % (folder / 'train'), '--validation_directory=%s' % (folder / 'val'),
      '--output_directory=%s' % (folder / 'out'), '--train_shards=2', '--validation_shards=1',
      '--allow_fewer_classes') + flags)


def labels(folder, split):
  """Sorted list of (file name, synset, label) in the records of a split."""
  rows = []
  for path in find_split(str(folder / 'out'), split).files:
    for record in tf.python_io.tf_record_iterator(path):
      feature = tf.train.Example.FromString(record).features.feature
      rows.append((feature['image/filename'].bytes_list.value[0].decode(),
                   feature['image/class/text'].bytes_list.value[0].decode(),
                   feature['image/class/label'].int64_list.value[0]))
  return sorted(rows)


@pytest.mark.parametrize('flags, kind', [
    (['truth.txt'], 'synsets'), (['numbers.txt', 'synsets.txt'], 'numbers')])
def test_labels_are_alphabetical_whatever_the_ground_truth_holds(folder, flags, kind):
  outcome = convert(folder, *['--%s=%s' % (name, folder / value) for name, value in zip(
      ('validation_labels', 'synsets'), flags)])
  assert outcome.status == 0, outcome.err
  assert outcome.out.splitlines()[0].endswith(
      'holds %s; the first image, ILSVRC2012_val_00000001.JPEG, is of n00000030' % kind)
  assert labels(folder, 'validation') == [
      ('ILSVRC2012_val_00000001.JPEG', 'n00000030', 3),
      ('ILSVRC2012_val_00000002.JPEG', 'n00000020', 2),
      ('ILSVRC2012_val_00000003.JPEG', 'n00000020', 2)]
  assert labels(folder, 'train') == [
      ('%s_%d.JPEG' % (synset, number), synset, label)
      for label, synset in enumerate(sorted(SYNSETS), 1) for number in (1, 2)]
  info = dataset_factory.get_split(None, 'train', str(folder / 'out')).info
  assert info == imagenet.INFO._replace(name='imagenet_3', classes=3)
  assert (folder / 'out/labels.txt').read_text() == '1:n00000010\n2:n00000020\n3:n00000030\n'


def test_folders_of_synsets_and_a_file_of_labels_give_the_same_records(folder):
  assert convert(folder, '--validation_labels=%s' % (folder / 'truth.txt')).status == 0
  flat = (folder / 'out/validation-00000-of-00001').read_bytes()
  for number, synset in enumerate(['n00000030', 'n00000020', 'n00000020'], 1):
    name = 'val/ILSVRC2012_val_%08d.JPEG' % number
    (folder / 'val' / synset).mkdir(exist_ok=True)
    (folder / name).rename(folder / name.replace('val/', 'val/%s/' % synset))
  (folder / 'val/valprep.sh').write_text('mkdir')
  outcome = convert(folder, '--output_directory=%s' % (folder / 'sorted'))
  assert outcome.status == 0, outcome.err
  assert (folder / 'sorted/validation-00000-of-00001').read_bytes() == flat


@pytest.mark.parametrize('names, flags, message', [
    (['n00000030/a.JPEG', 'b.JPEG'], [], 'val holds folders, such as n00000030, and images beside '
     'them, such as b.JPEG: sort all images into folders, or none'),
    (['n00000030/a.JPEG'], ['--validation_labels=truth.txt'], '--validation_labels is for images '
     'in one folder, but those of val lie in folders, which are their labels: leave the flag out'),
    (['n00000030/a.JPEG'], ['--synsets=synsets.txt'], '--synsets is for images in one folder'),
    (['n00000040/a.JPEG'], [], 'val/n00000040 is not one of the 3 classes (the first is '),
    (['cats/a.JPEG'], [], 'val/cats is not one of the 3 classes')])
def test_mixtures_of_validation_images_are_refused(folder, monkeypatch, names, flags, message):
  monkeypatch.chdir(folder)
  shutil.rmtree('val')
  for name in names:
    (folder / 'val' / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / 'val' / name).write_bytes(JPEG)
  outcome = convert(folder, '--validation_directory=val', *flags)
  assert outcome.status == 2 and outcome.error.startswith('error: ' + message)
  assert not (folder / 'out').exists()


def test_the_training_split_alone(folder):
  assert convert(folder, '--validation_directory=').status == 0
  assert len(labels(folder, 'train')) == 6


def test_all_of_imagenet_is_described_as_imagenet_with_its_numbers_of_records(folder, monkeypatch):
  monkeypatch.setattr(imagenet, 'INFO', imagenet.INFO._replace(classes=3))
  flags = ['--noallow_fewer_classes', '--validation_labels=%s' % (folder / 'truth.txt')]
  assert convert(folder, *flags).status == 0
  assert json.loads((folder / 'out/dataset.json').read_text()) == {
      'name': 'imagenet', 'classes': 3, 'first_label': 1, 'records': {'train': 6, 'validation': 3}}
  before = contents(folder / 'out')
  # The validation split stays as it is.
  assert convert(folder, '--noallow_fewer_classes', '--validation_directory=').status == 0
  assert contents(folder / 'out') == before


def contents(folder):
  """Dict name -> bytes of the files in a folder."""
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_overwriting_removes_nothing_before_all_is_checked(folder):
  always = ['--validation_labels=%s' % (folder / 'truth.txt')]
  assert convert(folder, *always).status == 0
  before = contents(folder / 'out')
  outcome = convert(folder, '--overwrite', '--seed=1', '--validation_shards=4', *always)
  assert outcome.status == 2
  assert '3 images of validation cannot fill 4 files' in outcome.error
  assert contents(folder / 'out') == before


@pytest.mark.parametrize('name', ['dataset.json', 'labels.txt'])
def test_the_description_of_another_set_is_replaced_only_when_told_to(folder, name):
  flags = ['--validation_labels=%s' % (folder / 'truth.txt')]
  (folder / 'out').mkdir()
  (folder / 'out' / name).write_text('{"name": "x", "classes": 9, "first_label": 0}')
  outcome = convert(folder, *flags)
  assert outcome.error == (
      'error: %s is of another set than "imagenet_3": write to another folder, or replace it with '
      '--overwrite' % (folder / 'out' / name))
  assert os.listdir(str(folder / 'out')) == [name]
  assert convert(folder, '--overwrite', *flags).status == 0
  assert (folder / 'out/labels.txt').read_text().startswith('1:n00000010\n')


@pytest.mark.parametrize('flags, message', [
    (['--noallow_fewer_classes'], 'train holds 3 synset folders, not 1000 (--allow_fewer_classes'),
    ([], '--validation_labels is needed'),
    (['--validation_labels=numbers.txt'], 'numbers.txt holds numbers (1 ...), not synsets: give'),
    (['--validation_labels=short.txt'], 'short.txt has 1 lines, but val has 3 images'),
    (['--validation_labels=other.txt'],
     '1 synsets of other.txt have no training images, the first is n00000040'),
    (['--train_directory='], '--train_directory is needed'),
    (['--validation_directory=', '--validation_labels=other.txt'],
     '--validation_labels is about the images of --validation_directory, which is not given'),
    (['--validation_directory=', '--synsets=synsets.txt'],
     '--synsets is about the images of --validation_directory, which is not given')])
def test_refusals(folder, monkeypatch, flags, message):
  monkeypatch.chdir(folder)
  (folder / 'short.txt').write_text('n00000010\n')
  (folder / 'other.txt').write_text('n00000010\nn00000040\nn00000010\n')
  outcome = convert(folder, '--validation_directory=val', '--train_directory=train', *flags)
  assert outcome.status == 2 and outcome.error.startswith('error: ' + message)
  assert not (folder / 'out').exists()


def test_folders_of_other_names_are_refused(folder):
  (folder / 'train/cats').mkdir()
  with pytest.raises(UserError, match='train/cats is not named by a synset like n01440764'):
    build_imagenet_data.train_classes(str(folder / 'train'), True)
