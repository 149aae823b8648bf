"""Tests of the batches and of the preprocessings by name."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import data
import dataset_utils
import imagenet
from preprocessing import batches, preprocessing_factory
from scripts import image_records
from scripts.errors import UserError

SIZE = 8
INFO = imagenet.DatasetInfo('twelve', classes=12, first_label=0)


@pytest.fixture(name='split', scope='module')
def twelve_images(tmp_path_factory):
  """Twelve images of noise, the i-th of label i, in three files."""
  folder = str(tmp_path_factory.mktemp('records'))
  pixels = np.random.RandomState(0).randint(0, 256, [12, 24, 20, 3]).astype(np.uint8)
  image_records.write_records(folder, 'train', pixels, range(12), 3, 'png')
  imagenet.write_info(folder, INFO)
  return dataset_utils.find_split(folder, 'train')


def training(split, number, batch_size=4, name='efficientnet', seed=0, threads=2, **options):
  """The first `number` batches: (images [number, N, S, S, 3], labels [number, N])."""
  with tf.Graph().as_default(), tf.Session() as session:
    dataset = batches.training_batches(split, batch_size, SIZE, 0, name, seed, threads, **options)
    following = tf.data.make_one_shot_iterator(dataset).get_next()
    assert following[0].shape == (batch_size, SIZE, SIZE, 3)
    images, labels = zip(*[session.run(following) for _ in range(number)])
  return np.array(images), np.array(labels)


def assert_same(actual, expected):
  for a, b in zip(actual, expected):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('name', ['efficientnet', 'efficientnet_central'])
def test_batches_follow_from_the_seed_alone(split, name):
  actual = training(split, 4, name=name)
  assert actual[0].dtype == np.float32 and actual[1].dtype == np.int32
  assert_same(training(split, 4, name=name, threads=1), actual)
  assert not np.array_equal(training(split, 4, name=name, seed=1)[0], actual[0])


def test_every_epoch_has_each_image_in_another_order(split):
  _, labels = training(split, 9)
  epochs = labels.reshape(3, 12)
  assert np.all(np.sort(epochs) == np.arange(12))
  assert len({tuple(epoch) for epoch in list(epochs) + [np.arange(12)]}) == 4


# In one buffer, and in the order of shuffled files, as large sets are read.
@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 1])
def test_workers_share_the_batches_of_one_process(split, monkeypatch, shuffle_bytes):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  images, labels = training(split, 7, batch_size=6)
  for worker in range(3):
    share = training(split, 7, batch_size=2, shard=(worker, 3))
    assert_same(share, (images[:, worker::3], labels[:, worker::3]))


@pytest.mark.parametrize('shuffle_bytes', [data._SHUFFLE_BYTES, 1])
@pytest.mark.parametrize('start', [12, 28])
def test_a_run_goes_on_where_it_was(split, monkeypatch, shuffle_bytes, start):
  monkeypatch.setattr(data, '_SHUFFLE_BYTES', shuffle_bytes)
  images, labels = training(split, 10)
  rest = training(split, 2, start=start)
  assert_same(rest, (images[start // 4:][:2], labels[start // 4:][:2]))
  half = training(split, 2, batch_size=2, start=start, shard=(1, 2), readers=2)
  assert_same(half, (images[start // 4:][:2, 1::2], labels[start // 4:][:2, 1::2]))


def test_the_start_may_be_a_tensor(split):
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.placeholder(tf.int64, [])
    iterator = tf.data.make_initializable_iterator(batches.training_batches(
        split, 4, SIZE, 0, 'efficientnet', 0, 2, start=4 * step))
    session.run(iterator.initializer, {step: 7})
    images, labels = session.run(iterator.get_next())
  assert_same((images, labels), [values[7] for values in training(split, 8)])


def test_an_unknown_preprocessing_is_refused(split):
  with pytest.raises(UserError, match='unknown preprocessing "none": choose one of efficientnet, '):
    training(split, 1, name='none')


def preprocess(name, pixels, keys):
  """List of the preprocessed image `pixels`, once for each key."""
  encoded, = image_records.encode([pixels], 'png')
  info = INFO._replace(central_crop=1.0)
  function = preprocessing_factory.get_preprocessing(name)
  with tf.Graph().as_default(), tf.Session() as session:
    key = tf.placeholder(tf.int64, [2])
    image = function(encoded, SIZE, info, key)
    return [session.run(image, {key: value}) for value in keys]


PIXELS = np.random.RandomState(1).randint(0, 256, [SIZE, SIZE, 3]).astype(np.uint8)


def test_the_central_training_sees_the_whole_square_and_its_mirror_image():
  actual = preprocess('efficientnet_central', PIXELS, [(0, number) for number in range(20)])
  mirrored = [np.array_equal(image, PIXELS[:, ::-1]) for image in actual]
  straight = [np.array_equal(image, PIXELS) for image in actual]
  assert np.all(np.logical_xor(mirrored, straight)) and 4 < sum(mirrored) < 16


def test_autoaugment_changes_the_crop_of_the_same_key():
  flat = np.full([32, 32, 3], 100, np.uint8)
  keys = [(0, number) for number in range(12)]
  crops = preprocess('efficientnet', flat, keys)
  augmented = preprocess('efficientnet_autoaugment', flat, keys)
  np.testing.assert_allclose(crops, np.full([12, SIZE, SIZE, 3], 100.0), atol=1e-3)
  assert_same(preprocess('efficientnet_autoaugment', flat, keys), augmented)
  changed = [not np.all(image == 100.0) for image in augmented]
  assert 2 < sum(changed) < 12
  assert np.all(np.array(augmented) == np.round(augmented))


def test_evaluation_is_that_of_adj_quant():
  assert batches.evaluation_batches is data.evaluation_batches
