"""Tests of the comparison: commands that its scripts take, equal work, what is said of it."""

import json

import pytest

from scripts.effnetb0.architecture import EFFICIENTNET_B0
from scripts.effnetb0.nodes import first_bits
from scripts.effnetb0.student import ModelSpec, quantised_nodes
from scripts.headline import comparisons, outcome
from scripts.testing.reports import hits, row
from scripts.trainer import flags
from scripts.trainer.bit_report import cost_report
from scripts.trainer.precision import resolve_precision
from scripts.trainer.start.allocation import LOWEST_BITS
import train

SHARED, BRANCHES = comparisons.stages('work', 'photos', comparisons.VARIANTS, 2.0, 1e-3)


def trainings():
  return {stage.name: train.parse([str(word) for word in stage.commands[0][1:]])
          for stage, _ in BRANCHES}


def test_all_variants_train_alike_but_for_their_bits():
  arguments = trainings()
  assert len(arguments) == len(comparisons.VARIANTS)
  configs = {name: flags.train_config(args) for name, args in arguments.items()}
  fields = ('lr', 'lr_decay', 'reinit', 'max_epoch', 'lr_relative', 'kd_loss')
  assert len({tuple(getattr(config, field) for field in fields)
              for config in configs.values()}) == 1
  same = [variant.name for variant in comparisons.VARIANTS if variant.family != comparisons.OTHER]
  assert len({configs[name] for name in same}) == 1 and configs[same[0]].max_epoch == 2.0
  assert {configs[name].finetune for name in configs} == {True, False}
  assert len({args.output_dir for args in arguments.values()}) == len(arguments)
  assert len({(args.dataset, args.batch_size, args.ckpt_path_thres, args.seed)
              for args in arguments.values()}) == 1
  for args in arguments.values():
    flags.model_options(args)


def test_each_of_the_others_differs_from_the_recipe_in_one_way():
  actual = {name: vars(args) for name, args in trainings().items()}
  expected = {
      'by_layer': {'start_by_layer'}, 'fixed_ranges': {'lr_ranges'},
      'fixed_kernels': {'freeze_kernels'}, 'whole_kernels': {'fit_ranges'}, 'nearest': {'gptq'},
      'crops': {'aug', 'min_crop'}, 'mixup': {'mixup'},
      'weights_only': {'bits_trainable', 'weight_bits', 'act_bits', 'start_metric'},
      'trained_bits': {'finetune', 'beta', 'metric'},
      'iterative': {'finetune', 'beta', 'metric', 'iter_train', 'mini_epochs'},
      'logits': {'kd_features'}, 'labels': {'kd_features', 'kd_weight', 'alpha'},
      'averaged': {'swa_delay'}}
  recipe = actual['adjustable_1810']
  for variant in comparisons.VARIANTS:
    if variant.family == comparisons.OTHER:
      differ = {flag for flag, value in actual[variant.name].items() if value != recipe[flag]}
      assert differ - {'output_dir'} == expected[variant.name]


def test_bit_widths_exist_for_every_metric_that_is_asked_for():
  for args in trainings().values():
    options = flags.model_options(args)
    if options.start_metric:
      precision = resolve_precision(options.precision, None, True)
      spec = ModelSpec(EFFICIENTNET_B0, 1000, precision)
      bits = first_bits([node._replace(bits=LOWEST_BITS) if node.learnt else node
                         for node in quantised_nodes(spec)])
      assert cost_report(bits, spec, 224).counts.published.metric < options.start_metric


def test_each_is_evaluated_once_on_the_validation_photos():
  words = [stage.commands[0] for _, stage in BRANCHES]
  assert len(words) == len(comparisons.VARIANTS)
  assert all(command[1:3] == ('--dataset', 'photos') for command in words)


@pytest.fixture(name='work')
def evaluated(tmp_path):
  (tmp_path / comparisons.RANGES).mkdir()
  (tmp_path / comparisons.RANGES / 'result.json').write_text(json.dumps({
      'float_top1': 91.4, 'float_correct': 914, 'images': 1000, 'float_hits': hits(914)}))
  for index, variant in enumerate(comparisons.VARIANTS):
    folder = tmp_path / (variant.name + '_evaluation')
    folder.mkdir()
    correct = 700 + 10 * index
    metric = 0.4 - 0.02 * (index % 7)  # By channel, 0.2698, has that of uniform 8/8.
    (folder / 'result.json').write_text(json.dumps({
        'top1': correct / 10.0, 'correct': correct, 'images': 1000, 'float_top1': 91.4,
        'float_correct': 914, 'published_metric': metric, 'official_metric': 0.7,
        'mean_weight_bits': 4.0, 'mean_act_bits': 5.0, 'hits': hits(correct)}))
  return tmp_path


def test_table_picture_and_gain(work, capsys):
  outcome.finish(str(work), comparisons.VARIANTS, str(work))
  said = capsys.readouterr().out
  assert '| uniform 8/8 | 70.00 % (700 of 1000) |' in said and '| float | 91.40 %' in said
  # Uniform 8/8 is the first, by channel at 0.2698 the eighth: 700 and 770 right.
  assert ('by channel, 0.2698 (metric 0.400000) to uniform 8/8 (metric 0.400000): +7.00 points '
          '(paired 95 % +5.') in said
  # Each of the others beside what it differs from, whose metrics are 0.3600 and 0.3400 here.
  assert ('kernels by channel, activations at 5 (metric 0.300000) to by channel, 0.2047 (metric '
          '0.360000): +3.00 points (paired 95 % +1.') in said
  assert ('one bit-width per layer (metric 0.320000) to by channel, 0.1810 (metric 0.340000): '
          '+1.00 points (paired 95 % +0.') in said
  assert (work / outcome.PICTURE).read_bytes().startswith(b'\x89PNG')
  assert len(json.loads((work / 'results.json').read_text())) == len(comparisons.VARIANTS) + 1


def test_part_of_the_comparison(work, capsys):
  """Without what a network differs from, or evaluated by an earlier version without hits."""
  path = work / 'by_layer_evaluation' / 'result.json'
  actual = json.loads(path.read_text())
  del actual['hits']
  path.write_text(json.dumps(actual))
  chosen = [variant for variant in comparisons.VARIANTS
            if variant.name in ('adjustable_1810', 'by_layer', 'weights_only')]
  outcome.finish(str(work), chosen, str(work))
  said = capsys.readouterr().out
  assert 'precision by channel and uniform precision have no metric in common\n' in said
  assert ('one bit-width per layer (metric 0.320000) to by channel, 0.1810 (metric 0.340000): '
          '+1.00 points (95 %, from the counts alone, -') in said
  assert 'kernels by channel, activations at 5 (metric' not in said


def test_a_network_far_below_does_not_press_the_others_together():
  rows = [row('float', 914, None)] + [
      row(model, correct, published_metric=metric)
      for model, correct, metric in (('a', 912, 0.36), ('b', 880, 0.22), ('c', 23, 0.14))]
  figure = outcome.chart(rows, comparisons.VARIANTS[:3])
  axes = figure.axes[0]
  assert axes.get_ylim()[0] == pytest.approx(71.4)
  assert any(text.get_text() == 'c: 23, below' for text in axes.texts)
  assert axes.get_xlim()[0] < 0.14
