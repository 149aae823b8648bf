"""Tests of the comparison: commands that its scripts take, equal work, what is said of it."""

import json

import pytest

import train
from scripts.headline import comparisons, outcome
from scripts.trainer import flags

STAGES = comparisons.stages('work', 'photos', comparisons.VARIANTS, 2.0, 1e-3)


def trainings():
  return {stage.name: train.parse([str(word) for word in stage.commands[0][1:]])
          for stage in STAGES if stage.name in [v.name for v in comparisons.VARIANTS]}


def test_all_variants_train_alike_but_for_their_bits():
  found = trainings()
  assert len(found) == len(comparisons.VARIANTS)
  configs = {flags.train_config(args)._replace(lr_ranges=None) for args in found.values()}
  assert len(configs) == 1 and configs.pop().max_epoch == 2.0
  assert len({args.output_dir for args in found.values()}) == len(found)
  assert len({(args.dataset, args.ckpt_path_thres, args.seed) for args in found.values()}) == 1
  for args in found.values():
    flags.model_options(args)


def test_each_is_evaluated_once_on_the_validation_photos():
  words = [stage.commands[0] for stage in STAGES if stage.name.endswith('_evaluation')]
  assert len(words) == len(comparisons.VARIANTS)
  assert all(command[1:3] == ('--dataset', 'photos') for command in words)


@pytest.fixture(name='work')
def evaluated(tmp_path):
  for index, variant in enumerate(comparisons.VARIANTS):
    folder = tmp_path / (variant.name + '_evaluation')
    folder.mkdir()
    correct = 700 + 20 * index
    (folder / 'result.json').write_text(json.dumps({
        'top1': correct / 10.0, 'correct': correct, 'images': 1000, 'float_top1': 91.4,
        'float_correct': 914, 'published_metric': 0.5 - 0.02 * index, 'official_metric': 0.7,
        'mean_weight_bits': 4.0, 'mean_act_bits': 5.0}))
  return tmp_path


def test_table_picture_and_gain(work, capsys):
  outcome.finish(str(work), comparisons.VARIANTS, str(work))
  said = capsys.readouterr().out
  assert '| uniform 8/8 | 70.00 % (700 of 1000) |' in said and '| float | 91.40 %' in said
  # Uniform 3/5 is the fifth, by channel at 0.1810 the ninth: 780 and 860 right.
  assert ('by channel, 0.1810 (metric 0.340000) to uniform 3/5 (metric 0.420000): +8.00 points, '
          '95 % interval +4.6') in said
  assert (work / outcome.PICTURE).read_bytes().startswith(b'\x89PNG')
  assert len(json.loads((work / 'results.json').read_text())) == len(comparisons.VARIANTS) + 1
