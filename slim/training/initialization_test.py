"""Tests of what a new run takes from a checkpoint."""

import pytest
import tensorflow.compat.v1 as tf

from scripts.errors import UserError
from training import initialization
from training.initialization import Plan, plan_reading, plan_start

MODEL = {'net/Conv/weights': [3, 3], 'net/Logits/weights': [3, 4], 'net/Logits/biases': [4]}
AVERAGE = '/ExponentialMovingAverage'


def test_a_whole_checkpoint():
  checkpoint = dict(MODEL, global_step=[], **{'net/Conv/weights' + AVERAGE: [3, 3]})
  plan = plan_start(MODEL, (), checkpoint, 'ckpt')
  assert plan == Plan({'net/Conv/weights': 'net/Conv/weights' + AVERAGE,
                       'net/Logits/weights': 'net/Logits/weights',
                       'net/Logits/biases': 'net/Logits/biases'}, [], [],
                      ['global_step', 'net/Conv/weights'])
  assert initialization.describe_plan(plan, 'ckpt') == (
      'start from ckpt: 3 variables restored, 1 of them moving averages\n'
      '  2 not used: global_step, net/Conv/weights')


def test_ranges_may_be_missing_but_not_of_another_shape():
  model = dict(MODEL, **{'net/Conv/range': [8]})
  assert plan_start(model, {'net/Conv/range'}, MODEL, 'x').fresh == ['net/Conv/range']
  with pytest.raises(UserError, match=r'has net/Conv/range in the shape \[1\], here it is \[8\]'):
    plan_start(model, {'net/Conv/range'}, dict(MODEL, **{'net/Conv/range': [1]}), 'x')


@pytest.mark.parametrize('checkpoint, message', [
    ({k: v for k, v in MODEL.items() if 'biases' not in k},
     'checkpoint x has no net/Logits/biases: --checkpoint_exclude_scopes=net/Logits reinitialises'),
    (dict(MODEL, **{'net/Logits/weights': [3, 9]}),
     r'net/Logits/weights in the shape \[3, 9\], here it is \[3, 4\] .--num_classes=9: that many '
     'outputs.: --checkpoint_exclude_scopes'),
])
def test_what_does_not_fit_is_an_error_or_fresh(checkpoint, message):
  with pytest.raises(UserError, match=message):
    plan_start(MODEL, (), checkpoint, 'x')
  assert len(plan_start(MODEL, (), checkpoint, 'x', ignore_missing=True).fresh) == 1
  plan = plan_start(MODEL, (), checkpoint, 'x', ['net/Logits'])
  assert list(plan.restored) == ['net/Conv/weights'] and len(plan.excluded) == 2


def test_scopes_are_whole_names():
  assert initialization.in_scopes('a/b/c', ['a/b']) and initialization.in_scopes('a/b', ['a/b'])
  assert not initialization.in_scopes('a/bc', ['a/b'])
  with pytest.raises(UserError, match='no variable in net/Log$'):
    plan_start(MODEL, (), MODEL, 'x', ['net/Log'])


def test_another_network_is_refused_even_if_all_may_be_missing():
  with pytest.raises(UserError, match='no variable of this network'):
    plan_start(MODEL, (), {'global_step': []}, 'x', ignore_missing=True)


def test_reading_needs_everything():
  checkpoint = dict(MODEL, **{'net/Conv/weights' + AVERAGE: [3, 3]})
  assert plan_reading(MODEL, checkpoint, 'x', True)['net/Conv/weights'].endswith(AVERAGE)
  assert not plan_reading(MODEL, checkpoint, 'x', False)['net/Conv/weights'].endswith(AVERAGE)
  with pytest.raises(UserError, match='x has no net/Conv/weights: it is one of another network'):
    plan_reading(MODEL, {}, 'x', True)


def test_averages_are_read_where_there_are_some():
  averages = dict(MODEL, **{'net/Conv/weights' + AVERAGE: [3, 3]})
  assert plan_reading(MODEL, averages, 'x')['net/Conv/weights'].endswith(AVERAGE)
  plain = {name: name for name in MODEL}
  assert plan_reading(MODEL, MODEL, 'x') == plan_reading(MODEL, MODEL, 'x', False) == plain
  with pytest.raises(UserError, match='x has no moving averages: leave --moving_average out'):
    plan_reading(MODEL, MODEL, 'x', True)


def write_checkpoint(path, **values):
  with tf.Graph().as_default(), tf.Session() as session:
    for name, value in values.items():
      tf.get_variable(name, initializer=value)
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(session, str(path))


def test_every_variable_gets_one_value(tmp_path):
  path = write_checkpoint(tmp_path / 'model.ckpt', old=5.0)
  with tf.Graph().as_default(), tf.Session() as session:
    x, y = tf.get_variable('x', initializer=1.0), tf.get_variable('y', initializer=2.0)
    average, other = tf.get_variable('a', initializer=0.0), tf.get_variable('b', initializer=0.0)
    first = initialization.create_initialization(
        [x, y, average, other], [(x, average), (y, other)], Plan({'x': 'old'}, ['y'], [], []), path)
    session.run(first.op, first.feed)
    assert session.run([x, average, y, other]) == [5.0, 5.0, 2.0, 2.0]


def test_a_run_goes_on_from_its_own_last_checkpoint(tmp_path):
  assert initialization.latest_checkpoint(str(tmp_path / 'none')) is None
  assert initialization.latest_checkpoint(str(tmp_path)) is None
  for name in ('model.ckpt-9', 'model.ckpt-10', 'model.ckpt-11_temp', 'other-12'):
    (tmp_path / (name + '.index')).write_text('')
  lines = []
  latest = initialization.latest_checkpoint(str(tmp_path), lines.append)
  assert latest == str(tmp_path / 'model.ckpt-10') and len(lines) == 1
  assert initialization.checkpoints(str(tmp_path)) == [str(tmp_path / 'model.ckpt-9'), latest]
