"""Tests of train.py from end to end: a tiny network, 32 images, steps of 8."""

import errno
import json
import os
import re
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split
from imagenet import DatasetInfo, write_info
from scripts import checkpoint_files, events, paths
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.nodes import Precision
from scripts.effnetb0.weights import load_weights, save_weights
from scripts.testing import network as testing_network
from scripts.testing.network import Outcome, TINY, run_script
from scripts.trainer import flags, loading
from scripts.trainer.run import guard
import train

# Small graphs, for tests that are not about activations: only biases or kernels are quantised.
NEARLY_FLOAT = ['--weight_bits', -1, '--act_bits', -1, '--swish_bits', -1]
LEARNT_KERNELS = ['--weight_bits', 0, '--act_bits', -1, '--swish_bits', -1, '--bias_bits', 0]
RECIPE = ['--bits_trainable', '--iter_train', '--max_epoch', 0.4, '--swa_delay', 0.2, '--swa_freq',
          0.1, '--keep', 3, '--lr', 1e-3, '--lr_bits', 0.1, '--beta', 1e9, '--metric', 1e-9]


@pytest.fixture(name='experiment', scope='module')
def tiny_experiment(tmp_path_factory):
  with testing_network.known():
    yield testing_network.write_experiment(tmp_path_factory.mktemp('experiment'))


class Runs:
  """Starts train.py on an experiment, every time with a new output folder."""

  def __init__(self, experiment, root):
    self.experiment, self.root = experiment, root

  def flags(self, **changed):
    """Flags that all runs need; a flag that is changed to None is left out."""
    values = dict({'dataset': self.experiment.dataset, 'model': 'tiny', 'tea_model': 'tiny',
                  'weight_path': self.experiment.weights, 'teacher_path': self.experiment.weights,
                   'ckpt_path_thres': self.experiment.thresholds, 'batch_size': 8, 'threads': 1,
                   'output_dir': self.root / 'unused'}, **changed)
    return [part for flag, value in values.items() if value is not None
            for part in ('--' + flag, value)]

  def start(self, folder, *argv, **changed):
    """(`Outcome`, output folder)."""
    output = self.root / folder
    return run_script(train.main, self.flags(output_dir=output, **changed) + list(argv)), output

  def refused(self, *argv, **changed):
    """The error of a run that has to be refused; stderr may hold progress bars besides."""
    outcome = run_script(train.main, self.flags(**changed) + list(argv))
    assert outcome.status == 2, outcome
    assert outcome.err.count('error: ') == 1 and 'Traceback' not in outcome.err
    return outcome.error


@pytest.fixture(name='runs', scope='module')
def tiny_runs(experiment, tmp_path_factory):
  return Runs(experiment, tmp_path_factory.mktemp('runs'))


@pytest.fixture(name='trained', scope='module')
def recipe_run(runs):
  """The recipe: bits train in the mini-epochs 1 and 3, the average is of those after 2, 3, 4."""
  told = str(runs.root / 'events')
  with mock.patch.dict(os.environ, {events.VARIABLE: told}):
    outcome, output = runs.start('trained', '-e', '--tfs', *RECIPE)
  assert outcome.status == 0, outcome.err
  assert events.FIRST_STEP in events.read(told)
  return outcome, output


def checkpoint_names(output):
  """Names of the checkpoints in weights/, by step, the average last."""
  names = [f.name[:-len('.index')] for f in (output / 'weights').glob('*.index')]
  return sorted(names, key=lambda n: (n.rpartition('-')[2], '_swa' in n))


def stored_values(path):
  """Dict name -> array of a checkpoint."""
  reader = tf.train.load_checkpoint(str(path))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def kept_values(output):
  """The values of all checkpoints in weights/, in the order of `checkpoint_names`."""
  return [stored_values(output / 'weights' / name) for name in checkpoint_names(output)]


def of_role(values, role):
  """The arrays whose name ends in `role`, as one vector."""
  return np.concatenate([v.reshape(-1) for n, v in sorted(values.items())
                         if n.endswith('/' + role)])


def of_kernels_and_biases(values):
  layers = [n for n in values if n.rpartition('/')[2] in ('weights', 'bias')]
  assert len(layers) == 2 * 17
  return {name: values[name] for name in layers}


def test_recipe_prints_a_line_for_each_mini_epoch(trained):
  lines = trained[0].out.splitlines()
  assert lines[1:3] == ['16 validation images, 4 outputs: label - 1',
                        'float network: top-1 100.00 % (16 of 16), top-5 100.00 % (16 of 16)']
  assert re.match(r'ranges of \d+ nodes measured on 32 images -> .*thresholds.json$', lines[0])
  assert re.match(r'start: top-1 .* of 16.*mean bits: weights 8.00, activations 8.00$', lines[3])
  epochs = [line for line in lines if line.startswith('epoch ')]
  assert [line.split(':')[0] for line in epochs] == ['epoch 0.%d' % i for i in (1, 2, 3, 4)]
  for line in epochs:
    assert re.search(r'top-1 [\d.]+ % \(\d+ of 16\), top-5 .*; metric 0\.\d{6} \(official 0\.\d{6}'
                     r'\), mean bits: .*; total [\d.]+, distillation [\d.]+, classification [\d.]+ '
                     r'-> ckpt_metric_0\.\d{6}-\d( \(best\))?$', line), line
  assert lines[-3].startswith('average of 3: top-1 ')
  assert re.match(r'last checkpoint: .*/weights/ckpt_metric_0\.\d{6}_swa-4$', lines[-2])
  assert re.match(r'best checkpoint: .*/best_ckpt/ckpt_metric_0\.\d{6}-3$', lines[-1])


def test_checkpoints_carry_their_metric_and_only_the_last_are_kept(trained):
  _, output = trained
  names = checkpoint_names(output)
  assert [name.rpartition('-')[2] for name in names] == ['2', '3', '4', '4']
  for name in names:
    description = checkpoint_files.read_description(str(output / 'weights' / name))
    suffix = '_swa' if name == names[-1] else ''
    assert name == 'ckpt_metric_%.6f%s-%d' % (
        description['published_metric'], suffix, description['step'])


def test_description_says_what_the_checkpoint_needs(trained, experiment):
  path = trained[1] / 'weights' / checkpoint_names(trained[1])[0]
  description = checkpoint_files.read_description(str(path))
  assert description['model'] == {
      'model': 'tiny', 'classes': 4, 'image_size': 32, 'range': 5,
      'precision': dict(Precision(learnt_weights=True, learnt_acts=True)._asdict())}
  assert description['accuracy']['images'] == 16
  assert description['train']['lr_bits'] == 0.1
  assert description['train']['dataset'] == experiment.dataset


def test_best_is_the_lowest_metric_while_above_target(trained):
  folder = trained[1] / 'best_ckpt'
  record = json.loads((folder / 'best.json').read_text())
  assert record['checkpoint'] == checkpoint_names(trained[1])[1]  # Step 4 has the bits of step 3.
  best = stored_values(folder / record['checkpoint'])
  for name, values in kept_values(trained[1])[1].items():
    assert np.array_equal(best[name], values)
  assert len(list(folder.iterdir())) == 4


def test_bits_fall_when_they_train_and_stay_when_they_do_not(trained):
  second, third, fourth, _ = [of_role(v, 'bits_scale') for v in kept_values(trained[1])]
  # Beside this beta the other losses do not count: steps of Adam's rate along one slope.
  np.testing.assert_allclose(second, 0.9, atol=1e-3)
  np.testing.assert_allclose(third, 0.8, atol=1e-3)
  assert np.array_equal(third, fourth)


def test_weights_and_ranges_train_in_every_step(trained):
  second, third, fourth, _ = kept_values(trained[1])
  for role in ('weights', 'bias', 'alpha', 'shift'):
    assert not np.array_equal(of_role(second, role), of_role(third, role))
    assert not np.array_equal(of_role(third, role), of_role(fourth, role))
  for role in ('initial_low', 'initial_width'):
    assert np.array_equal(of_role(second, role), of_role(fourth, role))


def test_average_is_the_mean_of_what_joined_it_but_for_precision(trained):
  *joined, average = kept_values(trained[1])
  for name, values in average.items():
    if name.endswith('/bits_scale'):
      assert np.array_equal(values, joined[-1][name])
    else:
      np.testing.assert_allclose(values, np.mean([v[name] for v in joined], 0), atol=1e-6)
  kernels = [of_role(values, 'weights') for values in joined + [average]]
  assert not np.array_equal(kernels[-1], kernels[-2])


def test_tensorboard_log(trained):
  path, = (trained[1] / 'logs').iterdir()
  values = {(event.step, v.tag): v for event in tf.train.summary_iterator(str(path))
            for v in event.summary.value}
  assert {tag for step, tag in values if step == 0} == {
      'loss/total', 'loss/distillation', 'loss/classification', 'loss/metric', 'learning_rate',
      'images_per_second'}
  assert {tag for step, tag in values if step == 4} == {
      'validation/top1', 'validation/top5', 'metric/published', 'metric/official',
      'mean_bits/weights', 'mean_bits/activations', 'bits/weights', 'bits/activations',
      'mini_epoch/total', 'mini_epoch/distillation', 'mini_epoch/classification',
      'mini_epoch/metric'}
  metrics = [values[step, 'metric/published'].simple_value for step in (1, 2, 3, 4)]
  assert metrics[0] == metrics[1] > metrics[2] == metrics[3]
  assert values[0, 'learning_rate'].simple_value == pytest.approx(1e-3, rel=1e-3)
  histogram = values[4, 'bits/weights'].histo
  assert histogram.sum / histogram.num == pytest.approx(
      values[4, 'mean_bits/weights'].simple_value, rel=1e-6)


@pytest.fixture(name='short', scope='module')
def short_run(runs, trained):
  """Output folder of a step on a small graph."""
  del trained  # Measured the thresholds.
  outcome, output = runs.start('short', '--max_epoch', 0.1, *LEARNT_KERNELS)
  assert outcome.status == 0, outcome.err
  return output


def test_same_seed_gives_the_same_values(runs, short):
  outcome, output = runs.start('again', '--max_epoch', 0.1, '--allow_growth', *LEARNT_KERNELS,
                               threads=2)
  assert outcome.status == 0, outcome.err
  assert checkpoint_names(output) == checkpoint_names(short)
  actual, expected = kept_values(output)[0], kept_values(short)[0]
  assert all(np.array_equal(actual[name], values) for name, values in expected.items())


def test_mixup_changes_what_is_learnt(runs, trained):
  del trained  # Measured the thresholds.
  outcomes = []
  for mixup in (0, 1):
    outcome, output = runs.start('mixup_%d' % mixup, '--alpha', 0, '--mixup', mixup, '--aug',
                                 '--max_epoch', 0.1, *LEARNT_KERNELS)
    assert outcome.status == 0, outcome.err
    outcomes.append(kept_values(output)[0])
  assert not np.array_equal(*(of_role(values, 'weights') for values in outcomes))


def test_fine_tuning_with_constant_weights_moves_ranges_only(runs, short):
  start = short / 'weights' / checkpoint_names(short)[0]
  outcome, output = runs.start('tuned', '--finetune', '-c', '--lr', 1e-2, '--max_epoch', 0.1,
                               model=None, ckpt_path=start)
  assert outcome.status == 0, outcome.err
  assert 'fine-tuning: precision stays as it is' in outcome.out
  before, after = stored_values(start), kept_values(output)[0]
  assert np.array_equal(of_role(before, 'bits_scale'), of_role(after, 'bits_scale'))
  for name, values in of_kernels_and_biases(before).items():
    assert np.array_equal(after[name], values), name
  assert not np.array_equal(of_role(before, 'alpha'), of_role(after, 'alpha'))


def test_validation_trains_nothing_and_writes_no_checkpoint(runs, trained):
  del trained
  outcome, output = runs.start('validation', '--validation', *NEARLY_FLOAT)
  assert outcome.status == 0, outcome.err
  assert [line.split()[0] for line in outcome.out.splitlines()[1:]] == [
      'quantised:', 'metric', 'published', 'official']
  assert list((output / 'weights').iterdir()) == list((output / 'best_ckpt').iterdir()) == []


def test_a_run_that_rollbacks_do_not_mend_ends(runs, trained, monkeypatch):
  del trained
  check_values = guard.check_values
  monkeypatch.setattr(guard, 'check_values', lambda values, step: check_values(
      dict(values, bits=np.nan), step))
  outcome, output = runs.start('diverged', '--aug', *NEARLY_FLOAT)
  assert outcome.status == 2
  assert 'precision is fixed: beta has no effect' in outcome.out
  lines = [line for line in outcome.out.splitlines() if 'rollback' in line]
  fault = 'bits is not finite after step 1'
  for number, line in enumerate(lines, 1):
    assert re.match(r'%s: back to step 0, learning rates x %g \(rollback %d of 3\)$'
                    % (fault, 0.5 ** number, number), line), line
  assert len(lines) == 3 and checkpoint_names(output) == []
  assert re.match(r'error: %s, after 3 rollbacks in a row: start over with --restart and a lower '
                  r'--lr or --lr_bits, perhaps with --ckpt_path at a checkpoint in %s/weights$'
                  % (fault, output), outcome.error)


def test_a_run_goes_on_after_rollbacks(runs, trained, monkeypatch):
  del trained
  check_values, overflows = guard.check_values, [np.inf, np.inf]

  def check_overflowing_values(values, step):
    check_values(dict(values, bits=overflows.pop()) if overflows else values, step)

  monkeypatch.setattr(guard, 'check_values', check_overflowing_values)
  outcome, output = runs.start('overflow', '--max_epoch', 0.1, *LEARNT_KERNELS)
  assert outcome.status == 0, outcome.err
  lines = [line for line in outcome.out.splitlines() if 'rollback' in line]
  assert lines == ['bits is not finite after step 1: back to step 0, learning rates x %g (rollback '
                   '%d of 3)' % (0.5 ** n, n) for n in (1, 2)]
  assert [name[-2:] for name in checkpoint_names(output)] == ['-1']


def test_exported_network_gives_the_logits_of_the_student(trained, runs, experiment):
  start = str(trained[1] / 'weights' / checkpoint_names(trained[1])[-1])
  outcome, output = runs.start('frozen', '--export_inference_graph', model=None, ckpt_path=start)
  assert outcome.status == 0, outcome.err
  assert 'frozen network: images -> logits' in outcome.out
  definition = tf.GraphDef.FromString((output / 'logs' / 'inference_graph.pb').read_bytes())
  images = validation_images(experiment)
  with tf.Graph().as_default(), tf.Session() as session:
    tf.import_graph_def(definition, name='')
    actual = session.run('logits:0', {'images:0': images})
  np.testing.assert_allclose(actual, student_logits(runs, start, images), atol=1e-5)
  assert actual.shape == (16, 4) and np.ptp(actual) > 1.0


def validation_images(experiment):
  """float32 [16, 32, 32, 3]."""
  with tf.Graph().as_default(), tf.Session() as session:
    batches = data.evaluation_batches(find_split(experiment.dataset, 'validation'), 16, 32, 1, 1)
    return session.run(batches.make_one_shot_iterator().get_next())[0]


def student_logits(runs, path, images):
  """Logits of the checkpoint at `path`."""
  args = train.parse([str(flag) for flag in runs.flags(model=None, ckpt_path=path)])
  network = loading.load_network(flags.model_options(args), flags.data_options(args))
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(network.spec)
    student = students.build_student(tf.constant(images), network.spec, parameters)
    loading.start_student(session, parameters, network)
    return session.run(student.logits)


def test_exported_training_graph_trains_a_step(runs, trained):
  del trained
  outcome, output = runs.start('graph', '--export_training_graph', *LEARNT_KERNELS)
  assert outcome.status == 0, outcome.err
  path = str(output / 'logs' / 'training_graph')
  assert 'training graph with ' in outcome.out and path + '.meta' in outcome.out
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.import_meta_graph(path + '.meta').restore(session, path)
    session.run('start_data_train')
    feed = {'data_source:0': session.run('data_handle_train:0'), 'learning_rate:0': 1e-3}
    variables = {v.op.name: v for v in tf.trainable_variables()}
    assert set(variables) == {'student/weights', 'student/alpha', 'student/shift',
                              'student/bits_scale'}
    before = session.run(variables)
    loss, metric, _ = session.run(['loss:0', 'metric:0', 'train'], feed)
    assert np.isfinite(loss) and 0 < metric < 1e-3
    middle = session.run(variables)
    session.run('train_with_bits', feed)
    after = session.run(variables)
  for name in ('student/weights', 'student/alpha', 'student/bits_scale'):
    assert np.array_equal(before[name], middle[name]) == (name == 'student/bits_scale')
    assert not np.array_equal(middle[name], after[name])


def test_labels_off_by_one(runs, experiment, trained, tmp_path):
  del trained
  weights, _ = load_weights(experiment.weights, TINY)
  labels = testing_network.own_labels(experiment.dataset, weights)
  testing_network.write_dataset(tmp_path, {n: (own + 1) % 4 for n, own in labels.items()})
  assert re.match(r'error: the labels seem to be off by one: the float network .*weights.pickle '
                  r'classifies 0 of 16 images correctly, and \d+ when labels are shifted by -1; ',
                  runs.refused(*NEARLY_FLOAT, dataset=tmp_path))


def test_labels_are_checked_on_images_from_all_over_the_validation_split(
    runs, experiment, trained, tmp_path, monkeypatch):
  del trained
  monkeypatch.setattr('scripts.trainer.run.experiment.CHECKED_IMAGES', 4)
  weights, _ = load_weights(experiment.weights, TINY)
  labels = testing_network.own_labels(experiment.dataset, weights)
  labels['validation'][3::4] = (labels['validation'][3::4] + 1) % 4
  testing_network.write_dataset(tmp_path, labels)
  assert 'classifies 0 of 4 images correctly, and ' in runs.refused(*NEARLY_FLOAT, dataset=tmp_path)


def test_relative_rates_and_long_mini_epochs(runs, trained):
  del trained  # Measured the thresholds.
  outcome, output = runs.start('relative', '--lr_relative', '--lr', 1e-3, '--lr_ranges', 1e-2,
                               '--lr_fixed', '--mini_epochs', 1, '--max_epoch', 1, *LEARNT_KERNELS)
  assert outcome.status == 0, outcome.err
  lines = [line for line in outcome.out.splitlines() if line.startswith('epoch ')]
  assert len(lines) == 1 and lines[0].startswith('epoch 1.0: ')
  assert len(checkpoint_names(output)) == 1


@pytest.mark.parametrize('flag, value, rule', [
    ('--batch_size', 0, '1 or more'), ('--reinit', 0, '1 or more'), ('--keep', 0, '1 or more'),
    ('--iter_train_freq', 0, '1 or more'), ('--alpha', -1.0, '0 or more'),
    ('--beta', -1.0, '0 or more'), ('--lr', -1.0, '0 or more'), ('--lr_bits', -1.0, '0 or more'),
    ('--lr_decay', -1.0, '0 or more'), ('--warm_up_epoch', -1.0, '0 or more'),
    ('--max_epoch', 0.0, 'more than 0'), ('--metric', 0.0, 'more than 0'),
    ('--swa_freq', 0.0, 'more than 0'), ('--gamma', 1.5, 'in 0..1'),
    ('--swa_delay', 2.0, '0 or more and below --max_epoch, or left out'),
    ('--threads', 0, '1 to 1024'),
    ('--val_images', -1, '0 (all) or more'),
    ('--calib_images', 9,
     'together with --eval_initial_thresholds, --gptq or --start_metric'),
    ('--start_metric', 0.0, 'more than 0'), ('--lr_ranges', -1.0, '0 or more'),
    ('--mini_epochs', 0, '1 or more'),
    ('--percentile', 99.0, 'together with --eval_initial_thresholds'),
    ('--img_size', 31, '32 to 2048'),
    ('--weight_bits', 1, '2..8, 0 or -1'), ('--act_bits', 9, '2..8, 0 or -1'),
    ('--swish_bits', 16, '2..8, 0 or -1'), ('--bias_bits', -1, '2..8 or 0')])
def test_flags_out_of_range(runs, flag, value, rule):
  assert runs.refused(flag, value) == 'error: %s %s: must be %s' % (flag, value, rule)


def test_features_need_two_images(runs):
  assert runs.refused('--kd_features', 1, '--batch_size', 1) == (
      'error: --kd_features 1.0: must be 0 with --batch_size 1: pooled features of a single image '
      'have no variance')


def test_a_rate_of_0_moves_nothing(runs, short):
  start = short / 'weights' / checkpoint_names(short)[0]
  outcome, output = runs.start('still', '--lr', 0, '--lr_bits', 0, '--max_epoch', 0.1, model=None,
                               ckpt_path=start)
  assert outcome.status == 0, outcome.err
  before, after = stored_values(start), kept_values(output)[0]
  assert all(np.array_equal(after[name], values) for name, values in before.items())


def test_relative_rate_of_constant_weights(runs):
  for flag in ('--lr_relative', '--freeze_classifier', '--freeze_kernels'):
    assert runs.refused(flag, '-c') == (
        'error: %s cannot be used with --weight_const: no weight is trained' % flag)


def test_nothing_to_quantise(runs, trained):
  del trained
  assert 'error: the flags leave nothing to quantise: ' in runs.refused(
      '--bias_bits', 0, *NEARLY_FLOAT)


def test_flags_that_argparse_refuses(runs):
  assert "--kd_loss: invalid choice: 'l3'" in runs.refused('--kd_loss', 'l3')


def test_help_goes_to_the_terminal_and_succeeds():
  outcome = run_script(train.main, ['--help'])
  assert (outcome.status, outcome.err) == (0, '') and '--swa_delay' in outcome.out
  assert isinstance(outcome, Outcome)


def test_output_folder_that_cannot_be_written(runs, experiment):
  assert runs.refused(output_dir=experiment.weights) == (
      'error: cannot write to the folder %s/weights: Not a directory' % experiment.weights)


def test_full_disk(runs, monkeypatch):
  def fail(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, 'fsync', fail)
  assert runs.refused(output_dir=runs.root) == (
      'error: cannot write to the folder %s/weights: No space left on device' % runs.root)


@pytest.mark.parametrize('flag', ['weight_path', 'teacher_path', 'dataset', 'ckpt_path_thres'])
def test_missing_files(runs, trained, tmp_path, flag):
  del trained
  missing = tmp_path / 'none'
  assert re.match(r'error: cannot read .*%s: No such file or directory$' % missing,
                  runs.refused(**{flag: missing}))


def test_no_rounding_decides_what_the_float_network_chooses(experiment):
  """So that '16 of 16' holds on every processor."""
  weights, _ = load_weights(experiment.weights, TINY)
  for split in ('train', 'validation'):
    logits = np.sort(testing_network.float_logits(experiment.dataset, split, weights), axis=1)
    assert np.all(logits[:, -1] - logits[:, -2] > 0.01)


def test_missing_checkpoint(runs, tmp_path):
  path = tmp_path / 'none'
  assert runs.refused(ckpt_path=path).startswith('error: no checkpoint at %s: ' % path)


@pytest.fixture(name='records')
def copied_records(experiment, tmp_path):
  """A copy of the data set that a test may damage."""
  for name in os.listdir(experiment.dataset):
    with open(os.path.join(experiment.dataset, name), 'rb') as stream:
      (tmp_path / name).write_bytes(stream.read())
  return tmp_path


@pytest.mark.parametrize('split', ['train', 'validation'])
def test_missing_and_torn_records(runs, trained, records, split):
  del trained
  path = records / (split + '-00000-of-00001')
  path.write_bytes(path.read_bytes()[:-100])
  assert re.match(r'error: %s: the record at byte \d+ is truncated' % path,
                  runs.refused(dataset=records))
  path.unlink()
  assert runs.refused(dataset=records).startswith('error: no files %s-* in %s' % (split, records))


def test_weights_of_another_number_of_classes_than_the_data(runs, trained, records):
  del trained
  write_info(records, DatasetInfo('other', classes=10, first_label=0))
  assert 'error: the network has 4 outputs, but the data set "other" has 10 classes' in (
      runs.refused(dataset=records))


def test_teacher_of_another_number_of_classes(runs, experiment, trained, tmp_path):
  del trained
  path = str(tmp_path / 'five.pickle')
  save_weights(path, testing_network.random_weights(classes=5))
  assert runs.refused(teacher_path=path).startswith(
      'error: the teacher %s has 5 classes, the student 4: ' % path)


def test_features_of_another_network(runs, trained):
  del trained
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(ARCHITECTURES, 'other', TINY._replace(name='other', mean=(0.0,) * 3))
    assert runs.refused(tea_model='other', kd_features=1).startswith(
        'error: --kd_features 1: the features of other are not those of tiny; ')


@pytest.mark.parametrize('change, told', [
    (lambda ranges: ranges.pop('expanded_conv_1/dws/output'),
     'no thresholds for expanded_conv_1/dws/output; make them with --eval_initial_thresholds'),
    (lambda ranges: ranges['Conv/output']['min'].pop(),
     'node Conv/output needs finite min and max of one length'),
    (lambda ranges: ranges.update({'Conv/output': {'min': [0.0], 'max': [1.0]}}),
     'Conv/output has thresholds for 1 channels, the network has 8; make them with '
     '--eval_initial_thresholds'),
    (lambda ranges: ranges.update({'Conv/output': [0.0]}),
     'node Conv/output must hold {"min": [...], "max": [...]}')])
def test_thresholds_of_another_network(runs, experiment, trained, tmp_path, change, told):
  del trained
  with open(experiment.thresholds) as stream:
    ranges = json.load(stream)
  change(ranges)
  path = tmp_path / 'thresholds.json'
  path.write_text(json.dumps(ranges))
  assert runs.refused(ckpt_path_thres=path) == 'error: %s: %s' % (path, told)


@pytest.mark.parametrize('argv, told', [
    (['--range', 3], '--range 3: the checkpoint %s was made with 5; leave the flag out'),
    (['--model', 'eff_b0'], '--model eff_b0: the checkpoint %s was made with tiny; '),
    (['-e'], '--eval_initial_thresholds cannot be used with --ckpt_path: %s has ranges of its own'),
    (['--fit_ranges'], '--fit_ranges cannot be used with --ckpt_path: %s has ranges of its own'),
    (['--gptq'], '--gptq cannot be used with --ckpt_path: %s has kernels of its own'),
    (['--start_metric', 0.2],
     '--start_metric cannot be used with --ckpt_path: %s has bit-widths of its own')])
def test_flags_that_contradict_the_checkpoint(runs, trained, argv, told):
  start = trained[1] / 'weights' / checkpoint_names(trained[1])[0]
  error = runs.refused(*argv, model=None, ckpt_path=start)
  assert error.startswith('error: ' + told % start)


@pytest.mark.parametrize('argv, told', [
    (['--weight_bits', 8], '--weight_bits 8: the checkpoint has learnt bit-widths of kernels, from '
     '8 bits on: add --bits_trainable, or leave --weight_bits out'),
    (['--mix_prec'], '--mix_prec: the checkpoint has quantised kernels of stem, ')])
def test_precision_that_contradicts_the_checkpoint(runs, trained, argv, told):
  start = trained[1] / 'weights' / checkpoint_names(trained[1])[0]
  assert told in runs.refused(*argv, model=None, ckpt_path=start)


@pytest.mark.parametrize('argv', [['--gptq'], ['--bits_trainable', '--start_metric', 0.2]])
def test_what_is_measured_needs_data(runs, argv):
  error = runs.refused('--export_inference_graph', *argv, dataset=None)
  assert error == 'error: --dataset is missing: give a folder with TFRecords of photos'


@pytest.mark.parametrize('flag', ['--gptq', '--fit_ranges'])
def test_kernels_in_float_have_no_codes(runs, flag):
  assert runs.refused(flag, '--weight_bits', -1) == (
      'error: %s cannot be used with --weight_bits -1: no kernel is quantised' % flag)


def test_data_are_needed_but_for_the_frozen_network(runs):
  assert runs.refused(dataset=None) == (
      'error: --dataset is missing: give a folder with TFRecords of photos')


@pytest.mark.parametrize('argv, message', [
    (['-e', '--calib_images', -1], '--calib_images -1: must be 0 (all) or more'),
    (['-e', '--percentile', 50.0], '--percentile 50.0: must be 99 to 100')])
def test_calibration_out_of_range(runs, argv, message):
  assert message in runs.refused(*argv)


def test_measured_ranges_have_a_file_of_their_own(runs):
  with open(paths.THRESHOLDS, 'rb') as stream:
    shipped = stream.read()
  for _ in range(2):  # It is the run's own, to be replaced.
    outcome, output = runs.start('measured', '-e', '--export_inference_graph',
                                 ckpt_path_thres=None)
    assert outcome.status == 0, outcome.err
    path = output / 'measured_thresholds.json'
    assert 'on 32 images -> %s\n' % path in outcome.out and path.exists()
    assert 'note: %s stays as it is; --ckpt_path_thres %s reads the new' % (
        paths.THRESHOLDS, path) in outcome.out
  with open(paths.THRESHOLDS, 'rb') as stream:
    assert stream.read() == shipped


def test_a_batch_larger_than_the_set_is_refused(runs):
  assert runs.refused(batch_size=33) == 'error: --batch_size 33: the training set has 32 images'


def test_shipped_weights_are_of_one_architecture(runs):
  assert runs.refused(weight_path=None) == (
      'error: --model tiny needs --weight_path: the shipped weights are those of eff_b0')
