"""Tests of the flags of training and of the records made from them."""

import pytest

from scripts.errors import UserError
from training import config as configs
from training import flags

NEEDED = ['--train_dir=run', '--dataset_dir=records']


def test_defaults_of_flags_are_those_of_the_records():
  config, values = flags.parse(NEEDED)
  expected = configs.TrainConfig(
      data=configs.DataConfig(dataset_dir='records'), start=configs.StartConfig(train_dir='run'))
  assert config == expected
  assert values == {name: value for record in expected for name, value in record._asdict().items()}


def test_every_flag_reaches_its_record():
  config, _ = flags.parse(NEEDED + [
      '--dataset_split_name=holiday', '--nosync_replicas', '--num_clones=2', '--optimizer=adam',
      '--moving_average_decay=0.99', '--quantize_delay=-1', '--learning_rate=1e-3',
      '--max_number_of_steps=7', '--label_smoothing=0.1'])
  assert config.data.dataset_split_name == 'holiday' and config.deploy.num_clones == 2
  assert config.optimizer.optimizer == 'adam' and config.start.moving_average_decay == 0.99
  assert config.schedule.learning_rate == 0.001 and config.loop.max_number_of_steps == 7
  assert config.loss.label_smoothing == 0.1


def test_help_says_what_efficientnet_used():
  text = flags.command_line().help()
  for words in ('--learning_rate=0.016', '--job_name=ps', '--[no]sync_replicas', '--rmsprop_decay'):
    assert words in text


@pytest.mark.parametrize('argv, message', [
    (['--dataset_dir=x'], '--train_dir is needed'),
    (['--train_dir=x'], '--dataset_dir is needed'),
    (NEEDED + ['--batch_size=0'], '--batch_size must be at least 1, not 0'),
    (NEEDED + ['--learning_rate=-0.1'], '--learning_rate must be at least 0, not -0.1'),
    (NEEDED + ['--learning_rate=nan'], '--learning_rate must be at least 0, not nan'),
    (NEEDED + ['--weight_decay=inf'], '--weight_decay must be at least 0, not inf'),
    (NEEDED + ['--moving_average_decay=1'], '--moving_average_decay must be at least 0 and below'),
    (NEEDED + ['--num_readers=0'], '--num_readers must be at least 1, not 0'),
    (NEEDED + ['--quantize_delay=-2'], '--quantize_delay must be the step'),
    (NEEDED + ['--freeze_batch_norm_delay=5'], 'needs --quantize_delay'),
    (NEEDED + ['--quantize_delay=0', '--num_clones=2'], '--quantize_delay needs --num_clones=1'),
    (NEEDED + ['--adagrad_initial_accumulator_value=0'],
     '--adagrad_initial_accumulator_value must be more than 0, not 0.0'),
    (NEEDED + ['--learning_rate_decay_type=cosine', '--learning_rate=1e-5',
               '--end_learning_rate=0.1'],
     '--end_learning_rate=0.1 is more than --learning_rate=1e-05'),
    (NEEDED + ['--learning_rate=0.01', '--end_learning_rate=0.1'], 'the rate falls, so give less'),
    (NEEDED + ['--optimizer=sdg'], 'optimizer'),
    (NEEDED + ['--learning_rate_decay_type=linear'], 'learning_rate_decay_type'),
    (NEEDED + ['--preprocessing_name=vgg'], 'preprocessing_name'),
])
def test_refusals(argv, message):
  with pytest.raises(UserError) as error:
    flags.parse(argv)
  assert message in str(error.value)


def test_scopes_are_cut_at_commas():
  assert configs.scopes(' a/b, c ,') == ['a/b', 'c'] and configs.scopes(None) == []
