"""Tests of eval.py on a tiny network: what it prints and writes, and what it refuses."""

import importlib
import json
import os
import re
import shutil
from unittest import mock

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from imagenet import write_info
from scripts import checkpoint_files, cost, events
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.effnetb0.weights import load_weights
from scripts.image_records import write_records
from scripts.quant_info import read_quant_info
from scripts.testing import network as testing_network
from scripts.testing.network import run_script
from scripts.trainer import flags, loading
from scripts.trainer.start import calibration

evaluation = importlib.import_module('eval')  # Not by a name that hides the built-in function.

JSON_KEYS = ['top1', 'top5', 'correct', 'correct_top5', 'images', 'params', 'flops',
             'published_metric', 'official_metric', 'mean_weight_bits', 'mean_act_bits', 'hits']


@pytest.fixture(name='experiment', scope='module')
def tiny_experiment(tmp_path_factory):
  with testing_network.known():
    yield testing_network.write_experiment(tmp_path_factory.mktemp('experiment'))


@pytest.fixture(name='folder', scope='module')
def output_folder(tmp_path_factory):
  return tmp_path_factory.mktemp('outputs')


def arguments(experiment, folder, *argv, **changed):
  """Flags that all evaluations need, then `argv`; a flag that is changed to None is left out."""
  values = dict({'dataset': experiment.dataset, 'model': 'tiny', 'weight_path': experiment.weights,
                'ckpt_path_thres': experiment.thresholds, 'batch_size': 6, 'threads': 1,
                 'quant_info': folder / 'quant_info.json', 'json_out': folder / 'result.json'},
                **changed)
  return [str(part) for flag, value in values.items() if value is not None
          for part in ('--' + flag, value)] + [str(part) for part in argv]


@pytest.fixture(name='untrained', scope='module')
def evaluation_of_the_start(experiment, folder):
  """(`Outcome`, content of --json_out) of the untrained network beside the float one."""
  outcome = run_script(evaluation.main, arguments(
      experiment, folder, '-e', '--tfs', '-t', 'tiny', '--teacher_path', experiment.weights,
      '--weight_bits', 4, '--act_bits', 5))
  assert outcome.status == 0, outcome.err
  return outcome, json.loads((folder / 'result.json').read_text())


@pytest.fixture(name='checkpoint', scope='module')
def checkpoint_of_some_bits(experiment, folder, untrained):
  """Path of a checkpoint with bit-widths of 2 to 8, and its bits as the network orders them."""
  del untrained  # Measured the thresholds.
  args = evaluation.parse(arguments(experiment, folder, '--bits_trainable'))
  network = loading.load_network(flags.model_options(args), flags.data_options(args))
  with tf.Graph().as_default(), tf.Session() as session:
    parameters = students.create_parameters(network.spec)
    checkpointer = loading.start_student(session, parameters, network)
    scale = parameters.bits_scale.variable
    random = np.random.RandomState(0)
    scale.load(np.float32(random.uniform(0.25, 1.0, scale.shape)), session)
    bits = session.run(students.channel_bits(network.spec, parameters))
    path = checkpointer.save(session, str(folder), 'some', 3,
                             {'model': loading.describe_network(network)})
  return path, bits


@pytest.fixture(name='evaluated', scope='module')
def evaluation_of_the_checkpoint(experiment, folder, checkpoint):
  """(`Outcome`, content of --json_out, path of quant_info); the checkpoint is all it needs."""
  told = str(folder / 'events')
  with mock.patch.dict(os.environ, {events.VARIABLE: told}):
    outcome = run_script(evaluation.main, arguments(
        experiment, folder, model=None, weight_path='none', ckpt_path_thres='none',
        ckpt_path=checkpoint[0], quant_info=folder / 'some.json'))
  assert outcome.status == 0, outcome.err
  assert set(events.read(told)) == {events.FIRST_BATCH}
  return outcome, json.loads((folder / 'result.json').read_text()), folder / 'some.json'


def test_untrained_network_at_the_precision_of_the_flags(untrained, experiment, folder):
  outcome, result = untrained
  # Where the fused ops are not compiled, a note says so.
  lines = [line for line in outcome.out.splitlines() if not line.startswith('note: ')]
  assert lines[0].startswith('ranges of ') and lines[0].endswith(experiment.thresholds)
  assert lines[2].startswith('quantised: top-1 %.2f %% (%d of 16), top-5 100.00 %% (16 of 16)'
                             % (result['top1'], result['correct']))
  assert lines[3] == 'float:     top-1 100.00 % (16 of 16), top-5 100.00 % (16 of 16)'
  assert lines[4].endswith('mean bits: weights 4.00, activations 5.00')
  assert lines[-1] == 'bits of every channel -> %s' % (folder / 'quant_info.json')
  assert sorted(result) == sorted(JSON_KEYS + ['float_top1', 'float_correct', 'float_hits'])
  assert (result['float_top1'], result['float_correct']) == (100.0, 16)
  assert result['float_hits'] == '1' * 16
  assert (len(result['hits']), result['hits'].count('1')) == (16, result['correct'])
  assert (result['mean_weight_bits'], result['mean_act_bits']) == (4.0, 5.0)


def test_first_bits_at_a_metric(untrained, experiment, folder):
  del untrained  # Measured the thresholds.
  outcome = run_script(evaluation.main, arguments(
      experiment, folder, '--bits_trainable', '--fit_ranges', '--gptq', '--start_metric', 6e-5,
      '--calib_images', 16))
  assert outcome.status == 0, outcome.err
  result = json.loads((folder / 'result.json').read_text())
  assert result['published_metric'] <= 6e-5
  assert re.search(r'^start: metric %.6f .* weights %.2f, activations %.2f$' % (
      result['published_metric'], result['mean_weight_bits'], result['mean_act_bits']),
                   outcome.out, re.MULTILINE)
  alone = run_script(evaluation.main, arguments(experiment, folder, '--start_by_layer'))
  assert alone.error == 'error: --start_by_layer requires --start_metric'
  refused = run_script(evaluation.main, arguments(experiment, folder, '--start_metric', 6e-5))
  assert refused.error == 'error: --start_metric requires --bits_trainable'
  single = run_script(evaluation.main, arguments(experiment, folder, '--gptq', '--calib_images', 2))
  assert single.error.startswith('error: --gptq: 2 images are a single batch, at least two are')


def test_learnt_inputs_of_swish_start_from_8_bits_at_a_metric(untrained, experiment, folder):
  del untrained  # Measured the thresholds.
  outcome = run_script(evaluation.main, arguments(
      experiment, folder, '--bits_trainable', '--swish_bits', 0, '--start_metric', 6e-5))
  assert outcome.status == 0, outcome.err
  assert json.loads((folder / 'result.json').read_text())['published_metric'] <= 6e-5
  assert refused(experiment, folder, '--swish_bits', 0, '--start_metric', 6e-5) == (
      'error: --start_metric requires --bits_trainable')


def test_a_batch_may_be_larger_than_the_set(untrained, experiment, folder):
  outcome = run_script(evaluation.main, arguments(
      experiment, folder, '--weight_bits', 4, '--act_bits', 5, batch_size=2 ** 31 - 1))
  assert outcome.status == 0, outcome.err
  assert json.loads((folder / 'result.json').read_text())['hits'] == untrained[1]['hits']


def test_labels_off_by_one_are_hinted_at(untrained, experiment, tmp_path):
  del untrained  # Measured the thresholds.
  weights, _ = load_weights(experiment.weights, testing_network.TINY)
  own = testing_network.own_labels(experiment.dataset, weights)['validation'][0]
  image = testing_network.random_images(16, seed=1)[:1]  # The first of the validation.
  wrong = own - 1 if own else own + 1
  write_info(tmp_path, testing_network.INFO)
  write_records(tmp_path, 'validation', np.repeat(image, 16, axis=0),
                np.repeat(wrong + testing_network.INFO.first_label, 16), image_format='png')
  outcome = run_script(evaluation.main, arguments(
      experiment, tmp_path, '--weight_bits', -1, '--act_bits', -1, '--swish_bits', -1, '--tfs',
      '-t', 'tiny', '--teacher_path', experiment.weights, dataset=tmp_path))
  assert 'quantised: top-1 0.00 % (0 of 16)' in outcome.out
  assert ('note: the labels seem to be off by one: 0 of 16 images are correct, and 16 when labels '
          'are shifted by %+d; ' % (own - wrong)) in outcome.out
  assert 'better than chance' not in outcome.out


def test_too_many_extremes_are_refused(experiment, folder, monkeypatch):
  monkeypatch.setattr(calibration, 'MOST_MEMORY', 1e3)
  refused = run_script(evaluation.main, arguments(experiment, folder, '-e', '--overwrite',
                                                  '--percentile', 99))
  assert refused.error.startswith('error: --percentile 99: the extremes of 32 images would take ')


def test_checkpoint_brings_its_network_weights_and_ranges(evaluated):
  outcome, result, _ = evaluated
  assert sorted(result) == sorted(JSON_KEYS)
  assert result['images'] == 16 and result['top1'] == 100.0 * result['correct'] / 16
  assert 'quantised: top-1 %.2f %% (%d of 16)' % (result['top1'], result['correct']) in outcome.out
  for name in ('published', 'official'):
    assert 'metric %.6f' % result[name + '_metric'] in outcome.out
  assert 'float:' not in outcome.out


def test_quant_info_holds_the_bits_of_the_checkpoint(evaluated, checkpoint):
  info = read_quant_info(str(evaluated[2]))
  weights = np.concatenate([bits.weight for bits in info.bits.values()])
  acts = np.concatenate([bits.act for bits in info.bits.values() if bits.act is not None])
  # The learnt nodes come first in the network, weights before activations.
  actual = np.concatenate([weights, acts])
  assert actual.tolist() == checkpoint[1][:len(actual)].tolist()
  assert set(weights) == set(range(2, 9))
  assert (info.settings.architecture, info.settings.image_size) == ('tiny', 32)


def test_cost_counts_the_same_from_quant_info(evaluated):
  _, result, quant_info = evaluated
  info = read_quant_info(quant_info)
  counted = cost.as_json(info.bits, info.settings, ARCHITECTURES[info.settings.architecture])
  for name in ('published', 'official'):
    assert counted[name]['metric'] == result[name + '_metric']
  assert (counted['published']['params'], counted['published']['ops']) == (
      result['params'], result['flops'])
  assert (counted['mean_weight_bits'], counted['mean_act_bits']) == (
      result['mean_weight_bits'], result['mean_act_bits'])


def refused(experiment, folder, *argv, **changed):
  """The error of an evaluation that has to be refused."""
  outcome = run_script(evaluation.main, arguments(experiment, folder, *argv, **changed))
  assert outcome.status == 2, outcome
  assert outcome.err.count('error: ') == 1 and 'Traceback' not in outcome.err
  return outcome.error


def test_damaged_record_is_named(experiment, folder, checkpoint, tmp_path):
  records = tmp_path / 'records'
  shutil.copytree(experiment.dataset, str(records))
  path = records / 'validation-00000-of-00001'
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(bytes(content))
  error = refused(experiment, folder, dataset=records, model=None, ckpt_path=checkpoint[0])
  assert error.startswith('error: %s: record ' % path) and 'fails its checksum' in error


@pytest.fixture(name='copied')
def copied_checkpoint(checkpoint, tmp_path):
  """Path of a copy of the checkpoint that a test may damage."""
  return checkpoint_files.copy_checkpoint(checkpoint[0], str(tmp_path))


def test_checkpoint_of_another_network(experiment, folder, copied):
  description = checkpoint_files.read_description(copied)
  description['model']['model'] = 'eff_lite0'  # 49 layers, none of a size of the tiny ones.
  with open(copied + '.json', 'w') as stream:
    json.dump(description, stream)
  error = refused(experiment, folder, model=None, ckpt_path=copied)
  assert error.startswith('error: %s is a checkpoint of another network' % copied)


@pytest.mark.parametrize('flags', [[], ['--model', 'tiny', '--bits_trainable']])
def test_checkpoint_without_its_description(experiment, folder, evaluated, copied, flags):
  os.remove(copied + '.json')
  outcome = run_script(evaluation.main, arguments(experiment, folder, *flags, model=None,
                                                  ckpt_path=copied))
  assert outcome.status == 0, outcome.err
  assert ('note: there is no %s.json, so tensors and flags tell: tiny, 4 classes, bits: weights 8 '
          '(learnt), activations 8 (learnt), swish inputs 8, biases 8; range 5' % copied
          ) in outcome.out.splitlines()
  assert json.loads((folder / 'result.json').read_text()) == evaluated[1]


@pytest.mark.parametrize('flags, message', [
    (['--model', 'eff_b0'], 'is not a checkpoint of eff_b0, by its tensors, and there is no '),
    (['--act_bits', 4], '--act_bits 4: the checkpoint has learnt bit-widths of activations'),
    (['--weight_bits', -1], '--weight_bits: the checkpoint has learnt bit-widths of kernels')])
def test_flags_that_contradict_the_tensors(experiment, folder, copied, flags, message):
  os.remove(copied + '.json')
  assert message in refused(experiment, folder, *flags, model=None, ckpt_path=copied)


@pytest.mark.parametrize('form', ['%s/some', '%s'])
def test_forms_of_the_path_of_a_checkpoint(experiment, folder, evaluated, copied, form):
  outcome = run_script(evaluation.main, arguments(
      experiment, folder, model=None, ckpt_path=form % os.path.dirname(copied)))
  assert outcome.status == 0, outcome.err
  assert json.loads((folder / 'result.json').read_text()) == evaluated[1]


def test_torn_checkpoint(experiment, folder, copied):
  os.truncate(copied + '.index', 100)
  assert refused(experiment, folder, model=None, ckpt_path=copied).startswith(
      'error: checkpoint %s is damaged: ' % copied)


@pytest.mark.parametrize('content', ['{}', '{"model": {}}', '{"model": {"model": "eff_b9"}}',
                                     '{"model": {"model": "tiny", "precision": {"x": 1}}}'])
def test_description_of_another_version(experiment, folder, copied, content):
  with open(copied + '.json', 'w') as stream:
    stream.write(content)
  assert refused(experiment, folder, model=None, ckpt_path=copied).startswith(
      'error: %s.json does not describe a checkpoint of this version: ' % copied)


@pytest.mark.parametrize('flag', ['quant_info', 'json_out'])
def test_an_output_replaces_results_only(experiment, folder, flag, tmp_path):
  path = tmp_path / 'mine.json'
  path.write_text('{"mine": 1}')
  assert refused(experiment, folder, **{flag: path}) == (
      'error: %s exists already and is another kind of file: --overwrite replaces it' % path)
  assert path.read_text() == '{"mine": 1}'


def test_measured_ranges_replace_a_file_only_where_told_to(experiment, folder, untrained, tmp_path):
  del untrained  # Measured the thresholds.
  assert refused(experiment, folder, '-e') == (
      'error: %s exists already: leave --eval_initial_thresholds out to read it, or --overwrite '
      'replaces it'
      % experiment.thresholds)
  path = tmp_path / 'thresholds.json'
  path.write_text('{}')
  outcome = run_script(evaluation.main, arguments(experiment, folder, '-e', '--overwrite',
                                                  ckpt_path_thres=path))
  assert outcome.status == 0, outcome.err
  with open(experiment.thresholds) as stream:
    assert path.read_text() == stream.read()


@pytest.mark.parametrize('flag', ['quant_info', 'json_out'])
def test_output_that_cannot_be_written_is_refused_at_once(experiment, folder, flag):
  assert refused(experiment, folder, '-e', **{flag: experiment.weights + '/below.json'}) == (
      'error: cannot write to the folder %s: Not a directory' % experiment.weights)


def test_missing_files(experiment, folder, untrained, tmp_path):
  del untrained
  for flag in ('dataset', 'weight_path', 'ckpt_path_thres'):
    error = refused(experiment, folder, **{flag: tmp_path / 'none'})
    assert error.startswith('error: cannot read ') and str(tmp_path / 'none') in error
  error = refused(experiment, folder, ckpt_path=tmp_path / 'none')
  assert error.startswith('error: no checkpoint at %s' % (tmp_path / 'none'))


def test_flags_out_of_range(experiment, folder):
  assert refused(experiment, folder, batch_size=0) == (
      'error: --batch_size 0: must be 1 or more')
  assert refused(experiment, folder, '--act_bits', 1) == (
      'error: --act_bits 1: must be 2..8, 0 or -1')
  assert 'unrecognized arguments: --lr 1' in refused(experiment, folder, '--lr', 1)


def test_two_outputs_need_two_files(experiment, tmp_path):
  path = tmp_path / 'one.json'
  outcome = run_script(evaluation.main, arguments(experiment, tmp_path, quant_info=path,
                                                  json_out=path))
  assert outcome.status == 2 and 'name one file' in outcome.error
