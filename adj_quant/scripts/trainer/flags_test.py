"""Tests of the command line: what flags become, and what is refused."""

import os

import pytest

from scripts import paths, stack
from scripts.errors import ArgumentParser, UserError
from scripts.trainer import flags
from scripts.trainer.config import TrainConfig


def parse(*argv):
  """The arguments as train.py has them, with a data set."""
  parser = ArgumentParser('A test.')
  flags.add_data_flags(parser, 25, 'the recipe\'s')
  flags.add_model_flags(parser)
  flags.add_training_flags(parser)
  flags.add_training_data_flags(parser)
  return parser.parse_args(['--dataset', 'records'] + list(argv))


def test_defaults_of_training_are_those_of_the_config():
  assert flags.train_config(parse()) == TrainConfig()


@pytest.mark.parametrize('argv, expected', [
    (['-a', '25', '-b', '0', '-g', '0.5'], {'alpha': 25.0, 'beta': 0.0, 'gamma': 0.5}),
    (['--alpha', '1', '--beta', '2', '--gamma', '1'], {'alpha': 1.0, 'beta': 2.0, 'gamma': 1.0}),
    (['--lr', '1e-5', '--lr_bits', '0.1', '--lr_decay', '0', '--reinit', '9', '--lr_fixed'],
     {'lr': 1e-5, 'lr_bits': 0.1, 'lr_decay': 0.0, 'reinit': 9, 'lr_fixed': True}),
    (['--iter_train', '--iter_train_freq', '3', '--warm_up_epoch', '0.5', '--max_epoch', '3'],
     {'iter_train': True, 'iter_train_freq': 3, 'warm_up_epoch': 0.5, 'max_epoch': 3.0}),
    (['--finetune', '--swa_delay', '0.2', '--swa_freq', '0.3'],
     {'finetune': True, 'swa_delay': 0.2, 'swa_freq': 0.3}),
    (['--metric', '0.3', '--kd_loss', 'kl'], {'metric': 0.3, 'kd_loss': 'kl'}),
])
def test_every_training_flag_arrives(argv, expected):
  assert flags.train_config(parse(*argv)) == TrainConfig(**expected)


def test_xla_is_an_implementation_of_the_quantisers():
  assert flags.model_options(parse('--xla')).quantizer_impl == 'xla'
  assert flags.model_options(parse()).quantizer_impl == 'auto'


def test_tf32_is_refused_where_there_is_none(monkeypatch):
  monkeypatch.setattr(stack, 'HAS_TF32', False)
  assert not parse().tf32 and flags.model_options(parse())
  with pytest.raises(UserError, match='--tf32: .*STACK=current'):
    flags.model_options(parse('--tf32'))


def test_data_options():
  options = flags.data_options(parse('-d', 'other', '--val_images', '10', '--threads', '3'))
  assert options == flags.DataOptions('other', 25, 10, 3)
  options = flags.training_data_options(parse('--seed', '5', '--aug', '--train_images', '7'))
  assert (options.crop, options.mixup, options.seed) == (0.08, 0, 5)
  assert options.train_images == 7
  assert flags.training_data_options(parse('--aug', '--min_crop', '0.35')).crop == 0.35
  assert flags.training_data_options(parse()) == flags.data_options(parse())


@pytest.mark.parametrize('augment, smallest, rule', [
    (True, 0.0, 'above 0, up to 1'), (True, 1.1, 'above 0, up to 1'),
    (False, 0.5, 'together with --aug')])
def test_smallest_crop_that_cannot_be(augment, smallest, rule):
  args = parse('--min_crop', str(smallest), *['--aug'] * augment)
  with pytest.raises(UserError) as error:
    flags.training_data_options(args)
  assert str(error.value) == '--min_crop %s: must be %s' % (smallest, rule)


def test_features_have_no_variance_in_a_batch_of_one():
  with pytest.raises(UserError, match='^--kd_features 0.5: must be 0 with --batch_size 1: '):
    flags.training_data_options(parse('--kd_features', '0.5', '--batch_size', '1'))
  flags.training_data_options(parse('--kd_features', '0.5', '--batch_size', '2'))


def test_a_seed_is_any_int32():
  assert flags.training_data_options(parse('--seed', '-7')).seed == -7
  with pytest.raises(UserError, match='^--seed -2147483648: must be at most 2147483647, of either'):
    flags.training_data_options(parse('--seed', str(-2 ** 31)))


def test_mixup_needs_two_images_and_no_labels():
  good = ('--alpha', '0', '--mixup', '0.4')
  assert flags.training_data_options(parse(*good)).mixup == 0.4
  for flag, value, message in (
      ('--mixup', '1.5', '1.5: must be 0 to 1'),
      ('--mixup', 'nan', 'nan: must be 0 to 1'),
      ('--batch_size', '1', '0.4: must be 0 with --batch_size 1'),
      ('--alpha', '0.5', '0.4: must be used with --alpha 0: a blend has no label')):
    with pytest.raises(UserError) as error:
      flags.training_data_options(parse(*good + (flag, value)))
    assert str(error.value) == '--mixup ' + message


def test_model_options_decide_nothing_by_default():
  options = flags.model_options(parse())
  assert options.model is options.image_size is options.range_set is options.ckpt_path is None
  assert options.precision == {}
  assert options.weight_path is options.thresholds_path is None
  assert (options.measure_thresholds, options.calib_images, options.percentile) == (
      False, 500, 100.0)


def test_model_options():
  options = flags.model_options(parse(
      '--model', 'eff_b1', '--img_size', '64', '-r', '3', '--weight_path', 'w', '--ckpt_path', 'c',
      '-e', '--ckpt_path_thres', 't', '--calib_images', '0', '--percentile', '99.9',
      '--allow_growth'))
  assert options == flags.ModelOptions(
      'eff_b1', 64, {}, 3, 'w', 'c', True, 't', 0, 99.9, True)


@pytest.mark.parametrize('argv, expected', [
    ([], paths.THRESHOLDS), (['--ckpt_path_thres', 't'], 't'),
    (['-e', '--ckpt_path_thres', 't'], 't'),
    (['-e'], os.path.join(paths.ADJ_QUANT, paths.MEASURED_THRESHOLDS))])
def test_what_is_measured_never_goes_to_the_shipped_thresholds(argv, expected):
  assert flags.model_options(parse(*argv)).thresholds_file == expected


@pytest.mark.parametrize('argv, rule', [
    (['--weight_bits', '1'], '--weight_bits 1: must be 2..8, 0 or -1'),
    (['--act_bits', '9'], '--act_bits 9: must be 2..8, 0 or -1'),
    (['--swish_bits', '-2'], '--swish_bits -2: must be 2..8, 0 or -1'),
    (['--bias_bits', '-1'], '--bias_bits -1: must be 2..8 or 0'),
    (['--bias_bits', '32'], '--bias_bits 32: must be 2..8 or 0'),
    (['--img_size', '31'], '--img_size 31: must be 32 to 2048'),
    (['-e', '--calib_images', '-1'], '--calib_images -1: must be 0 (all) or more'),
    (['-e', '--percentile', '98'], '--percentile 98.0: must be 99 to 100'),
    (['-e', '--percentile', '100.1'], '--percentile 100.1: must be 99 to 100'),
    (['--batch_size', '0'], '--batch_size 0: must be 1 or more'),
    (['--threads', '0'], '--threads 0: must be 1 to 1024'),
    (['--val_images', '-1'], '--val_images -1: must be 0 (all) or more'),
    (['--img_size', '2049'], '--img_size 2049: must be 32 to 2048'),
    (['--calib_images', '9'], '--calib_images 9: must be together with --eval_initial_thresholds, '
     '--gptq or --start_metric'),
])
def test_values_out_of_range(argv, rule):
  args = parse(*argv)
  with pytest.raises(UserError) as error:
    flags.data_options(args)
    flags.model_options(args)
  assert str(error.value) == rule


@pytest.mark.parametrize('argv', [
    ['--range', '8'], ['--kd_loss', 'l3'], ['--model', 'resnet'], ['--lr', 'fast'], ['--unknown'],
    ['--batch_size', '2.5']])
def test_argparse_refuses_with_status_2(argv, capsys):
  with pytest.raises(SystemExit) as stop:
    parse(*argv)
  assert stop.value.code == 2
  assert 'error: ' in capsys.readouterr().err.splitlines()[-1]


def test_help_names_the_defaults(capsys):
  with pytest.raises(SystemExit) as stop:
    parse('--help')
  assert stop.value.code == 0
  text = ' '.join(capsys.readouterr().out.split())
  for part in ('(25; the recipe\'s)', 'weight of the metric (85.0', 'weights and ranges (3e-06)',
               '5 [0.0, 2.0] [-0.6, 1.2]', 'over the set (0: all)'):
    assert part in text


NUMBERS = {int: ['0', '-1', '1', '2147483647', '2147483648', '-2147483648', '1%s' % ('0' * 30)],
           float: ['0', '-1', '1', '5e-324', '1e-46', '3.4e38', '1e39', '1e400', '-1e400', 'nan']}


def numeric_flags():
  """(flag, type) of every flag that takes a number."""
  parser = ArgumentParser('A test.')
  flags.add_data_flags(parser, 25, 'the recipe\'s')
  flags.add_model_flags(parser)
  flags.add_training_flags(parser)
  flags.add_training_data_flags(parser)
  return [(action.option_strings[-1], action.type) for action in parser._actions
          if action.type in NUMBERS and not action.choices]


@pytest.mark.parametrize('flag, kind', numeric_flags())
def test_every_number_is_usable_or_refused_in_a_line_that_names_its_flag(flag, kind):
  """Usable: TensorFlow can hold it, so it is neither NaN, nor infinite, nor beyond 32 bits."""
  others = {'--percentile': ['-e'], '--calib_images': ['-e'], '--min_crop': ['--aug'],
            '--mixup': ['--alpha', '0'], '--swa_delay': ['--max_epoch', '1e6'],
            '--lr_ranges': ['--lr', '1e9']}.get(flag, [])
  usable = 0
  for value in NUMBERS[kind]:
    args = parse(*others + ['%s=%s' % (flag, value)])
    try:
      flags.train_config(args)
      flags.training_data_options(args)
      flags.model_options(args)
    except UserError as error:
      assert str(error).startswith(flag + ' ') and '\n' not in str(error)
    else:
      usable += 1
      assert abs(kind(value)) <= (2 ** 31 - 1 if kind is int else 3.4e38)
  assert usable or flag in ('--img_size', '--percentile')
