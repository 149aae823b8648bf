"""Networks to compare the recipe with: same photos, steps and evaluation, other bit-widths."""

import os
from typing import NamedTuple, Tuple

from scripts.headline.plan import (
    Recipe, SEEN_RECORDS, evaluation_command, records_stage, train_command)
from scripts.pipeline.stages import Newest, Stage

MINI_EPOCHS = 2  # In an epoch of a training.
RANGES = 'ranges'  # Folder of the stage that measures them.
CALIBRATION_IMAGES = 500  # Half of the recipe's, for each network measures anew.
LOWEST = 0.1810  # Metric of uniform 3/5.
MIDDLE = 0.2047  # Of uniform 4/5; 5/5 has 0.2284 and 6/6 0.2722.

# Families.
UNIFORM, BY_CHANNEL, OTHER = 'uniform precision', 'precision by channel', 'other'


class Variant(NamedTuple):
  """One network of the comparison."""
  name: str  # Of its folders.
  title: str
  family: str  # Points of one family are joined in the picture.
  flags: Tuple[str, ...]  # Of train.py, apart from those that all share.
  averaged: bool = False  # Over the second half.
  reference: str = ''  # Name of the variant from which one of the others differs in one way.


def _uniform(weights, acts):
  return Variant('uniform_%d_%d' % (weights, acts), 'uniform %d/%d' % (weights, acts), UNIFORM,
                 _FIXED + ('--weight_bits', str(weights), '--act_bits', str(acts)))


def _adjustable(metric):
  return Variant(_adjustable_name(metric), 'by channel, %.4f' % metric, BY_CHANNEL,
                 _FIXED + _starting_at(metric))


def _adjustable_name(metric):
  return 'adjustable_%s' % ('%.4f' % metric)[2:]


def _starting_at(metric):
  return ('--bits_trainable', '--start_metric', '%.6f' % metric)


def _other(name, title, *flags):
  """A variant of the recipe's network: the last of two equal flags holds."""
  return Variant(name, title, OTHER, flags, reference=_adjustable_name(LOWEST))


_KERNELS = ('--fit_ranges', '--gptq')  # How they start.
_FIXED = ('--finetune',) + _KERNELS  # Bit-widths stay.
_RECIPE = _FIXED + _starting_at(LOWEST)
VARIANTS = (
    _uniform(8, 8), _uniform(6, 6), _uniform(5, 5), _uniform(4, 5), _uniform(4, 4),
    _uniform(3, 5), _uniform(3, 3),
    _adjustable(0.2698), _adjustable(0.2248), _adjustable(MIDDLE), _adjustable(LOWEST),
    _other('by_layer', 'one bit-width per layer', *_RECIPE + ('--start_by_layer',)),
    # Activations at 5 bits cost more than LOWEST with 3 for every kernel, the fewest there are.
    _other('weights_only', 'kernels by channel, activations at 5', *_FIXED + (
        '--weight_bits', '0', '--act_bits', '5', '--start_metric', str(MIDDLE)))._replace(
            reference=_adjustable_name(MIDDLE)),
    _other('trained_bits', 'bit-widths trained as well', *_KERNELS + _starting_at(LOWEST) + (
        '--metric', str(LOWEST), '--beta', '85')),
    _other('iterative', 'bit-widths trained iteratively', *_KERNELS + _starting_at(LOWEST) + (
        '--metric', str(LOWEST), '--beta', '85', '--iter_train', '--mini_epochs', '10')),
    _other('fixed_ranges', 'ranges not trained', *_RECIPE + ('--lr_ranges', '0')),
    _other('fixed_kernels', 'kernels not trained', *_RECIPE + ('--freeze_kernels',)),
    _other('whole_kernels', 'kernels from minimum to maximum', '--finetune', '--gptq',
           *_starting_at(LOWEST)),
    _other('nearest', 'kernels rounded to nearest', '--finetune', '--fit_ranges',
           *_starting_at(LOWEST)),
    _other('crops', 'random crops', *_RECIPE + ('--aug', '--min_crop', '0.35')),
    _other('mixup', 'mixup', *_RECIPE + ('--mixup', '0.4')),
    _other('logits', 'distillation of logits alone', *_RECIPE + ('--kd_features', '0')),
    _other('labels', 'labels, no distillation', *_RECIPE + (
        '--kd_weight', '0', '--kd_features', '0', '--alpha', '1')),
    _other('averaged', 'averaged over the second half', *_RECIPE)._replace(averaged=True),
)


def stages(work, dataset, variants, epochs, lr_decay):
  """All stages.

  Args:
    work: folder that receives a folder for each stage.
    dataset: the user's records.
    variants: of VARIANTS.
    epochs: of each training.
    lr_decay: of the learning rate, a step.

  Returns:
    List of the `stages.Stage`s that all share: records and ranges; and for each `Variant` a list
    of its training and its evaluation.
  """
  records, ranges = (os.path.join(work, name) for name in (SEEN_RECORDS, RANGES))
  thresholds = os.path.join(ranges, 'thresholds.json')
  measuring = evaluation_command(dataset, ranges, (
      '--tfs', '-e', '--percentile', str(Recipe().percentile), '--ckpt_path_thres', thresholds,
      '--calib_images', str(CALIBRATION_IMAGES)))
  shared = [records_stage(records, dataset),
            Stage(RANGES, 'ranges; float network and untrained 8/8', (measuring,))]
  branches = []
  for variant in variants:
    folder = os.path.join(work, variant.name)
    training = train_command(records, folder, Recipe(), lr_decay) + (
        '--ckpt_path_thres', thresholds, '--calib_images', str(CALIBRATION_IMAGES),
        '--lr', str(Recipe().lr), '--max_epoch', str(epochs),
        '--mini_epochs', str(MINI_EPOCHS)) + variant.flags
    if variant.averaged:
      training += '--swa_delay', str(epochs / 2), '--swa_freq', str(epochs / 20)
    evaluation = evaluation_command(dataset, os.path.join(work, variant.name + '_evaluation'), (
        '--ckpt_path', Newest(os.path.join(folder, 'weights'))))
    branches.append([
        Stage(variant.name, variant.title, (training,), resumes=True),
        Stage(variant.name + '_evaluation', variant.title + ', evaluation', (evaluation,))])
  return shared, branches
