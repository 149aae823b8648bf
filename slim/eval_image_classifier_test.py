"""Tests of evaluation as a user runs it."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import eval_image_classifier
from imagenet import write_info
from scripts.image_records import write_records
from scripts.testing.network import CLASSES, INFO, random_images
from testing import chain as testing_chain
from testing import run as testing_run
import train_image_classifier
from training.averages import SUFFIX


HEAD = 'efficientnet_b0/Logits/Conv2d_1c_1x1/biases'


@pytest.fixture(name='runs', scope='module')
def trained_runs(tmp_path_factory):
  """Folder of records, of a float run with averages and of a quantised one.

  The heads choose output 0, which 5 of the 8 validation images have, but for the weights of the
  float run that are no averages: these choose output 1, which one image has.
  """
  records = testing_run.write_images(tmp_path_factory.mktemp('records'))
  write_records(records, 'validation', random_images(8, 1),
                np.add([0, 0, 0, 0, 0, 1, 2, 3], INFO.first_label), image_format='png')
  folders = [tmp_path_factory.mktemp(name) for name in ('float', 'quantised')]
  for folder, flags in zip(folders, (dict(moving_average_decay=0.5),
                                     dict(quantize_delay=0, checkpoint_path=folders[0]))):
    outcome = testing_run.run_script(train_image_classifier.main, testing_run.flags(
        records, folder, max_number_of_steps=2, **flags))
    assert outcome.status == 0, outcome.err
  _set_head(testing_run.checkpoint(folders[0], 2), 1, 0)
  _set_head(testing_run.checkpoint(folders[1], 2), 0, 0)
  return (records,) + tuple(folders)


def _set_head(path, output, output_of_averages):
  """Lets the biases of a checkpoint's head choose an output, whatever the image."""
  reader = tf.train.load_checkpoint(path)
  arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
  for name, chosen in ((HEAD, output), (HEAD + SUFFIX, output_of_averages)):
    if name in arrays:
      arrays[name] = np.float32(100.0 * (np.arange(CLASSES) == chosen))
  testing_chain.write_arrays(path, arrays)


def evaluate(records, checkpoint, *flags):
  """Outcome of an evaluation."""
  return testing_run.run_script(eval_image_classifier.main, [
      '--dataset_dir=%s' % records, '--checkpoint_path=%s' % checkpoint, '--batch_size=3'
  ] + list(flags))


def test_averages_are_evaluated_unless_not_wished(runs, tmp_path):
  records, folder, _ = runs
  path = testing_run.checkpoint(folder, 2)
  for flag, with_averages in (('--moving_average', True), ('--nomoving_average', False)):
    outcome = evaluate(records, folder, flag)
    assert outcome.status == 0, outcome.err
    assert 'step 2: top-1 %s of 8)' % ('62.50 % (5' if with_averages else '12.50 % (1') in (
        outcome.out)
    assert ('moving averages' in outcome.out) == with_averages
  outcome = evaluate(records, path, '--json_out=%s' % (tmp_path / 'x.json'),
                     '--eval_dir=%s' % tmp_path)
  assert 'model.ckpt-2, float, moving averages' in outcome.out
  with open(str(tmp_path / 'x.json')) as stream:
    numbers = json.load(stream)
  assert numbers['correct'] == 5 and numbers['images'] == 8
  assert numbers['step'] == 2 and numbers['quantized'] is False
  log, = tmp_path.glob('events*')
  points = [(value.tag, value.simple_value) for event in tf.train.summary_iterator(str(log))
            for value in event.summary.value]
  assert sorted(points) == [('top1', numbers['top1']), ('top5', numbers['top5'])]


def test_a_quantised_run_is_evaluated_quantised_unless_not_wished(runs):
  records, _, folder = runs
  assert 'model.ckpt-2, quantised\n' in evaluate(records, folder).out
  outcome = evaluate(records, folder, '--noquantize')
  assert 'model.ckpt-2, float\n' in outcome.out and '(5 of 8), top-5' in outcome.out


def test_averages_that_are_not_there_are_refused(runs):
  outcome = evaluate(runs[0], runs[2], '--moving_average')
  assert outcome.status == 2
  assert 'model.ckpt-2 has no moving averages: leave --moving_average out' in outcome.error


def test_labels_of_other_numbers_are_refused_unless_wished(runs, tmp_path):
  for path in runs[1].glob('model.*'):
    (tmp_path / path.name).write_bytes(path.read_bytes())
  model = json.loads((tmp_path / 'model.json').read_text())
  (tmp_path / 'model.json').write_text(json.dumps(dict(model, labels_offset=0)))
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-2')
  assert outcome.status == 2 and 'is a label - 0, but a label - 1 of the records' in outcome.error
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-2', '--labels_offset=1')
  assert '(5 of 8)' in outcome.out


def test_labels_off_by_one_are_hinted_at(runs, tmp_path):
  image = random_images(1)
  counts = {}
  for label in range(CLASSES):  # One of them is the network's answer.
    folder = tmp_path / str(label)
    folder.mkdir()
    write_info(folder, INFO)
    write_records(folder, 'validation', np.repeat(image, 16, axis=0),
                  np.repeat(label + INFO.first_label, 16), image_format='png')
    outcome = evaluate(folder, runs[1])
    counts[label] = '(16 of 16)' in outcome.out.split(', top-5')[0], [
        line for line in outcome.out.splitlines() if line.startswith('note: ')]
  answer, = (label for label, (right, _) in counts.items() if right)
  for label, (_, notes) in counts.items():
    assert len(notes) == (abs(answer - label) == 1)
    if notes:
      assert ('0 of 16 images are correct, and 16 when labels are shifted by %+d'
              % (answer - label)) in notes[0]


def test_fewer_images(runs):
  assert ' of 5), top-5' in evaluate(runs[0], runs[1], '--max_num_images=5').out


@pytest.mark.parametrize('flags, message', [
    (['--quantize'], 'weights_quant/min: it is one of another network'),
    (['--model_name=efficientnet_b0'], 'is a checkpoint with tiny; leave the flag out'),
    (['--num_classes=1'], '--num_classes must be at least 2, not 1'),
    (['--num_classes=5'], 'is a checkpoint with 4; leave the flag out'),
    (['--labels_offset=0'], 'need 1; leave the flag out'),
    (['--batch_size=0'], '--batch_size must be at least 1'),
    (['--dataset_split_name=test'], 'no files test-*'),
    (['--checkpoint_path=nowhere'], 'no checkpoint at nowhere'),
    (['--checkpoint_path='], '--checkpoint_path is needed'),
])
def test_refusals(runs, flags, message):
  outcome = evaluate(runs[0], runs[1], *flags)
  assert outcome.status == 2 and message in outcome.error


def test_a_checkpoint_without_description_needs_the_name(runs, tmp_path):
  for path in runs[1].glob('model.ckpt-2*'):
    (tmp_path / path.name).write_bytes(path.read_bytes())
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-2', '--model_name=tiny')
  assert 'model.ckpt-2, float, moving averages' in outcome.out
