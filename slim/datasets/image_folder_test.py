"""Tests of sets made of anyone's images."""

import numpy as np
import pytest

from datasets import build_image_folder, dataset_factory, image_folder
from scripts import image_records
from scripts.errors import UserError
from scripts.testing.network import run_script

PNG, = image_records.encode([np.zeros([4, 6, 3])], 'png')


def fill(folder, names, number=20):
  for name in names:
    (folder / name).mkdir(parents=True)
    for index in range(number):
      (folder / name / ('%d.png' % index)).write_bytes(PNG)


def names(images):
  return [(image.text, image.path.rpartition('/')[2]) for image in images]


def test_a_share_is_chosen_by_name(tmp_path):
  fill(tmp_path, ['cat', 'dog'], 100)
  splits, classes = image_folder.find_images(str(tmp_path), 0.2)
  assert classes == ['cat', 'dog']
  assert len(splits['train']) + len(splits['validation']) == 200
  assert 20 < len(splits['validation']) < 60
  assert {(image.text, image.label) for image in splits['train']} == {('cat', 0), ('dog', 1)}
  # More images leave the others where they are.
  (tmp_path / 'cat/new.png').write_bytes(PNG)
  again, _ = image_folder.find_images(str(tmp_path), 0.2)
  for split in image_folder.SPLITS:
    assert set(names(splits[split])) <= set(names(again[split]))
  wider, _ = image_folder.find_images(str(tmp_path), 0.4)
  assert set(names(again['validation'])) < set(names(wider['validation']))


def test_the_share_by_default(tmp_path):
  fill(tmp_path, ['cat', 'dog'], 50)
  assert image_folder.find_images(str(tmp_path)) == image_folder.find_images(str(tmp_path), 0.1)


def test_a_divided_folder_keeps_its_splits(tmp_path):
  fill(tmp_path, ['train/cat', 'train/dog'], 2)
  fill(tmp_path, ['validation/dog'], 3)
  splits, classes = image_folder.find_images(str(tmp_path))
  assert classes == ['cat', 'dog']
  assert [image.label for image in splits['train']] == [0, 0, 1, 1]
  assert [image.label for image in splits['validation']] == [1, 1, 1]


@pytest.mark.parametrize('folders, share, message', [
    (['cat'], 0.5, 'holds one class only, cat: at least two are needed'),
    (['train/cat', 'train/dog'], None, 'cannot read the folder .*validation'),
    (['train/cat', 'train/dog', 'validation/cow'], None, 'validation/cow is none of the 2 classes'),
    (['validation/cow'], None, 'cannot read the folder .*train'),
    (['train/cat', 'train/dog', 'validation/cat'], 0.1, '--validation_share: the images of .* are '
     'divided into train and validation already'),
    (['train/cat', 'train/dog', 'validation/cat', 'test/cat'], None,
     'holds test beside train and validation: it must hold'),
    (['car', 'train'], None, 'holds car beside train: it must hold'),
    (['cat', 'dog'], 0.0, 'must be above 0 and below 1, not 0'),
    (['cat', 'dog'], 1.5, 'must be above 0 and below 1, not 1.5'),
    (['cat', 'dog'], 0.001, 'of 40 images leaves no validation images'),
    (['cat', 'dog'], 0.999, 'leaves no training images of cat')])
def test_refusals(tmp_path, folders, share, message):
  fill(tmp_path, folders)
  with pytest.raises(UserError, match=message):
    image_folder.find_images(str(tmp_path), share)


def test_the_script(tmp_path):
  fill(tmp_path / 'pets', ['cat', 'dog'])
  flags = ['--input_directory=%s/' % (tmp_path / 'pets'),
           '--output_directory=%s' % (tmp_path / 'o'), '--train_shards=2',
           '--validation_shards=1', '--validation_share=0.3']
  outcome = run_script(build_image_folder.main, flags)
  assert outcome.status == 0, outcome.err
  assert outcome.out.splitlines()[-1].endswith('2 classes, labels 0 to 1, "pets"')
  split = dataset_factory.get_split('image_folder', 'train', str(tmp_path / 'o'))
  assert split.info == ('pets', 2, 0, None)
  assert (tmp_path / 'o/labels.txt').read_text() == '0:cat\n1:dog\n'
  outcome = run_script(build_image_folder.main, flags + ['--seed=1'])
  assert outcome.status == 2 and '(seed 0, now 1)' in outcome.error
  outcome = run_script(build_image_folder.main, flags + ['--seed=1', '--overwrite', '--name=zoo'])
  assert '"zoo"' in outcome.out


def test_a_bad_image_is_named_by_the_script(tmp_path):
  fill(tmp_path / 'pets', ['cat', 'dog'])
  (tmp_path / 'pets/dog/5.png').write_bytes(b'GIF89a')
  flags = ['--input_directory=%s' % (tmp_path / 'pets'), '--output_directory=%s' % (tmp_path / 'o'),
           '--train_shards=1', '--validation_shards=1']
  outcome = run_script(build_image_folder.main, flags)
  assert outcome.status == 2
  assert outcome.error == ('error: %s is no JPEG or PNG image but a GIF (--skip_bad leaves such '
                           'images out)' % (tmp_path / 'pets/dog/5.png'))
  outcome = run_script(build_image_folder.main, flags + ['--skip_bad', '--overwrite'])
  assert outcome.status == 0 and ', 1 left out' in outcome.out
