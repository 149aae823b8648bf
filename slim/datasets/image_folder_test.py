"""Tests of sets made of anyone's images."""

import os

import numpy as np
from PIL import Image
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import record_spans
from datasets import build_image_folder, dataset_factory, image_folder, images, record_check
from imagenet import dataset_info, record_counts
from scripts import image_records
from scripts.errors import UserError
from scripts.testing.network import run_script

PNG, = image_records.encode([np.zeros([4, 6, 3])], 'png')
GIF = (b'GIF89a\x01\0\x01\0\x80\0\0' + bytes(6) + b',' + bytes(4) + b'\x01\0\x01\0\0'
       b'\x02\x02D\x01\0;')  # One black pixel.


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
    (['train/cat', 'train/dog', 'validation/cow'], None, 'validation/cow is not one of the 2 '),
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
  (tmp_path / 'pets/dog/5.png').write_bytes(b'BMP')
  flags = ['--input_directory=%s' % (tmp_path / 'pets'), '--output_directory=%s' % (tmp_path / 'o'),
           '--train_shards=1', '--validation_shards=1']
  outcome = run_script(build_image_folder.main, flags)
  assert outcome.status == 2
  assert outcome.error == ('error: %s is a BMP image, not a JPEG, PNG or GIF (--skip_bad '
                           'skips such images)' % (tmp_path / 'pets/dog/5.png'))
  outcome = run_script(build_image_folder.main, flags + ['--skip_bad', '--overwrite'])
  assert outcome.status == 0 and ', 1 left out' in outcome.out


def convert(folder, *flags):
  return run_script(build_image_folder.main, (
      '--input_directory=%s' % (folder / 'pets'), '--output_directory=%s' % (folder / 'o'),
      '--train_shards=1', '--validation_shards=1') + flags)


def stored(folder, split):
  """Dict file name -> features of its record."""
  records = {}
  for data in tf.python_io.tf_record_iterator(str(folder / 'o' / (split + '-00000-of-00001'))):
    features = tf.train.Example.FromString(data).features.feature
    records[features['image/filename'].bytes_list.value[0]] = features
  return records


def test_what_cannot_be_read_is_refused_or_left_out_and_counted(tmp_path):
  fill(tmp_path / 'pets', ['train/cat', 'train/dog', 'validation/cat'], 3)
  (tmp_path / 'pets/train/cat/link.png').symlink_to('nowhere')
  (tmp_path / 'pets/train/dog/folder.png').mkdir()
  (tmp_path / 'pets/validation/cat/bad.gif').write_bytes(GIF[:-3])
  outcome = convert(tmp_path)
  assert outcome.status == 2 and not (tmp_path / 'o').exists()
  assert outcome.error == ('error: cannot read %s: it is a broken link (--skip_bad skips such '
                           'images)' % (tmp_path / 'pets/train/cat/link.png'))
  outcome = convert(tmp_path, '--skip_bad')
  assert outcome.status == 0, outcome.err
  assert outcome.out.splitlines()[:2] == ['train: 6 images in 1 files, 2 left out',
                                          'validation: 3 images in 1 files, 1 left out']
  for name, fault in (('train/cat/link.png', 'it is a broken link'),
                      ('train/dog/folder.png', 'it is a folder')):
    assert 'left out: cannot read %s: %s\n' % (tmp_path / 'pets' / name, fault) in outcome.err


def test_a_shard_of_fewer_records_than_it_had_is_noticed(tmp_path):
  fill(tmp_path / 'pets', ['train/cat', 'train/dog', 'validation/cat'], 2)
  (tmp_path / 'pets/train/cat/bad.png').write_bytes(b'')
  assert convert(tmp_path, '--skip_bad').status == 0
  assert record_counts(str(tmp_path / 'o')) == {'train': 4, 'validation': 2}
  path = str(tmp_path / 'o/train-00000-of-00001')
  os.truncate(path, list(record_spans(path))[2][1] + 4)  # After the third record.
  for _ in range(2):
    outcome = convert(tmp_path, '--skip_bad')
    assert outcome.error == ('error: %s had 4 records of train when it was made: remove the files '
                             'train-* and start again' % (tmp_path / 'o'))
  os.remove(path)
  assert convert(tmp_path, '--skip_bad').status == 0
  assert record_counts(str(tmp_path / 'o')) == {'train': 4, 'validation': 2}


def test_sideways_photos_and_still_gifs(tmp_path):
  fill(tmp_path / 'pets', ['train/cat', 'train/dog', 'validation/cat'], 1)
  exif = Image.Exif()
  exif[0x0112] = 6
  Image.new('RGB', (48, 16)).save(str(tmp_path / 'pets/train/cat/p.jpg'), exif=exif)
  (tmp_path / 'pets/train/cat/g.gif').write_bytes(GIF)
  assert convert(tmp_path).status == 0
  records = stored(tmp_path, 'train')
  for name, expected in ((b'p.jpg', (b'JPEG', 48, 16)), (b'g.gif', (b'PNG', 1, 1))):
    assert tuple((records[name]['image/' + key].bytes_list.value
                  or records[name]['image/' + key].int64_list.value)[0]
                 for key in ('format', 'height', 'width')) == expected
  assert records[b'0.png']['image/encoded'].bytes_list.value[0] == PNG
  with images.ImageChecker() as checker:
    assert not record_check.check_folder(str(tmp_path / 'o'), checker).faults


def test_names_that_are_not_utf8(tmp_path):
  pets = os.fsencode(str(tmp_path)) + b'/p\xe9ts'
  for folder in (b'/train/caf\xe9', b'/train/b', b'/validation/b'):
    os.makedirs(pets + folder)
    with open(pets + folder + b'/\xe9.png', 'wb') as stream:
      stream.write(PNG)
  outcome = run_script(build_image_folder.main, [
      '--input_directory=' + os.fsdecode(pets), '--train_shards=1', '--validation_shards=1',
      '--output_directory=%s' % (tmp_path / 'o')])
  assert outcome.status == 0, outcome.err
  assert (tmp_path / 'o/labels.txt').read_text() == '0:b\n1:caf\\xe9\n'
  assert dataset_info(str(tmp_path / 'o')).name == 'p\\xe9ts'
  assert list(stored(tmp_path, 'validation')) == [b'\xe9.png']
  assert not [name for name in os.listdir(str(tmp_path / 'o')) if name.startswith('.')]
