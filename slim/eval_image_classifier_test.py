"""Tests of evaluation as a user runs it."""

import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import find_split
import eval_image_classifier
from imagenet import write_info
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from preprocessing.batches import evaluation_batches
from scripts.image_records import write_records
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES
from testing import run as testing_run
import train_image_classifier
from training.averages import SUFFIX


@pytest.fixture(name='runs', scope='module')
def trained_runs(tmp_path_factory):
  """Folder of records, of a float run with averages and of a quantised one."""
  records = testing_run.write_images(tmp_path_factory.mktemp('records'))
  folders = [tmp_path_factory.mktemp(name) for name in ('float', 'quantised')]
  for folder, flags in zip(folders, (dict(moving_average_decay=0.5),
                                     dict(quantize_delay=0, checkpoint_path=folders[0]))):
    outcome = testing_run.run_script(train_image_classifier.main, testing_run.flags(
        records, folder, max_number_of_steps=12, **flags))
    assert outcome.status == 0, outcome.err
  _negate_head(testing_run.checkpoint(folders[0], 12))
  return (records,) + tuple(folders)


def _negate_head(path):
  """Makes a checkpoint's raw weights wrong, so that its averages give other counts."""
  reader = tf.train.load_checkpoint(path)
  with tf.Graph().as_default(), tf.Session() as session:
    for name in reader.get_variable_to_shape_map():
      is_head = 'Logits' in name and not name.endswith(SUFFIX)
      tf.get_variable(name, initializer=reader.get_tensor(name) * (-1 if is_head else 1))
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, path, write_meta_graph=False)


def evaluate(records, checkpoint, *flags):
  """Outcome of an evaluation."""
  return testing_run.run_script(eval_image_classifier.main, [
      '--dataset_dir=%s' % records, '--checkpoint_path=%s' % checkpoint, '--batch_size=3'
  ] + list(flags))


def correct(records, checkpoint, with_averages):
  """Validation images that a float network of a checkpoint's values is right on."""
  reader = tf.train.load_checkpoint(checkpoint)
  split = find_split(records, 'validation')
  with tf.Graph().as_default(), tf.Session() as session:
    images, labels = evaluation_batches(split, split.count, 16, 1, 1) \
        .make_one_shot_iterator().get_next()
    images.set_shape([None, 16, 16, 3])
    logits, _ = efficientnet_b0(images, CLASSES, False, testing_run.TINY)
    for variable in tf.global_variables():
      name = variable.op.name + (SUFFIX if with_averages else '')
      variable.load(reader.get_tensor(name), session)
    found, expected = session.run([logits, labels])
    return int(np.sum(np.argmax(found, 1) == expected))


def test_averages_are_evaluated_unless_not_wished(runs, tmp_path):
  records, folder, _ = runs
  path = testing_run.checkpoint(folder, 12)
  assert correct(records, path, True) != correct(records, path, False)
  for flag, with_averages in (('--moving_average', True), ('--nomoving_average', False)):
    outcome = evaluate(records, folder, flag)
    assert outcome.status == 0, outcome.err
    assert 'step 12: top-1 %.2f %% (%d of 8)' % (
        (lambda n: (12.5 * n, n))(correct(records, path, with_averages))) in outcome.out
    assert ('moving averages' in outcome.out) == with_averages
  outcome = evaluate(records, path, '--json_out=%s' % (tmp_path / 'x.json'),
                     '--eval_dir=%s' % tmp_path)
  assert 'model.ckpt-12, float, moving averages' in outcome.out
  with open(str(tmp_path / 'x.json')) as stream:
    numbers = json.load(stream)
  assert numbers['correct'] == correct(records, path, True) and numbers['images'] == 8
  assert numbers['step'] == 12 and numbers['quantized'] is False
  log, = tmp_path.glob('events*')
  points = [(value.tag, value.simple_value) for event in tf.train.summary_iterator(str(log))
            for value in event.summary.value]
  assert sorted(points) == [('top1', numbers['top1']), ('top5', numbers['top5'])]


def test_a_quantised_run_is_evaluated_quantised_unless_not_wished(runs):
  records, _, folder = runs
  assert 'model.ckpt-12, quantised\n' in evaluate(records, folder).out
  outcome = evaluate(records, folder, '--noquantize')
  path = testing_run.checkpoint(folder, 12)
  assert 'model.ckpt-12, float\n' in outcome.out
  assert '(%d of 8), top-5' % correct(records, path, False) in outcome.out


def test_averages_that_are_not_there_are_refused(runs):
  outcome = evaluate(runs[0], runs[2], '--moving_average')
  assert outcome.status == 2
  assert 'model.ckpt-12 has no moving averages: leave --moving_average out' in outcome.error


def test_labels_of_other_numbers_are_refused_unless_wished(runs, tmp_path):
  for path in runs[1].glob('model.*'):
    (tmp_path / path.name).write_bytes(path.read_bytes())
  model = json.loads((tmp_path / 'model.json').read_text())
  (tmp_path / 'model.json').write_text(json.dumps(dict(model, labels_offset=0)))
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-12')
  assert outcome.status == 2 and 'is a label - 0, but a label - 1 of the records' in outcome.error
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-12', '--labels_offset=1')
  assert '(%d of 8)' % correct(runs[0], str(tmp_path / 'model.ckpt-12'), True) in outcome.out


def test_labels_off_by_one_are_hinted_at(runs, tmp_path):
  image = testing_network.random_images(1)
  counts = {}
  for label in range(CLASSES):  # One of them is the network's answer.
    folder = tmp_path / str(label)
    folder.mkdir()
    write_info(folder, testing_network.INFO)
    write_records(folder, 'validation', np.repeat(image, 16, axis=0),
                  np.repeat(label + testing_network.INFO.first_label, 16), image_format='png')
    outcome = evaluate(folder, runs[1])
    counts[label] = '(16 of 16)' in outcome.out.split(', top-5')[0], [
        line for line in outcome.out.splitlines() if line.startswith('note: ')]
  answer, = (label for label, (right, _) in counts.items() if right)
  for label, (_, notes) in counts.items():
    assert len(notes) == (abs(answer - label) == 1)
    if notes:
      assert '0 of 16 images are right, and 16 when labels are moved by %+d' % (answer - label) in (
          notes[0])


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
  for path in runs[1].glob('model.ckpt-12*'):
    (tmp_path / path.name).write_bytes(path.read_bytes())
  outcome = evaluate(runs[0], tmp_path / 'model.ckpt-12', '--model_name=tiny')
  assert 'model.ckpt-12, float, moving averages' in outcome.out
