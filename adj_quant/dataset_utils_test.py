import gzip
import os
import zlib

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import dataset_utils
import imagenet
from scripts import image_records
from scripts.errors import UserError

MINI = os.path.join(os.path.dirname(__file__), '..', '..', 'shared', 'imagenet_mini')


def write_payloads(folder, name, payloads):
  with tf.python_io.TFRecordWriter(os.path.join(str(folder), name)) as writer:
    for payload in payloads:
      writer.write(payload)


@pytest.fixture(name='five')
def five_images(tmp_path):
  """A folder with five grey images in two files of two and three records."""
  images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones([8, 8, 3], np.uint8)
  image_records.write_records(tmp_path, 'train', images, range(1, 6), shards=2)
  return tmp_path


def overwrite(path, offset, replacement):
  with open(path, 'r+b') as stream:
    stream.seek(offset)
    stream.write(replacement)


def test_records_are_counted_by_their_lengths(tmp_path):
  write_payloads(tmp_path, 'train-a', [b'x' * 5, b'y' * 70000])
  path = str(tmp_path / 'train-a')
  assert list(dataset_utils.record_spans(path)) == [(12, 17), (33, 70033)]
  assert dataset_utils.count_records(path) == 2


def test_a_split_is_its_files_and_their_count(five):
  split = dataset_utils.find_split(str(five), 'train')
  assert [os.path.basename(name) for name in split.files] == ['train-00000-of-00002',
                                                              'train-00001-of-00002']
  assert split == ('train', split.files, 5, imagenet.IMAGENET, 5, (2, 3), (0, 1), None)


def test_a_split_carries_the_classes_of_its_folder(five):
  info = imagenet.DatasetInfo('five', 5, 1)
  imagenet.write_info(five, info)
  assert dataset_utils.find_split(str(five), 'train').info == info


def test_files_without_numbers_and_with_suffix_are_found(tmp_path):
  for name in ('train-b', 'train-a', 'test-00000-of-00001.tfrecord'):
    write_payloads(tmp_path, name, [image_records.example(b'image', 1)])
  split = dataset_utils.find_split(str(tmp_path), 'train')
  assert [os.path.basename(name) for name in split.files] == ['train-a', 'train-b']
  assert dataset_utils.find_split(str(tmp_path), 'test').count == 1


def test_other_files_beside_numbered_shards_are_left_alone(five):
  (five / 'train-readme.txt').write_text('about')
  assert dataset_utils.find_split(str(five), 'train').count == 5


@pytest.mark.parametrize('limit, count', [(0, 5), (1, 1), (3, 3), (5, 5), (9, 5)])
def test_a_limit_is_the_most_images(five, limit, count):
  split = dataset_utils.find_split(str(five), 'train', limit)
  assert (split.count, split.records) == (count, 5)
  assert dataset_utils.limited(split, 2) == split._replace(count=min(count, 2))


@pytest.mark.parametrize('count, records, numbers', [
    (1, 5, [4]), (2, 5, [2, 4]), (3, 5, [1, 3, 4]), (4, 5, [1, 2, 3, 4]), (5, 5, [0, 1, 2, 3, 4]),
    (2, 6, [2, 5])])
def test_the_chosen_records_by_hand(count, records, numbers):
  assert [j for j in range(records) if dataset_utils.is_chosen(j, count, records)] == numbers


@pytest.mark.parametrize('count, records', [(200, 1000), (300, 1000), (600, 1000), (999, 1000),
                                            (500, 1281)])
def test_every_class_of_a_sorted_set_has_its_share(count, records):
  """Of any block of consecutive records its share is taken, rounded up or down."""
  taken = [dataset_utils.is_chosen(j, count, records) for j in range(records)]
  assert sum(taken) == count
  for size in (10, 37, 100):
    share = size * count / records
    for start in range(0, records - size, size):
      assert abs(sum(taken[start:start + size]) - share) < 1


def refusal(folder, split='train', **options):
  with pytest.raises(UserError) as error:
    dataset_utils.find_split(str(folder), split, **options)
  return str(error.value)


def test_missing_things_are_named(five):
  assert 'limit of images must be 0' in refusal(five, limit=-1)
  assert 'no files validation-* in %s' % five in refusal(five, 'validation')
  assert refusal(five / 'none') == (
      'cannot read the data folder %s: No such file or directory' % (five / 'none'))
  os.remove(str(five / 'train-00001-of-00002'))
  assert ('1 of the 00002 files of train are missing in %s, the first is train-00001-of-00002'
          % five) in refusal(five)


def test_shards_of_two_sets_are_refused(five):
  write_payloads(five, 'train-00002-of-00003', [b'1'])
  assert 'train-00002-of-00003 in %s is not one of the 00002 files' % five in refusal(five)


def test_an_empty_file_is_refused(tmp_path):
  write_payloads(tmp_path, 'train-a', [])
  assert refusal(tmp_path).startswith('%s is empty' % (tmp_path / 'train-a'))


def test_an_unreadable_file_is_refused(tmp_path):
  (tmp_path / 'train-a').mkdir()
  assert refusal(tmp_path) == 'cannot read %s: Is a directory' % (tmp_path / 'train-a')


@pytest.mark.parametrize('kept', [1, 11, 12, 13, 20])
def test_a_torn_last_record_is_refused_with_its_place(tmp_path, kept):
  write_payloads(tmp_path, 'train-a', [b'first', b'last!'])  # Each 5 + 16 bytes.
  os.truncate(str(tmp_path / 'train-a'), 21 + kept)
  assert '%s: the record at byte 21 is truncated' % (tmp_path / 'train-a') in refusal(tmp_path)


@pytest.mark.parametrize('kind, compress, command', [
    ('GZIP', gzip.compress, 'gzip -dc < FILE'),
    ('ZLIB', zlib.compress, 'python3 -c "import sys, zlib;')])
def test_compressed_files_are_named_as_such(five, kind, compress, command):
  path = five / 'train-00000-of-00002'
  path.write_bytes(compress(path.read_bytes()))
  message = refusal(five)
  assert message.startswith('%s is compressed with %s: decompress' % (path, kind))
  assert command in message


def test_a_gzip_file_whose_first_bytes_could_be_a_length_is_named_as_such(tmp_path):
  """Those of TensorFlow's own writer tell 559,903 bytes of data."""
  options = tf.python_io.TFRecordOptions(tf.python_io.TFRecordCompressionType.GZIP)
  path = tmp_path / 'train-00000-of-00001'
  with tf.python_io.TFRecordWriter(str(path), options) as writer:
    writer.write(np.random.RandomState(0).bytes(600000))
  assert '%s is compressed with GZIP' % path in refusal(tmp_path)


def test_a_file_cut_between_two_records_is_noticed_where_their_number_is_known(five):
  info = imagenet.DatasetInfo('five', 5, 1)
  imagenet.write_info(five, info, {'train': 5})
  assert dataset_utils.find_split(str(five), 'train', 2).records == 5
  path = str(five / 'train-00001-of-00002')
  os.truncate(path, list(dataset_utils.record_spans(path))[1][1] + 4)
  assert refusal(five) == ('%s holds 4 records of train, but its dataset.json says 5: copy or make '
                           'the files again' % five)
  imagenet.write_info(five, info, {'validation': 5})
  assert dataset_utils.find_split(str(five), 'train').count == 4


def test_folders_whose_names_are_not_utf8_are_read(five):
  folder = os.path.join(os.fsencode(str(five)), b'caf\xe9')
  os.mkdir(folder)
  for name in ('train-00000-of-00002', 'train-00001-of-00002'):
    os.rename(str(five / name), os.path.join(folder, name.encode()))
  split = dataset_utils.find_split(os.fsdecode(folder), 'train')
  assert split.count == 5 and dataset_utils.diagnose(split) is None
  overwrite(split.files[1], 30, b'\xff')
  assert '/caf\udce9/train-00001-of-00002: record 0 (byte 0) fails its checksum' in (
      dataset_utils.diagnose(split))


@pytest.mark.parametrize('break_it, words', [
    (lambda path: path.symlink_to('nowhere'), 'No such file or directory'),
    (lambda path: path.symlink_to(path), 'Too many levels of symbolic links')])
def test_a_broken_link_is_named(five, break_it, words):
  path = five / 'train-00001-of-00002'
  path.unlink()
  break_it(path)
  assert refusal(five) == 'cannot read %s: %s' % (path, words)


@pytest.mark.parametrize('content', [b'\0' * 64, b'not records at all, but some text'])
def test_a_file_without_records_is_refused(tmp_path, content):
  (tmp_path / 'train-a').write_bytes(content)
  assert 'at byte 0 is truncated or this is not a TFRecord file' in refusal(tmp_path)


def test_good_records_have_no_fault(five):
  assert dataset_utils.diagnose(dataset_utils.find_split(str(five), 'train')) is None


def test_a_failed_checksum_is_found(five):
  split = dataset_utils.find_split(str(five), 'train')
  start, end = list(dataset_utils.record_spans(split.files[1]))[2]
  overwrite(split.files[1], end - 1, b'\xff')
  assert dataset_utils.diagnose(split) == (
      '%s: record 2 (byte %d) fails its checksum, copy or make the file again'
      % (split.files[1], start - 12))


def test_a_file_cut_off_later_is_found(five):
  split = dataset_utils.find_split(str(five), 'train')
  start, _ = list(dataset_utils.record_spans(split.files[0]))[1]
  os.truncate(split.files[0], start + 3)
  assert ('%s: the record at byte %d is truncated' % (split.files[0], start - 12)
          in dataset_utils.diagnose(split))


def test_a_file_removed_later_is_found(five):
  split = dataset_utils.find_split(str(five), 'train')
  os.remove(split.files[0])
  assert dataset_utils.diagnose(split).startswith('cannot read %s' % split.files[0])


def bad_second_record(folder, record):
  good = image_records.example(image_records.encode([np.zeros([8, 8, 3])])[0], 1)
  image_records.write_examples(folder, 'train', [good, record, good])
  return dataset_utils.diagnose(dataset_utils.find_split(str(folder), 'train'))


@pytest.mark.parametrize('record', [b'\xff\xfe\xfd\xfc' * 9, b'text'])
def test_a_record_that_is_no_example_is_found(tmp_path, record):
  assert bad_second_record(tmp_path, record).endswith('is not a tf.train.Example')


def test_an_undecodable_image_is_found(tmp_path):
  pixels = np.random.RandomState(0).randint(0, 256, [32, 32, 3])
  jpeg = image_records.encode([pixels])[0]
  for number, image in enumerate([b'no image', b'\xfe\xff', b'', jpeg[:len(jpeg) // 2]]):
    folder = tmp_path / str(number)
    folder.mkdir()
    fault = bad_second_record(folder, image_records.example(image, 1))
    assert 'train-00000-of-00001: record 1 (byte ' in fault
    assert 'holds an image that cannot be decoded as JPEG, PNG or still GIF' in fault


def test_a_wrong_label_is_found(tmp_path):
  png = image_records.encode([np.zeros([8, 8, 3])], 'png')[0]
  assert 'record 1 (byte ' in bad_second_record(tmp_path, image_records.example(png, 1001))
  assert 'has the label 1001, outside 1 to 1000 of the data set "imagenet"' in bad_second_record(
      tmp_path, image_records.example(png, 1001))


def test_a_record_without_label_is_found(tmp_path):
  record = tf.train.Example()
  record.features.feature['image/encoded'].bytes_list.value.append(b'image')
  assert 'record 1 (byte ' in bad_second_record(tmp_path, record.SerializeToString())
  assert 'lacks the key image/class/label (int64_list with one value)' in bad_second_record(
      tmp_path, record.SerializeToString())


def record_with_image_number():
  record = tf.train.Example.FromString(image_records.example(b'image', 1))
  record.features.feature['image/encoded'].int64_list.value.append(3)
  return record.SerializeToString()


@pytest.mark.parametrize('record, fault', [
    (b'\xff\xff\xff', 'is not a tf.train.Example'),
    (b'text', 'is not a tf.train.Example'),
    (record_with_image_number(), 'lacks the key image/encoded'),
    (image_records.example(b'image', 0), 'has the label 0, outside 1 to 1000')],
    ids=['bytes', 'text', 'number for image', 'label 0'])
def test_the_first_record_is_read_at_once(tmp_path, record, fault):
  paths = image_records.write_examples(tmp_path, 'train', [record])
  assert refusal(tmp_path).startswith('%s: record 0 (byte 0) %s' % (paths[0], fault))


@pytest.mark.skipif(not os.path.isdir(MINI), reason='needs ../shared/imagenet_mini')
def test_the_counts_of_real_records():
  assert dataset_utils.find_split(MINI, 'train').count == 1749
  assert dataset_utils.find_split(MINI, 'validation').count == 1000
