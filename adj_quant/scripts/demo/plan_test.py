"""Tests of the plan: its commands fit together and to the scripts they call."""

import importlib
import os

import pytest
import eval as evaluation
from scripts.demo import plan
from scripts.trainer import flags
import train

DATA = plan.Data('records', 10000, 10000, 10, False, 32)


def commands(data=DATA, recipe=plan.FULL):
  """All commands after the records, each as (script's name, list of words)."""
  return [(os.path.basename(command[0]), list(command[1:]))
          for stage in plan.stages('work', data, recipe) for command in stage.commands]


def test_number_of_stages():
  assert 1 + len(plan.stages('work', DATA, plan.FULL)) == plan.STAGES


def test_every_script_exists():
  stages = plan.stages('work', DATA, plan.FULL)
  for stage in stages + [plan.data_stage('work'), plan.check_stage('work', 'records')]:
    for command in stage.commands:
      assert os.path.isfile(command[0]), command[0]


def test_flags_of_training_and_evaluation_are_theirs():
  parsers = {'train.py': train.parse, 'eval.py': evaluation.parse}
  actual = [parsers[name]([str(word) for word in words])
            for name, words in commands() if name in parsers]
  assert [args.dataset for args in actual] == ['records'] * 4
  training = actual[1]
  assert training.bits_trainable and training.iter_train and training.train_images == 10000
  config = flags.train_config(training)
  assert abs(config.max_epoch - plan.FULL.steps * plan.FULL.batch_size / 10000.0) < 1e-9


@pytest.mark.parametrize('name', ['train_image_classifier', 'eval_image_classifier',
                                  'export_inference_graph', 'freeze_graph', 'ckpt_assigner'])
def test_flags_of_slim_are_theirs(name):
  module = importlib.import_module(
      'training.flags' if name == 'train_image_classifier' else name)
  line = getattr(module, 'command_line', None) or module._command_line
  calls = [words for script, words in commands() if script == name + '.py']
  assert calls
  for words in calls:
    line().parse(words)


def test_flags_of_the_records_scripts_are_theirs():
  for stage in (plan.data_stage('work'), plan.check_stage('work', 'records')):
    (script, *words), = stage.commands
    name = os.path.splitext(os.path.basename(script))[0]
    importlib.import_module('datasets.' + name)._command_line().parse(words)


def test_files_written_are_the_files_read():
  names = ' '.join(str(word) for _, words in commands() for word in words)
  for written in ('float_graph.pb', 'qat_graph.pb', 'float_frozen.pb', 'qat_frozen.pb',
                  'thresholds.json'):
    assert names.count(written) >= 2, written


def test_head_is_kept_where_the_classes_are_those_of_the_weights():
  excluded = '--checkpoint_exclude_scopes=' + plan.LOGITS
  actual = [[excluded in words for name, words in commands(DATA._replace(keeps_head=kept))
            if name == 'train_image_classifier.py'] for kept in (False, True)]
  assert actual == [[True, False], [False, False]]  # Float training, QAT.


@pytest.mark.parametrize('size, classes, at_8_bits', [
    (32, 10, 0.148607), (224, 1000, 0.359678)])  # As in the README, by cost.py.
def test_metric_to_train_for_is_a_share_of_that_at_8_bits(size, classes, at_8_bits):
  data = DATA._replace(image_size=size, classes=classes)
  assert plan.metric_target(data) == round(plan.TARGET * at_8_bits, 3)
  words = next(words for name, words in commands(data) if '--metric' in words)
  assert words[words.index('--metric') + 1] == str(plan.metric_target(data))


def test_large_images_take_small_batches():
  assert [plan.fit(plan.FULL, size).batch_size for size in (32, 64, 65, 224)] == [64, 64, 16, 8]
  assert plan.fit(plan.QUICK, 32).batch_size == 32
