"""Tests of checkpoints: names, round trips, and every way in which a file can be wrong."""

import errno
import os
import resource

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import checkpoint_files
from scripts.effnetb0 import variables
from scripts.effnetb0 import student as students
from scripts.effnetb0.nodes import Precision
from scripts.errors import UserError
from scripts.testing.network import CLASSES, TINY
from scripts.trainer import checkpoints

FIXED = students.ModelSpec(TINY, CLASSES, Precision())
LEARNT = students.ModelSpec(TINY, CLASSES, Precision(learnt_weights=True, learnt_acts=True))

LAYERS = ['Conv', 'Conv_1', 'output'] + [
    'expanded_conv_' + part for part in '0/dws 0/se_1 0/se_2 0/project '
    '1/expand 1/dws 1/se_1 1/se_2 1/project 2/expand 2/dws 2/se_1 2/se_2 2/project'.split()]
SWISH_INPUTS = [layer for layer in LAYERS if layer.rpartition('/')[2] not in ('output', 'project')]
ACTIVATIONS = ['Conv/output', 'Conv_1/output'] + [
    'expanded_conv_' + part for part in '0/dws/output 0/se_1/output 0/output 0/project/output '
    '1/expand/output 1/dws/output 1/se_1/output 1/output 1/project/output '
    '2/expand/output 2/dws/output 2/se_1/output 2/output 2/add/output'.split()]


class Model:
  """Parameters of a tiny network in a session, with their `Checkpointer`."""

  def __init__(self, spec, seed=None):
    self.parameters = students.create_parameters(spec)
    self.session = tf.Session()
    random = np.random.RandomState(seed)
    for flat in self.flats():
      values = random.normal(size=flat.variable.shape) if seed is not None else 1.0
      flat.variable.load(np.float32(np.broadcast_to(values, flat.variable.shape)), self.session)
    optional = [self.parameters.bits_scale] if self.parameters.bits_scale else []
    required = [flat for flat in self.flats() if flat not in optional]
    self.checkpointer = checkpoints.Checkpointer(checkpoints.Stored(required, optional))

  def flats(self):
    return [flat for flat in self.parameters if flat is not None]

  def values(self):
    return self.session.run([flat.variable for flat in self.flats()])

  def pieces(self):
    """Dict name -> array, as in a checkpoint."""
    arrays = {}
    for flat, values in zip(self.flats(), self.values()):
      arrays.update(variables.cut(values, flat.shapes))
    return arrays


def model(spec, seed=None):
  """A `Model` in a graph of its own; without a seed all values are 1."""
  with tf.Graph().as_default():
    return Model(spec, seed)


def save(saved, folder, name='ckpt', description=None):
  with saved.session.graph.as_default():
    return saved.checkpointer.save(saved.session, str(folder), name, 7, description or {})


@pytest.fixture(name='learnt', scope='module')
def learnt_model():
  return model(LEARNT, seed=2)


@pytest.fixture(name='target', scope='module')
def target_model():
  return model(LEARNT)


@pytest.fixture(name='path')
def saved_path(tmp_path, learnt):
  return save(learnt, tmp_path)


def refusal(call):
  """The message of the `UserError` that `call` raises; it has to be one line."""
  with pytest.raises(UserError) as error:
    call()
  assert '\n' not in str(error.value)
  return str(error.value)


def test_names_in_the_file(path):
  weights = [layer + '/weights' for layer in LAYERS]
  biases = [layer + '/bias' for layer in LAYERS]
  swish = [layer + '/swish_input' for layer in SWISH_INPUTS]
  expected = set(weights + biases)
  for role in ('alpha', 'shift', 'initial_low', 'initial_width'):
    expected.update('%s/%s' % (node, role) for node in weights + biases + swish + ACTIVATIONS)
  expected.update(node + '/bits_scale' for node in weights + ACTIVATIONS)
  assert {name for name, _ in tf.train.list_variables(path)} == expected


def test_shapes_in_the_file(path):
  shapes = dict(tf.train.list_variables(path))
  assert shapes['Conv/weights'] == [3, 3, 3, 8] and shapes['Conv/bias'] == [8]
  assert shapes['expanded_conv_1/dws/weights'] == [3, 3, 8, 1]
  assert shapes['output/weights'] == [1, 1, 16, 4]
  assert shapes['expanded_conv_1/dws/weights/alpha'] == [8]
  assert shapes['expanded_conv_2/add/output/bits_scale'] == [6]
  assert shapes['Conv/bias/shift'] == [1]


def test_what_was_saved_comes_back(path, learnt, target):
  plan = target.checkpointer.restore(target.session, path)
  assert len(plan.restored) == len(tf.train.list_variables(path))
  assert (plan.fresh, plan.unused) == ([], [])
  for actual, expected in zip(target.values(), learnt.values()):
    assert np.array_equal(actual, expected)


def test_pieces_are_saved_under_the_names_of_their_layers(path, learnt):
  for name, values in learnt.pieces().items():
    assert np.array_equal(tf.train.load_variable(path, name), values), name


def test_checkpoint_of_a_plain_saver_restores(tmp_path, learnt, target):
  with tf.Graph().as_default(), tf.Session() as session:
    plain = {name: tf.Variable(value) for name, value in learnt.pieces().items()}
    plain['global_step'] = tf.Variable(3)
    session.run(tf.global_variables_initializer())
    path = tf.train.Saver(plain).save(session, str(tmp_path / 'plain'))
  plan = target.checkpointer.restore(target.session, path)
  assert plan.unused == ['global_step'] and not plan.fresh
  for actual, expected in zip(target.values(), learnt.values()):
    assert np.array_equal(actual, expected)


@pytest.mark.parametrize('learnt_weights', [False, True])
def test_precision_that_a_checkpoint_does_not_learn_keeps_its_start(tmp_path, learnt_weights):
  less = model(FIXED._replace(precision=Precision(learnt_weights=learnt_weights)), seed=1)
  path = save(less, tmp_path)
  started = model(LEARNT)
  plan = started.checkpointer.restore(started.session, path)
  assert plan.fresh == ['%s/bits_scale' % node.name for node in students.quantised_nodes(LEARNT)
                        if node.kind == 'act' or node.kind == 'weights' and not learnt_weights]
  actual, stored = started.pieces(), less.pieces()
  for name, values in actual.items():
    assert np.array_equal(values, stored.get(name, np.ones(values.shape))), name


def test_save_is_named_after_its_step_and_described(tmp_path, learnt):
  path = save(learnt, tmp_path / 'new', 'ckpt_metric_0.183060', {'step': 7})
  assert os.path.basename(path) == 'ckpt_metric_0.183060-7'
  assert checkpoint_files.read_description(path) == {'step': 7}
  assert sorted(os.listdir(str(tmp_path / 'new'))) == [
      'ckpt_metric_0.183060-7' + ending for ending in ('.data-00000-of-00001', '.index', '.json')]


def test_no_checkpoint(tmp_path, target):
  missing = str(tmp_path / 'none')
  for call in (lambda: target.checkpointer.restore(target.session, missing),
               lambda: checkpoint_files.read_description(missing)):
    assert refusal(call) == ('no checkpoint at %s (expected %s.index); give the name without its '
                             'ending' % (missing, missing))


@pytest.mark.parametrize('keep', [0.0, 0.5, 0.999])
def test_torn_index(path, target, keep):
  cut(path + '.index', keep)
  assert 'checkpoint %s is damaged: ' % path in refusal(
      lambda: target.checkpointer.restore(target.session, path))
  assert 'is damaged' in refusal(lambda: checkpoint_files.read_description(path))


@pytest.mark.parametrize('keep, where', [(0.0, 'Conv/weights'), (0.999, 'output/bias')])
def test_torn_data(path, target, keep, where):
  cut(path + '.data-00000-of-00001', keep)
  assert 'checkpoint %s is damaged at %s: ' % (path, where) in refusal(
      lambda: target.checkpointer.restore(target.session, path))


def test_missing_and_changed_data(path, target):
  data = path + '.data-00000-of-00001'
  with open(data, 'r+b') as stream:
    stream.seek(1000)
    byte = stream.read(1)[0]
    stream.seek(1000)
    stream.write(bytes([byte ^ 1]))
  assert 'Checksum does not match' in refusal(
      lambda: target.checkpointer.restore(target.session, path))
  os.remove(data)
  assert 'is damaged at Conv/weights' in refusal(
      lambda: target.checkpointer.restore(target.session, path))


def cut(path, keep):
  """Keeps the first part of a file."""
  os.truncate(path, int(os.path.getsize(path) * keep))


def test_missing_and_torn_description(path):
  cut(path + '.json', 0.5)
  assert 'description of checkpoint %s.json is not valid JSON' % path in refusal(
      lambda: checkpoint_files.read_description(path))
  os.remove(path + '.json')
  assert refusal(lambda: checkpoint_files.read_description(path)) == (
      'cannot read description of checkpoint %s.json: No such file or directory' % path)


def test_checkpoint_of_another_network(path):
  other = model(LEARNT._replace(classes=5))
  assert refusal(lambda: other.checkpointer.restore(other.session, path)) == (
      '%s is a checkpoint of another network: output/weights has the shape [1, 1, 16, 4] there, '
      '[1, 1, 16, 5] here' % path)
  assert all(np.all(values == 1.0) for values in other.values())


def test_checkpoint_of_other_quantisers(tmp_path, target):
  without_swish = model(FIXED._replace(precision=Precision(swish_bits=-1)))
  path = save(without_swish, tmp_path)
  assert refusal(lambda: target.checkpointer.restore(target.session, path)) == (
      '%s is a checkpoint of another network or other quantisers: it has no Conv/swish_input/alpha'
      % path)


@pytest.mark.parametrize('folder', ['file/below', 'file'])
def test_folder_that_cannot_be_written(tmp_path, learnt, folder):
  (tmp_path / 'file').write_text('')
  assert 'cannot write checkpoint %s/ckpt-7' % (tmp_path / folder) in refusal(
      lambda: save(learnt, tmp_path / folder))


def test_full_disk(tmp_path, learnt):
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
  try:
    message = refusal(lambda: save(learnt, tmp_path))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert message.startswith('cannot write checkpoint %s' % (tmp_path / 'ckpt-7'))
  assert 'File too large' in message
  assert not os.listdir(str(tmp_path))


@pytest.mark.parametrize('files', [0, 1, 2])
def test_a_checkpoint_is_there_as_a_whole_or_not_at_all(tmp_path, learnt, monkeypatch, files):
  moved = []

  def replace(source, target, original=os.replace):
    if os.path.dirname(target) == str(tmp_path):
      if len(moved) == files:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
      moved.append(target)
      assert not os.path.exists(str(tmp_path / 'ckpt-7.index'))
    original(source, target)

  monkeypatch.setattr(os, 'replace', replace)
  assert refusal(lambda: save(learnt, tmp_path)) == (
      'cannot write checkpoint %s: No space left on device' % (tmp_path / 'ckpt-7'))
  assert not os.listdir(str(tmp_path))


def test_plan():
  model_shapes = {'a': (2,), 'b': (3, 1), 'c': (1,)}
  plan = checkpoints.plan_restore(model_shapes, {'c'}, {'a': [2], 'b': [3, 1], 'd': [5]}, 'x')
  assert plan == (['a', 'b'], ['c'], ['d'])


@pytest.mark.parametrize('stored, message', [
    ({'a': [2]}, 'it has no b'),
    ({'a': [2], 'b': [3]}, r'b has the shape \[3\] there, \[3, 1\] here'),
    ({'a': [2], 'b': [3, 1], 'c': [2]}, r'c has the shape \[2\] there, \[1\] here'),
    ({'a': [2], 'b': [3, 1], 'Conv_2/weights': [4]}, 'Conv_2/weights is unknown here'),
])
def test_plan_refuses(stored, message):
  with pytest.raises(UserError, match=r'^x is a checkpoint of another network.*' + message):
    checkpoints.plan_restore({'a': (2,), 'b': (3, 1), 'c': (1,)}, {'c'}, stored, 'x')


def test_a_checkpoint_of_another_run_is_never_overwritten(learnt, tmp_path):
  names = [os.path.basename(save(learnt, tmp_path)) for _ in range(3)]
  first = names[0].rpartition('-')
  assert names == [names[0]] + ['%s.%d-%s' % (first[0], n, first[2]) for n in (1, 2)]
