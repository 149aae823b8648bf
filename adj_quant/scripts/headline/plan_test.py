"""Tests of the recipe: its commands fit together and to the scripts they call."""

import importlib
import os

import eval as evaluation
import report
from scripts.headline import plan
from scripts.trainer import flags
import train

STAGES = plan.stages('work', 'photos', plan.Recipe(), 1e-3)


def test_stages_and_their_scripts():
  assert [stage.name for stage in STAGES] == ['records', 'training', 'finetuning', 'evaluation',
                                              'report']
  assert all(os.path.isfile(command[0]) for stage in STAGES for command in stage.commands)
  (_, *words), = STAGES[0].commands
  importlib.import_module('datasets.hold_back')._command_line().parse(words)


def test_training_never_sees_the_validation_photos():
  training, finetuning = [train.parse([str(word) for word in stage.commands[0][1:]])
                          for stage in STAGES[1:3]]
  for args in (training, finetuning):
    assert args.dataset == os.path.join('work', 'records')
    config = flags.train_config(args)
    assert config.finetune and config.lr_relative and config.metric == plan.METRIC
  options = flags.model_options(training)
  assert options.start_metric == plan.METRIC and options.fit_ranges and options.measure_thresholds
  assert finetuning.lr < training.lr
  assert options.gptq and config.freeze_classifier and config.kd_features > 0
  assert finetuning.swa_delay < finetuning.max_epoch


def test_the_report_shows_what_was_evaluated_and_both_trainings():
  evaluated = evaluation.parse([str(word) for word in STAGES[3].commands[0][1:]])
  shown = report.parse([str(word) for word in STAGES[4].commands[0][1:]])
  assert shown.quant_info == evaluated.quant_info
  assert shown.logs == [os.path.join('work', stage, 'logs') for stage in ('training', 'finetuning')]
  assert shown.images_dir == os.path.join('work', 'report')


def test_the_last_checkpoint_is_evaluated_beside_the_float_network():
  args = evaluation.parse([str(word) for word in STAGES[3].commands[0][1:]])
  assert args.dataset == 'photos' and args.tfs
  assert STAGES[3].commands[0][4].folder == os.path.join('work', 'finetuning', 'weights')
