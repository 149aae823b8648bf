import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import imagenet
from scripts import image_records
from scripts.errors import UserError

TEN = imagenet.DatasetInfo('ten', classes=10, first_label=0)


def test_a_folder_without_description_holds_imagenet(tmp_path):
  info = imagenet.dataset_info(str(tmp_path))
  assert info == ('imagenet', 1000, 1, None)
  assert info.last_label == 1000


def test_the_description_of_another_set_is_read(tmp_path):
  imagenet.write_info(tmp_path, TEN)
  info = imagenet.dataset_info(str(tmp_path))
  assert info == TEN
  assert info.last_label == 9


def test_a_description_may_hold_the_central_crop(tmp_path):
  info = TEN._replace(central_crop=0.875)
  imagenet.write_info(tmp_path, info)
  assert imagenet.dataset_info(str(tmp_path)) == info
  (tmp_path / 'dataset.json').write_text(
      '{"name": "x", "classes": 10, "first_label": 0, "central_crop": 1}')
  assert imagenet.dataset_info(str(tmp_path)).central_crop == 1


def test_a_description_may_say_how_many_records_there_are(tmp_path):
  assert imagenet.record_counts(str(tmp_path)) == {}
  imagenet.write_info(tmp_path, TEN)
  assert imagenet.record_counts(str(tmp_path)) == {}
  imagenet.write_info(tmp_path, TEN, {'train': 7, 'validation': 2})
  assert imagenet.record_counts(str(tmp_path)) == {'train': 7, 'validation': 2}
  assert imagenet.dataset_info(str(tmp_path)) == TEN


@pytest.mark.parametrize('counts', ['7', '[7]', '{"train": 0}', '{"train": true}', 'null'])
def test_wrong_numbers_of_records_are_refused(tmp_path, counts):
  (tmp_path / 'dataset.json').write_text('{"records": %s}' % counts)
  with pytest.raises(UserError, match='dataset.json: "records" must be an object with a who'):
    imagenet.record_counts(str(tmp_path))


def test_the_central_share_is_that_of_the_set_or_of_efficientnet():
  assert TEN._replace(central_crop=0.9).central_share(224) == 0.9
  assert TEN.central_share(224) == 224 / 256


@pytest.mark.parametrize('content, message', [
    ('{"name": "x", "classes": 10}',
     '"first_label" is missing'),
    ('{"name": "x", "classes": 10, "first_label": 0, "size": 3}',
     '"size" is unknown; known are name, classes, first_label, central_crop'),
    ('{"name": "x", "classes": 10, "central_crop": 1}', '"first_label" is missing'),
    ('{"name": "x", "classes": 10, "first_label": 0, "central_crop": 0}',
     '"central_crop" must be a number above 0 and up to 1, not 0'),
    ('{"name": "x", "classes": 10, "first_label": 0, "central_crop": 1.5}', ' 1, not 1.5'),
    ('{"name": "x", "classes": 10, "first_label": 0, "central_crop": null}', ' 1, not null'),
    ('{"name": "x", "classes": 10, "first_label": 0, "central_crop": true}', ' 1, not true'),
    ('{"name": "x", "classes": 10, "first_label": 0, "central_crop": NaN}',
     'NaN is not a finite number'),
    ('{"name": "x", "classes": 1, "first_label": 0}',
     '"classes" must be .* from 2 to 1000000, not 1'),
    ('{"name": "x", "classes": true, "first_label": 0}', '"classes" must be .*, not true'),
    ('{"name": "x", "classes": "10", "first_label": 0}', '"classes" must be .*, not "10"'),
    ('{"name": "x", "classes": 10, "first_label": -1}',
     '"first_label" must be .* from 0 to 1000000, not -1'),
    ('{"name": 7, "classes": 10, "first_label": 0}', '"name" must be a text, not 7'),
    ('{"name": ', 'not valid JSON'),
    ('[1]', 'one JSON object'),
])
def test_a_wrong_description_is_refused(tmp_path, content, message):
  (tmp_path / 'dataset.json').write_text(content)
  with pytest.raises(UserError, match='dataset.json.*' + message):
    imagenet.dataset_info(str(tmp_path))


@pytest.mark.parametrize('outputs, info, offset, words', [
    (1000, imagenet.IMAGENET, 1, '1000 outputs: label - 1'),
    (1001, imagenet.IMAGENET, 0, '1001 outputs: label, output 0 is background'),
    (10, TEN, 0, '10 outputs: label'),
])
def test_the_head_decides_the_offset(outputs, info, offset, words):
  assert imagenet.label_offset(outputs, info) == offset
  assert imagenet.describe_labels(outputs, info) == words


@pytest.mark.parametrize('outputs, info', [(10, imagenet.IMAGENET), (999, imagenet.IMAGENET),
                                           (1002, imagenet.IMAGENET), (11, TEN)])
def test_a_head_of_another_size_is_refused(outputs, info):
  with pytest.raises(UserError) as error:
    imagenet.label_offset(outputs, info)
  assert 'has %d outputs' % outputs in str(error.value)
  assert 'has %d classes (labels %d to %d)' % (info.classes, info[2], info.last_label) in str(
      error.value)


def parse(record, info):
  with tf.Graph().as_default(), tf.Session() as session:
    anything = tf.placeholder(tf.string, [])
    return session.run(imagenet.parse_record(anything, info), {anything: record})


@pytest.mark.parametrize('label', [0, 9])
def test_a_record_is_taken_apart(label):
  assert parse(image_records.example(b'pixels', label), TEN) == (b'pixels', label)


@pytest.mark.parametrize('label, info, allowed', [
    (10, TEN, '0 to 9'), (-1, TEN, '0 to 9'), (0, imagenet.IMAGENET, '1 to 1000'),
    (1001, imagenet.IMAGENET, '1 to 1000')])
def test_a_label_outside_the_range_fails_the_run(label, info, allowed):
  with pytest.raises(tf.errors.InvalidArgumentError) as error:
    parse(image_records.example(b'pixels', label), info)
  assert '[%d]' % label in error.value.message
  assert 'allowed are ' + allowed in error.value.message


def serialized(**features):
  return tf.train.Example(features=tf.train.Features(feature={
      'image/' + key.replace('_', '/'): feature for key, feature in features.items()
  })).SerializeToString()


def byte_values(*values):
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def numbers(*values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def test_other_features_do_not_matter():
  record = serialized(encoded=byte_values(b'pixels'), class_label=numbers(7), height=numbers(3),
                      filename=byte_values(b'\xff'), bbox=numbers(), class_text=byte_values(b'cat'))
  assert parse(record, TEN) == (b'pixels', 7)


def test_of_a_key_that_occurs_twice_the_last_counts():
  first, second = (image_records.example(b'pixels', label) for label in (3, 4))
  features = tf.train.Example.FromString(first).features.SerializeToString()
  features += tf.train.Example.FromString(second).features.SerializeToString()
  record = b'\x0a' + bytes([len(features)]) + features
  assert tf.train.Example.FromString(record).features.feature[
      imagenet.LABEL_KEY].int64_list.value[0] == 4
  assert parse(record, TEN) == (b'pixels', 4)


FOREIGN = (
    b'', b'\xff', b'\xff\xfe\xfd\xfc' * 9, b'plain text', b'\x0a\x05\xff',
    b'\x0a\xff\xff\xff\xff\x0f', b'\x0a\x04\x0a\x02\xff\xff', b'\x08\x96\x01',
    image_records.example(b'\xff' * 50, 1)[:-4],
    image_records.example(b'\xff' * 50, 1)[3:], image_records.example(b'\xff' * 50, 1) + b'\xff',
    serialized(), serialized(class_label=numbers(1)), serialized(encoded=byte_values(b'\xff')),
    serialized(encoded=byte_values(b'\xff'), height=numbers(1)),
    serialized(encoded=byte_values(b'\xff'), class_label=byte_values(b'1')),
    serialized(encoded=byte_values(b'\xff'), class_label=tf.train.Feature()),
    serialized(encoded=byte_values(b'\xff'), class_label=numbers()),
    serialized(encoded=byte_values(b'\xff'), class_label=numbers(1, 2)),
    serialized(encoded=byte_values(), class_label=numbers(1)),
    serialized(encoded=byte_values(b'\xff', b'\xff'), class_label=numbers(1)),
    serialized(encoded=numbers(1), class_label=numbers(1)))


@pytest.fixture(name='read')
def reader():
  """A function of bytes that gives the (image, label) of a record of TEN."""
  with tf.Graph().as_default(), tf.Session() as session:
    record = tf.placeholder(tf.string, [])
    yield session.make_callable(imagenet.parse_record(record, TEN), [record])


def test_records_of_another_kind_fail_the_run_not_the_process(read):
  for record in FOREIGN:
    with pytest.raises((tf.errors.InvalidArgumentError, tf.errors.DataLossError)):
      read(record)


def test_whatever_the_bytes_are_the_process_goes_on(read):
  """A thousand mutations: read as protocol buffers have it, or refused."""
  random = np.random.RandomState(0)
  whole = serialized(encoded=byte_values(b'\xff\xd8' * 20), class_label=numbers(7),
                     filename=byte_values(b'\xe9.jpg'), height=numbers(300))
  for _ in range(1000):
    changed = bytearray(whole)
    for position in random.randint(0, len(whole), random.randint(1, 4)):
      changed[position] = random.randint(0, 256)
    changed = bytes(changed[random.randint(0, 3):random.randint(len(whole) - 3, len(whole) + 1)])
    try:
      image, label = read(changed)
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError):
      continue
    assert isinstance(image, bytes) and 0 <= label <= 9
