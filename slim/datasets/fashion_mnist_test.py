"""Tests of Fashion-MNIST, its subset in the repository and the scripts that make both."""

import hashlib
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import data
from datasets import (
    build_fashion_mnist, dataset_factory, fashion_mnist, idx, make_fashion_mnist_subset)
from scripts.errors import UserError
from scripts.testing.network import run_script

SUBSET = os.path.join(os.path.dirname(__file__), 'fashion_mnist_subset')


def write_files(folder, images, labels):
  """Writes `images` and `labels` as both splits."""
  for split in ('train', 'validation'):
    for name, array in zip(fashion_mnist.file_names(split), (images, labels)):
      (folder / (name + '.gz')).write_bytes(idx.compressed_idx(array))


@pytest.fixture(name='files')
def three_of_each_class(tmp_path):
  """Thirty random images in an order of classes 0..9, 0..9, 0..9."""
  images = np.random.RandomState(0).randint(0, 256, [30, 28, 28]).astype(np.uint8)
  write_files(tmp_path, images, np.tile(np.arange(10, dtype=np.uint8), 3))
  return tmp_path, images


def test_the_subset_is_whole_and_balanced():
  with open(os.path.join(SUBSET, 'SHA256SUMS')) as stream:
    for line in stream:
      checksum, name = line.split()
      with open(os.path.join(SUBSET, name), 'rb') as content:
        assert hashlib.sha256(content.read()).hexdigest() == checksum
      with open(os.path.join(SUBSET, 'README.md')) as readme:
        assert '| `%s` |' % name in readme.read()
  for split, number in (('train', 1000), ('validation', 200)):
    images, labels = fashion_mnist.read_split(SUBSET, split)
    assert images.shape == (10 * number, 28, 28)
    assert np.bincount(labels).tolist() == [number] * 10
  # The labels that Fashion-MNIST's two sets begin with, as its pages show them.
  assert fashion_mnist.read_split(SUBSET, 'train')[1][:8].tolist() == [9, 0, 0, 3, 0, 2, 7, 2]
  assert labels[:8].tolist() == [9, 2, 1, 1, 6, 1, 4, 6]


def test_plain_files_are_read(files):
  folder, images = files
  for name in fashion_mnist.file_names('train'):
    array = idx.read_idx(str(folder / (name + '.gz')))
    os.remove(str(folder / (name + '.gz')))
    (folder / name).write_bytes(bytes([0, 0, 8, array.ndim]) + np.array(
        array.shape, '>u4').tobytes() + array.tobytes())
  np.testing.assert_array_equal(fashion_mnist.read_split(str(folder), 'train')[0], images)


@pytest.mark.parametrize('shape, labels, message', [
    ([2, 28, 27], [0, 1], r'images of 28 x 28 pixels, not an array of the shape \[2, 28, 27\]'),
    ([2, 28, 28], [0, 1, 2], r'labels of the shape \[3\], but .* holds 2 images'),
    ([2, 28, 28], [0, 10], 'holds the label 10, outside 0 to 9')])
def test_other_files_are_refused(tmp_path, shape, labels, message):
  write_files(tmp_path, np.zeros(shape, np.uint8), np.array(labels, np.uint8))
  with pytest.raises(UserError, match=message):
    fashion_mnist.read_split(str(tmp_path), 'train')


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match='neither t10k-images-idx3-ubyte.gz nor t10k-images'):
    fashion_mnist.read_split(str(tmp_path), 'validation')


def convert(folder, *flags):
  return run_script(build_fashion_mnist.main, (
      '--input_directory=%s' % folder, '--output_directory=%s' % (folder / 'records'),
      '--train_shards=3', '--validation_shards=1') + flags)


def test_records_give_the_pictures_back(files):
  folder, images = files
  outcome = convert(folder)
  assert outcome.status == 0
  assert outcome.out.splitlines() == [
      'train: 30 images in 3 files', 'validation: 30 images in 1 files',
      '%s: 10 classes, labels 0 to 9, "fashion_mnist"' % (folder / 'records')]
  assert (folder / 'records/labels.txt').read_text().splitlines()[9] == '9:Ankle boot'
  split = dataset_factory.get_split('fashion_mnist', 'validation', str(folder / 'records'))
  assert split.info == fashion_mnist.INFO
  with tf.Graph().as_default(), tf.Session() as session:
    batches = data.evaluation_batches(split, 30, 28, 0, threads=1)
    actual, labels = session.run(tf.data.make_one_shot_iterator(batches).get_next())
  # The whole picture in three equal channels, at its own size and in its own order.
  np.testing.assert_array_equal(actual, np.repeat(images[..., np.newaxis], 3, axis=3))
  assert labels.tolist() == list(range(10)) * 3


@pytest.mark.parametrize('flags, message', [
    (['--input_directory='], 'error: --input_directory is needed (see --help)'),
    (['--output_directory='], 'error: --output_directory is needed (see --help)'),
    (['--train_shards=0'], 'error: --train_shards must be at least 1, not 0'),
    (['--num_threads=-1'], 'error: --num_threads must be at least 1, not -1'),
    (['--seed=-1'], 'error: --seed must be 0 to 4294967295, not -1'),
    (['--train_shards=31'], 'error: 30 images of train cannot fill 31 files: choose 1 to 30'),
    (['--input_directory=nowhere'], 'error: neither train-images-idx3-ubyte.gz nor '
     'train-images-idx3-ubyte is in nowhere: it must hold the four files of Fashion-MNIST')])
def test_bad_flags_are_refused(files, flags, message):
  outcome = convert(files[0], *flags)
  assert (outcome.status, outcome.error) == (2, message)
  assert not (files[0] / 'records').exists()


def test_the_subset_takes_the_first_of_each_class(files):
  folder, images = files
  flags = ['--input_directory=%s' % folder, '--output_directory=%s' % (folder / 'subset')]
  outcome = run_script(make_fashion_mnist_subset.main, flags + [
      '--train_per_class=2', '--validation_per_class=1'])
  assert outcome.out == 'train: 20 images\nvalidation: 10 images\n'
  actual, labels = fashion_mnist.read_split(str(folder / 'subset'), 'train')
  np.testing.assert_array_equal(actual, images[:20])
  assert labels.tolist() == list(range(10)) * 2
  outcome = run_script(make_fashion_mnist_subset.main, flags + ['--train_per_class=4'])
  assert outcome.error == 'error: the class T-shirt/top has 3 images, not 4'


def test_the_first_of_each_class_keep_their_order():
  labels = np.array([1, 0] + list(range(2, 10)) + list(range(9, -1, -1)), np.uint8)
  assert make_fashion_mnist_subset.first_of_each_class(labels, 1).tolist() == list(range(10))
