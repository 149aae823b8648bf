"""Tests of command lines."""

import pytest
import tensorflow.compat.v1 as tf

from command_line import CommandLine
from scripts.errors import UserError


@pytest.fixture(name='line')
def command_line():
  """A script with a flag of each kind and one argument."""
  flags = CommandLine('/some/where/script.py', 'Does nothing.\nAnd does it well.', ['SRC'])
  flags.string('name', None, 'what it is called')
  flags.section('numbers')
  flags.integer('steps', 5, 'steps of training', least=1)
  flags.number('rate', 0.5, 'learning rate')
  flags.boolean('fast', False, 'hurry')
  flags.choice('kind', 'a', ['a', 'b'], 'what it is')
  return flags


def test_defaults(line):
  values, arguments = line.parse(['here'])
  assert (values.name, values.steps, values.rate, values.fast, values.kind) == (
      None, 5, 0.5, False, 'a')
  assert arguments == ['here']


def test_given_values(line):
  values, arguments = line.parse(
      ['--name=x', '--steps', '7', 'here', '--rate=1e-3', '--fast', '--kind=b'])
  assert line.as_dict() == {'name': 'x', 'steps': 7, 'rate': 0.001, 'fast': True, 'kind': 'b'}
  assert values.steps == 7 and arguments == ['here']
  assert not line.parse(['--nofast', 'here'])[0].fast


@pytest.mark.parametrize('words, fast', [
    (['--fast'], True), (['--fast=true'], True), (['--fast=True'], True), (['-fast=1'], True),
    (['--fast', 'True'], True), (['--fast', 'true'], True), (['-fast', 'TRUE'], True),
    (['--nofast'], False), (['--fast=false'], False), (['--fast=False'], False),
    (['--fast', 'False'], False), (['--fast', 'false', '--name', 'true'], False)])
def test_switches_in_all_forms(line, words, fast):
  for argv in (words + ['here'], ['here'] + words):
    values, arguments = line.parse(argv)
    assert values.fast is fast and arguments == ['here']
  assert values.name in (None, 'true')


def test_a_value_of_no_switch_is_an_argument(line):
  assert line.parse(['--steps=3', 'true'])[1] == ['true']
  assert line.parse(['--fast', 'truelove'])[1] == ['truelove']
  with pytest.raises(UserError, match='expected SRC, got: here true'):
    line.parse(['here', '--nofast', 'true'])


@pytest.mark.parametrize('flag, level', [
    ('--alsologtostderr', tf.logging.INFO), ('--logtostderr', tf.logging.INFO),
    ('--noalsologtostderr', tf.logging.ERROR)])
def test_every_script_takes_the_flags_of_messages(line, flag, level):
  tf.logging.set_verbosity(tf.logging.ERROR)
  line.parse(['here', flag])
  assert tf.logging.get_verbosity() == level
  tf.logging.set_verbosity(tf.logging.ERROR)
  assert sorted(line.as_dict()) == ['fast', 'kind', 'name', 'rate', 'steps']


@pytest.mark.parametrize('argv, message', [
    (['--stops=3', 'x'], 'stops'),
    (['--steps=many', 'x'], 'steps'),
    (['--kind=c', 'x'], 'kind'),
    (['--name'], 'name'),
    ([], 'expected SRC, got: nothing'),
    (['x', 'y'], 'expected SRC, got: x y'),
])
def test_refusals(line, argv, message):
  with pytest.raises(UserError) as error:
    line.parse(argv)
  assert message in str(error.value) and 'see script.py --help' in str(error.value)


def test_numbers_below_the_least_are_refused(line):
  line.integer('size', None, 'pixels a side', least=8)
  assert line.parse(['x', '--steps=1', '--size=8'])[0].steps == 1
  for argv, message in ((['--steps=0'], '--steps must be at least 1, not 0'),
                        (['--size=7', '--steps=1'], '--size must be at least 8, not 7')):
    with pytest.raises(UserError) as error:
      line.parse(argv + ['x'])
    assert str(error.value) == message


def test_a_number_that_is_not_given_is_not_refused(line):
  line.integer('size', None, 'pixels a side', least=8)
  assert line.parse(['x'])[0].size is None


@pytest.mark.parametrize('word', ['--help', '--helpshort', '-h'])
def test_help_names_everything(line, capsys, word):
  with pytest.raises(SystemExit) as ended:
    line.parse(['--steps=3', word])
  assert ended.value.code == 0
  text = capsys.readouterr().out
  assert text == '''\
usage: script.py [--flag=value ...] SRC

Does nothing.
And does it well.

  --name                  what it is called

numbers:
  --steps                 steps of training (5)
  --rate                  learning rate (0.5)
  --[no]fast              hurry
  --kind                  <a|b>: what it is (a)

messages:
  --[no]alsologtostderr   show TensorFlow's own messages on stderr
  --[no]logtostderr       the same
'''


def test_two_scripts_may_share_a_name(line):
  other = CommandLine('other.py', 'Another.')
  other.integer('steps', 1, 'steps')
  assert other.parse([])[0].steps == 1 and line.parse(['--steps=2', 'x'])[0].steps == 2
