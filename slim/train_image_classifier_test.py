"""Tests of training as a user runs it."""

import json
import os
import re
import signal
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from testing import chain as testing_chain
from testing import run as testing_run
import train_image_classifier


@pytest.fixture(name='records', scope='module')
def tiny_records(tmp_path_factory):
  """Folder of records."""
  return testing_run.write_images(tmp_path_factory.mktemp('records'))


def train(records, folder, **flags):
  """Outcome of a run."""
  return testing_run.run_script(train_image_classifier.main,
                                testing_run.flags(records, folder, **flags))


@pytest.fixture(name='whole', scope='module')
def whole_run(records, tmp_path_factory):
  """A run of 8 steps: its folder and what it printed."""
  folder = tmp_path_factory.mktemp('whole')
  outcome = train(records, folder, max_number_of_steps=8, moving_average_decay=0.9)
  assert outcome.status == 0, outcome.err
  return folder, outcome


def values(path):
  """dict name -> array of a checkpoint."""
  reader = tf.train.load_checkpoint(path)
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_run_says_what_it_does(whole):
  folder, outcome = whole
  assert '24 images of "tiny" (train) at 16 px, 4 outputs: label - 1' in outcome.out
  assert sorted(testing_run.losses(outcome.out)) == list(range(1, 9))
  assert 'done at step 8 -> %s' % testing_run.checkpoint(folder, 8) in outcome.out
  with open(str(folder / 'model.json')) as stream:
    model = json.load(stream)
  assert (model['model_name'], model['num_classes'], model['labels_offset']) == ('tiny', 4, 1)
  assert model['quantized'] is False and model['flags']['learning_rate'] == 0.02
  tags = {value.tag for name in os.listdir(str(folder)) if 'tfevents' in name
          for event in tf.train.summary_iterator(str(folder / name))
          for value in event.summary.value}
  assert tags == {'loss', 'learning_rate', 'images_per_second'}


def test_a_run_that_was_cut_goes_on_as_if_it_had_not_been(records, whole, tmp_path):
  train(records, tmp_path, max_number_of_steps=3, moving_average_decay=0.9)
  outcome = train(records, tmp_path, max_number_of_steps=8, moving_average_decay=0.9)
  assert 'resuming from %s' % testing_run.checkpoint(tmp_path, 3) in outcome.out
  actual = testing_run.losses(outcome.out)
  expected = testing_run.losses(whole[1].out)
  assert actual == pytest.approx({step: expected[step] for step in range(4, 9)}, abs=1e-3)
  ours, theirs = (values(testing_run.checkpoint(folder, 8)) for folder in (tmp_path, whole[0]))
  assert ours['global_step'] == 8 and set(ours) == set(theirs)
  for name in ours:
    np.testing.assert_allclose(ours[name], theirs[name], atol=1e-3, err_msg=name)
  again = train(records, tmp_path, max_number_of_steps=8, moving_average_decay=0.9)
  assert again.status == 0 and not testing_run.losses(again.out)
  assert 'done at step 8' in again.out


def test_a_start_from_averages_with_a_fresh_head(records, whole, tmp_path):
  outcome = train(records, tmp_path, checkpoint_path=whole[0], max_number_of_steps=1,
                  checkpoint_exclude_scopes='efficientnet_b0/Logits', learning_rate=0)
  assert 'of them moving averages' in outcome.out
  assert '2 excluded: efficientnet_b0/Logits' in outcome.out
  old = values(testing_run.checkpoint(whole[0], 8))
  new = values(testing_run.checkpoint(tmp_path, 1))
  name = 'efficientnet_b0/Conv/weights'
  np.testing.assert_array_equal(new[name], old[name + '/ExponentialMovingAverage'])
  head = 'efficientnet_b0/Logits/Conv2d_1c_1x1/weights'
  assert np.any(new[head] != old[head])


def test_quantisation_aware_training_starts_from_float(records, whole, tmp_path):
  outcome = train(records, tmp_path, checkpoint_path=whole[0], max_number_of_steps=2,
                  quantize_delay=1)
  assert outcome.status == 0 and 'fresh: quantization_batches, efficientnet_b0/' in outcome.out
  with open(str(tmp_path / 'model.json')) as stream:
    assert json.load(stream)['quantized'] is True


def test_a_signal_ends_the_run_with_a_checkpoint(records, tmp_path):
  former = signal.getsignal(signal.SIGTERM)

  class Writer(tf.summary.FileWriter):
    def flush(self):  # For the first time after step 1.
      os.kill(os.getpid(), signal.SIGTERM)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tf.summary, 'FileWriter', Writer)
    outcome = train(records, tmp_path)
  assert outcome.status == 128 + signal.SIGTERM
  assert outcome.out.splitlines()[-1] == (
      'stopped by SIGTERM at step 2; the same command resumes there')
  assert os.path.exists(testing_run.checkpoint(tmp_path, 2) + '.index')
  assert signal.getsignal(signal.SIGTERM) is former


def test_a_full_disk_is_one_line_and_leaves_nothing_that_is_not_whole(records, tmp_path):
  train(records, tmp_path, max_number_of_steps=2)
  leftover = tmp_path / 'model.ckpt-3.index.tempstate1'  # Of a run that was killed.
  leftover.write_text('')
  before = sorted(set(os.listdir(str(tmp_path))) - {leftover.name})

  def save(saver, session, path, step, **_):
    for ending in ('data-00000-of-00001', 'index.tempstate123'):
      with open('%s-%d.%s' % (path, step, ending), 'w'):
        assert not leftover.exists()
    raise tf.errors.ResourceExhaustedError(None, None, 'No space left on device')

  with mock.patch.object(tf.train.Saver, 'save', save):
    outcome = train(records, tmp_path, max_number_of_steps=4)
  assert outcome.status == 2
  assert outcome.error == 'error: cannot write checkpoint %s: No space left on device' % (
      testing_run.checkpoint(tmp_path, 4))
  assert sorted(n for n in os.listdir(str(tmp_path)) if 'tfevents' not in n) == [
      n for n in before if 'tfevents' not in n]


def test_old_checkpoints_go(records, tmp_path):
  train(records, tmp_path, max_number_of_steps=5, save_interval_steps=1, keep=2)
  assert sorted(n for n in os.listdir(str(tmp_path)) if n.endswith('.index')) == [
      'model.ckpt-4.index', 'model.ckpt-5.index']


@pytest.mark.parametrize('flags, message', [
    (dict(dataset_dir='nowhere'), 'cannot read the data folder nowhere'),
    (dict(dataset_split_name='test'), 'no files test-*'),
    (dict(dataset_name='fashion_mnist'), 'holds the data set "tiny"'),
    (dict(num_classes=3), 'the network has 3 outputs, but the data set "tiny" has 4 classes'),
    (dict(labels_offset=0), '--labels_offset=0: 4 outputs and the labels 1 to 4 of "tiny" need 1'),
    (dict(batch_size=25), 'a step takes 25 images (--batch_size, clones, workers), the split train '
                          'has 24'),
    (dict(checkpoint_path='nowhere'), 'no checkpoint at nowhere'),
    (dict(task=1), '--task belongs to a cluster'),
])
def test_refusals(records, tmp_path, flags, message):
  outcome = train(records, tmp_path / 'run', **flags)
  assert outcome.status == 2 and message in outcome.error


def test_a_folder_that_cannot_be_written(records, tmp_path):
  (tmp_path / 'file').write_text('')
  outcome = train(records, tmp_path / 'file')
  assert outcome.status == 2 and 'cannot write to the folder' in outcome.error


@pytest.mark.parametrize('flags, message', [
    (dict(train_image_size=40), 'image_size 16, this run has 40'),
    (dict(optimizer='adam'), 'optimizer "momentum", this run has "adam"'),
    (dict(quantize_delay=0), 'holds float checkpoints, this run is quantisation-aware'),
    (dict(moving_average_decay=0.8), 'moving_average_decay 0.9, this run has 0.8'),
])
def test_a_folder_of_another_run(records, whole, flags, message):
  outcome = train(records, whole[0], **dict(dict(moving_average_decay=0.9), **flags))
  assert outcome.status == 2 and message in outcome.error
  assert 'choose another --train_dir' in outcome.error


def test_a_loss_that_is_no_number(records, whole, tmp_path):
  arrays = {name: value * np.nan if name.startswith('efficientnet_b0/Logits') else value
            for name, value in values(testing_run.checkpoint(whole[0], 8)).items()}
  testing_chain.write_arrays(tmp_path / 'model.ckpt-8', arrays)
  outcome = train(records, tmp_path / 'run', checkpoint_path=tmp_path / 'model.ckpt-8')
  assert outcome.status == 2
  assert 'the loss is not a finite number in step 1' in outcome.error


def test_a_damaged_checkpoint(records, whole, tmp_path):
  path = testing_run.checkpoint(tmp_path, 1)
  train(records, tmp_path, max_number_of_steps=1)
  with open(path + '.data-00000-of-00001', 'r+b') as stream:
    stream.truncate(100)
  outcome = train(records, tmp_path, max_number_of_steps=2)
  assert outcome.status == 2  # Which variable is found first depends on the threads.
  assert re.search(r'model.ckpt-1 is damaged at [\w/]+: ', outcome.error)
  assert 'start from another one with --checkpoint_path' in outcome.error


def test_a_run_goes_on_without_the_name_of_its_checkpoint(records, tmp_path):
  train(records, tmp_path, max_number_of_steps=10, save_interval_steps=8)
  (tmp_path / 'checkpoint').unlink()
  outcome = train(records, tmp_path, max_number_of_steps=11, keep=2)
  path = testing_run.checkpoint(tmp_path, 10)
  assert outcome.status == 0 and sorted(testing_run.losses(outcome.out)) == [11]
  assert outcome.out.count('note: taking the last of 2 checkpoints, %s\n' % path) == 1
  assert 'resuming from %s\n' % path in outcome.out
  assert sorted(name for name in os.listdir(str(tmp_path)) if name.endswith('.index')) == [
      'model.ckpt-10.index', 'model.ckpt-11.index']  # The oldest one was not forgotten.


def test_a_checkpoint_that_lacks_a_variable(records, whole, tmp_path):
  for name in os.listdir(str(whole[0])):
    if name != 'model.json' and 'tfevents' not in name:
      (tmp_path / name).write_bytes((whole[0] / name).read_bytes())
  outcome = train(records, tmp_path, max_number_of_steps=9, optimizer='adam')
  assert outcome.status == 2 and 'model.ckpt-8 has no beta1_power' in outcome.error


def test_an_error_that_is_not_the_checkpoints_is_not_blamed_on_it(records, whole, tmp_path):
  error = tf.errors.InvalidArgumentError(None, None, 'of another cause')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tf.train, 'MonitoredSession', mock.Mock(side_effect=error))
    with pytest.raises(tf.errors.InvalidArgumentError, match='of another cause'):
      train(records, tmp_path, checkpoint_path=whole[0])


def test_a_torn_record_is_named(tmp_path):
  records = testing_run.write_images(tmp_path)
  name = str(tmp_path / 'train-00000-of-00001')
  with open(name, 'r+b') as stream:
    stream.seek(os.path.getsize(name) - 500)
    stream.write(b'\0' * 20)
  outcome = train(records, tmp_path / 'run', max_number_of_steps=9)
  assert outcome.status == 2 and 'record 23' in outcome.error and 'checksum' in outcome.error
