"""What the recipe is compared with: the same photos, steps and evaluation, other bit-widths."""

import os
from typing import NamedTuple, Tuple

from scripts.demo.plan import ADJ_QUANT, Newest, Stage
from scripts.headline.plan import METRIC, SEEN_RECORDS, Recipe, records_stage, train_command

PERCENTILE = '99.99'


class Variant(NamedTuple):
  """One network of the comparison."""
  name: str  # Of its folders.
  title: str
  family: str  # Points of one family are joined in the picture.
  flags: Tuple[str, ...]  # Of train.py, apart from those that all share.


def _uniform(weights, acts):
  return Variant('uniform_%d_%d' % (weights, acts), 'uniform %d/%d' % (weights, acts),
                 'uniform precision', ('--fit_ranges', '--weight_bits', str(weights),
                                       '--act_bits', str(acts)))


def _adjustable(metric):
  return Variant('adjustable_%s' % ('%.4f' % metric)[2:], 'by channel, %.4f' % metric,
                 'precision by channel', ('--fit_ranges', '--bits_trainable', '--start_metric',
                                          '%.6f' % metric))


_AT_METRIC = ('--bits_trainable', '--start_metric', str(METRIC))
# The metrics of the second family are those of uniform 6/6, 5/5, 4/5 and 3/5.
VARIANTS = (
    _uniform(8, 8), _uniform(6, 6), _uniform(5, 5), _uniform(4, 5), _uniform(3, 5),
    _adjustable(0.2698), _adjustable(0.2248), _adjustable(0.2047), _adjustable(0.1810),
    Variant('weights_only', 'kernels by channel, activations at 5', 'other',
            ('--fit_ranges', '--weight_bits', '0', '--act_bits', '5', '--start_metric',
             str(METRIC))),
    Variant('fixed_ranges', 'ranges not trained', 'other',
            _AT_METRIC + ('--fit_ranges', '--lr_ranges', '0')),
    Variant('whole_kernels', 'kernels from minimum to maximum', 'other', _AT_METRIC),
)


def stages(work, dataset, variants, epochs, lr_decay):
  """All stages: records, ranges, and a training and an evaluation for each `Variant`.

  Args:
    work: folder that receives a folder for each stage.
    dataset: the user's records.
    variants: of VARIANTS.
    epochs: of each training.
    lr_decay: of the learning rate, a step.

  Returns:
    List of `demo.plan.Stage`.
  """
  records, ranges = (os.path.join(work, name) for name in (SEEN_RECORDS, 'ranges'))
  thresholds = os.path.join(ranges, 'thresholds.json')
  found = [records_stage(records, dataset),
           Stage('ranges', 'ranges, untrained 8/8', (_evaluation(
               records, ranges, ('-e', '--percentile', PERCENTILE, '--ckpt_path_thres',
                                 thresholds)),))]
  for variant in variants:
    folder = os.path.join(work, variant.name)
    training = train_command(records, folder, Recipe(), lr_decay) + variant.flags + (
        '--ckpt_path_thres', thresholds, '--lr', str(Recipe().lr), '--max_epoch', str(epochs))
    evaluation = _evaluation(dataset, os.path.join(work, variant.name + '_evaluation'), (
        '--ckpt_path', Newest(os.path.join(folder, 'weights')), '--tfs'))
    found += [Stage(variant.name, variant.title, (training,), resumes=True),
              Stage(variant.name + '_evaluation', variant.title + ', evaluation', (evaluation,))]
  return found


def _evaluation(dataset, folder, flags):
  return (os.path.join(ADJ_QUANT, 'eval.py'), '--dataset', dataset, '--json_out',
          os.path.join(folder, 'result.json'), '--quant_info',
          os.path.join(folder, 'quant_info.json')) + flags
