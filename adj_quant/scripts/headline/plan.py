"""The recipe of the headline result: the original's published metric from few photos.

It was chosen on training photos, some of which were held back (see README.md beside it). The
bit-widths are those of `trainer.start.allocation` and stay; so does the classifier, for few photos
tell little of a single class.
"""

import os
from typing import NamedTuple

from scripts.paths import ADJ_QUANT, SLIM
from scripts.pipeline.stages import Newest, Stage

METRIC = 0.183  # Published count; the original reached 0.183060.
SEEN_RECORDS = 'records'  # Folder of the stage `records_stage`.


class Recipe(NamedTuple):
  """How long, how fast."""
  epochs: int = 2  # Of weights and ranges.
  finetune_epochs: int = 1  # Of the same at a low rate, averaged.
  lr: float = 4e-4  # In widths of the ranges.
  lr_end: float = 0.05  # What is left of it at the end of the first training.
  kd_features: float = 25.0
  batch_size: int = 8
  calibration_images: int = 1000
  percentile: float = 99.99


def records_stage(folder, dataset):
  """The stage that makes records of the training photos of `dataset`, for progress as well."""
  return Stage(SEEN_RECORDS, 'records, progress on training photos', ((
      os.path.join(SLIM, 'datasets', 'hold_back.py'), '--dataset_dir=' + dataset,
      '--output_directory=' + folder, '--train_on_all'),))


def stages(work, dataset, recipe, lr_decay, images_dir=None):
  """All stages.

  Args:
    work: folder that receives a folder for each stage.
    dataset: the user's records.
    recipe: `Recipe`.
    lr_decay: of the learning rate, a step.
    images_dir: folder for the charts of bits (that of the report).

  Returns:
    List of `stages.Stage`.
  """
  folders = {name: os.path.join(work, name) for name in (
      SEEN_RECORDS, 'training', 'finetuning', 'evaluation', 'report')}
  return [
      records_stage(folders[SEEN_RECORDS], dataset),
      Stage('training', 'bit-widths, training of ranges and weights', (
          _training(folders, recipe, lr_decay),), resumes=True),
      Stage('finetuning', 'fine-tuning, averaging', (_finetuning(folders, recipe, lr_decay),),
            resumes=True),
      Stage('evaluation', 'evaluation', (evaluation_command(
          dataset, folders['evaluation'],
          ('--ckpt_path', Newest(os.path.join(folders['finetuning'], 'weights')), '--tfs')),)),
      Stage('report', 'report', ((
          os.path.join(ADJ_QUANT, 'report.py'), '--quant_info',
          os.path.join(folders['evaluation'], 'quant_info.json'), '--out',
          os.path.join(folders['report'], 'report.html'), '--logs',
          os.path.join(folders['training'], 'logs'), '--logs',
          os.path.join(folders['finetuning'], 'logs'), '--title', 'Published metric %g' % METRIC,
          '--images_dir', images_dir or folders['report'], '--images_prefix', 'headline_',
          '--overwrite'),)),
  ]


def evaluation_command(dataset, folder, flags):
  """A call of eval.py with `flags` on the validation photos of `dataset`; writes to `folder`."""
  return (os.path.join(ADJ_QUANT, 'eval.py'), '--dataset', dataset) + flags + (
      '--json_out', os.path.join(folder, 'result.json'),
      '--quant_info', os.path.join(folder, 'quant_info.json'))


def train_command(records, folder, recipe, lr_decay):
  """What all trainings of a `Recipe` share, apart from rate and length; results go to `folder`."""
  return (os.path.join(ADJ_QUANT, 'train.py'), '--dataset', records,
          '--output_dir', folder, '--keep', '1', '--save_steps', '50',
          '--batch_size', str(recipe.batch_size), '--metric', str(METRIC), '--alpha', '0',
          '--beta', '0', '--lr_relative', '--lr_decay', '%.6g' % lr_decay,
          '--reinit', '1000000', '--mini_epochs', '1', '--kd_features', str(recipe.kd_features),
          '--freeze_classifier')


def _training(folders, recipe, lr_decay):
  return train_command(
      folders[SEEN_RECORDS], folders['training'], recipe, lr_decay) + (
      '--finetune', '-e', '--overwrite', '--percentile', str(recipe.percentile),
      '--ckpt_path_thres',
      os.path.join(folders['training'], 'thresholds.json'),
      '--calib_images', str(recipe.calibration_images), '--bits_trainable', '--start_metric',
      str(METRIC), '--fit_ranges', '--gptq', '--lr', str(recipe.lr),
      '--max_epoch', str(recipe.epochs))


def _finetuning(folders, recipe, lr_decay):
  return train_command(
      folders[SEEN_RECORDS], folders['finetuning'], recipe, lr_decay) + (
      '--finetune', '--ckpt_path', Newest(os.path.join(folders['training'], 'weights')),
      '--lr', str(recipe.lr * recipe.lr_end),
      '--max_epoch', str(recipe.finetune_epochs),
      '--swa_delay', str(recipe.finetune_epochs / 2), '--swa_freq', '0.1')
