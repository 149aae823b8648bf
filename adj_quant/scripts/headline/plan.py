"""The recipe of the headline result: the original's compression out of few photos.

It was chosen on training photos alone, with every seventh of them held back. The bit-widths are
those of `trainer.allocation` and stay; without `--finetune` they train as well.
"""

import os
from typing import NamedTuple

from scripts.demo.plan import ADJ_QUANT, SLIM, Newest, Stage

METRIC = 0.183  # Published count; the original reached 0.183060.
STAGES = 4


class Recipe(NamedTuple):
  """How long, how fast."""
  epochs: float = 16.0  # Of weights and ranges.
  finetune_epochs: float = 4.0  # Of the same at a low rate, averaged.
  lr: float = 3e-4  # In widths of the ranges.
  lr_end: float = 0.05  # What is left of it at the end of the first training.
  augment: bool = True
  batch_size: int = 8
  calibration_images: int = 500
  percentile: float = 99.99


def stages(work, dataset, recipe, lr_decay):
  """All stages.

  Args:
    work: folder that receives a folder for each stage.
    dataset: the user's records.
    recipe: `Recipe`.
    lr_decay: of the learning rate, a step.

  Returns:
    List of `demo.plan.Stage`.
  """
  folders = {name: os.path.join(work, name) for name in (
      'records', 'training', 'finetuning', 'evaluation')}
  return [
      Stage('records', 'records, progress on training photos', ((
          os.path.join(SLIM, 'datasets', 'hold_back.py'), '--dataset_dir=' + dataset,
          '--output_directory=' + folders['records'], '--train_on_all'),)),
      Stage('training', 'bit-widths, training of ranges and weights', (
          _training(folders, recipe, lr_decay),), resumes=True),
      Stage('finetuning', 'fine-tuning, averaging', (_finetuning(folders, recipe, lr_decay),),
            resumes=True),
      Stage('evaluation', 'evaluation', ((
          os.path.join(ADJ_QUANT, 'eval.py'), '--dataset', dataset, '--ckpt_path',
          Newest(os.path.join(folders['finetuning'], 'weights')), '--tfs', '--json_out',
          os.path.join(folders['evaluation'], 'result.json'), '--quant_info',
          os.path.join(folders['evaluation'], 'quant_info.json')),)),
  ]


def _train(folders, name, recipe, lr_decay):
  return (os.path.join(ADJ_QUANT, 'train.py'), '--dataset', folders['records'],
          '--output_dir', folders[name], '--keep', '1', '--save_steps', '50',
          '--batch_size', str(recipe.batch_size), '--metric', str(METRIC), '--alpha', '0',
          '--beta', '0', '--finetune', '--lr_relative', '--lr_decay', '%.6g' % lr_decay,
          '--reinit', '1000000', '--mini_epochs', '2') + (('--aug',) if recipe.augment else ())


def _training(folders, recipe, lr_decay):
  return _train(folders, 'training', recipe, lr_decay) + (
      '-e', '--percentile', str(recipe.percentile), '--ckpt_path_thres',
      os.path.join(folders['training'], 'thresholds.json'),
      '--calib_images', str(recipe.calibration_images), '--bits_trainable', '--start_metric',
      str(METRIC), '--fit_ranges', '--lr', str(recipe.lr), '--max_epoch', str(recipe.epochs))


def _finetuning(folders, recipe, lr_decay):
  return _train(folders, 'finetuning', recipe, lr_decay) + (
      '--ckpt_path', Newest(os.path.join(folders['training'], 'weights')),
      '--lr', str(recipe.lr * recipe.lr_end),
      '--max_epoch', str(recipe.finetune_epochs),
      '--swa_delay', str(recipe.finetune_epochs / 2), '--swa_freq', '0.1')
