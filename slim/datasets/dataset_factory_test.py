"""Tests of sets by name."""

import numpy as np
import pytest

from datasets import dataset_factory, fashion_mnist, imagenet
from imagenet import write_info
from scripts import image_records
from scripts.errors import UserError


@pytest.fixture(name='folder')
def three_images(tmp_path):
  image_records.write_records(tmp_path, 'train', np.zeros([3, 4, 4, 3], np.uint8), [1, 2, 3])
  return tmp_path


@pytest.mark.parametrize('name', ['imagenet', None, ''])
def test_records_without_description_are_imagenet(folder, name):
  split = dataset_factory.get_split(name, 'train', str(folder), limit=2)
  assert (split.info, split.count, split.name) == (imagenet.INFO, 2, 'train')


@pytest.mark.parametrize('name, central_crop', [
    ('fashion_mnist', 1.0), ('fashion_mnist', 0.9), ('image_folder', None), (None, None)])
def test_described_records(folder, name, central_crop):
  info = fashion_mnist.INFO._replace(central_crop=central_crop)
  write_info(folder, info)
  assert dataset_factory.get_split(name, 'train', str(folder)).info == info


def refusal(name, folder):
  with pytest.raises(UserError) as error:
    dataset_factory.get_split(name, 'train', str(folder))
  return str(error.value)


def test_other_sets_are_refused(folder):
  assert refusal('cifar', folder) == (
      'unknown data set "cifar": choose one of fashion_mnist, imagenet, image_folder')
  assert refusal('fashion_mnist', folder) == (
      '%s holds the data set "imagenet" with 1000 classes (labels 1 to 1000), not fashion_mnist'
      % folder)
  assert refusal('image_folder', folder) == (
      '%s holds no dataset.json, which says what the classes of an image_folder set are' % folder)
  write_info(folder, fashion_mnist.INFO)
  assert 'holds the data set "fashion_mnist" with 10 classes' in refusal('imagenet', folder)
