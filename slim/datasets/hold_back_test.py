"""Tests of holding back a part of a set's training records."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from datasets import hold_back
from imagenet import DatasetInfo, dataset_info, write_info
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
  found = []
  for name in sorted(n for n in os.listdir(str(folder)) if n.startswith(split)):
    found += list(tf.python_io.tf_record_iterator(os.path.join(str(folder), name)))
  return found


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


@pytest.mark.parametrize('flags, message', [
    (['--every', 8], 'too few to hold back every 8-th'), (['--every', 1], 'every'),
    (['--output_directory', None], 'is the folder of the records')])
def test_refusals(folder, tmp_path, flags, message):
  argv = ['--dataset_dir', folder, '--output_directory', tmp_path] + [
      folder if flag is None else flag for flag in flags]
  outcome = run_script(hold_back.main, argv)
  assert outcome.status == 2 and message in outcome.error
  assert sorted(os.listdir(str(tmp_path))) == []
