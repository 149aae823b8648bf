"""Constants in place of variables: which values they get, and what is refused."""

from google.protobuf import text_format
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import freeze_graph
from scripts.effnetb0.frozen_graph import read_constants, read_graph
from scripts.testing.network import run_script
from testing.chain import MODEL, write_arrays
from training.model_file import write_model

VALUES = {'net/w': np.float32([[1, 2], [3, 4]]), 'net/b': np.float32([5, 6])}
AVERAGE = 'net/w/ExponentialMovingAverage'


@pytest.fixture(name='freeze')
def freezing(tmp_path):
  """Function of flags that freezes g.pb with m.ckpt into f.pb."""
  with tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [None, 2], 'input')
    with tf.variable_scope('net'):
      w, b = (tf.get_variable(name, shape) for name, shape in (('w', [2, 2]), ('b', [2])))
    tf.add(tf.matmul(images, w), b, name='out')
    tf.get_variable('not_needed', [])
    (tmp_path / 'g.pb').write_bytes(graph.as_graph_def().SerializeToString())

  def freeze(*flags):
    return run_script(freeze_graph.main, [
        '--input_graph', tmp_path / 'g.pb', '--input_checkpoint', tmp_path / 'm.ckpt',
        '--output_graph', tmp_path / 'f.pb', '--output_node_names=out'] + list(flags))
  return freeze


def test_variables_become_constants_of_their_names(freeze, tmp_path):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  outcome = freeze()
  assert outcome.status == 0, outcome.err
  assert outcome.out.startswith('2 variables of ') and '0 of them as moving averages' in outcome.out
  constants = read_constants(str(tmp_path / 'f.pb'))
  assert set(constants) == set(VALUES)
  for name, value in VALUES.items():
    np.testing.assert_array_equal(constants[name], value)
  with tf.Graph().as_default(), tf.Session() as session:
    out, = tf.import_graph_def(read_graph(str(tmp_path / 'f.pb'), 'graph'),
                               return_elements=['out:0'])
    actual = session.run(out, {'import/input:0': [[1, 10]]})
  np.testing.assert_array_equal(actual, [[1 + 30 + 5, 2 + 40 + 6]])


@pytest.mark.parametrize('decay, flags, expected', [
    (None, [], 7), (None, ['--nomoving_average'], 1), (0.9, ['--moving_average'], 7), (0.9, [], 7)])
def test_moving_averages(freeze, tmp_path, decay, flags, expected):
  write_arrays(tmp_path / 'm.ckpt', dict(VALUES, **{AVERAGE: np.full([2, 2], 7, np.float32)}))
  if decay:
    write_model(str(tmp_path), MODEL._replace(moving_average_decay=decay))
  assert freeze(*flags).status == 0
  constants = read_constants(str(tmp_path / 'f.pb'))
  assert constants['net/w'][0, 0] == expected and constants['net/b'][0] == 5


def test_another_graph_is_not_replaced_unasked(freeze, tmp_path):
  path = tmp_path / 'f.pb'
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  assert freeze().status == 0
  first = path.read_bytes()
  assert freeze().status == 0 and path.read_bytes() == first
  write_arrays(tmp_path / 'm.ckpt', dict(VALUES, **{'net/b': np.float32([7, 8])}))
  outcome = freeze()
  assert outcome.status == 2 and 'f.pb exists already: --overwrite replaces it' in outcome.error
  assert path.read_bytes() == first
  assert freeze('--overwrite').status == 0 and path.read_bytes() != first


def test_a_tensor_names_its_node(freeze, tmp_path):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  assert freeze('--output_node_names=out:0').status == 0
  assert 'g.pb has no node "out:1"' in freeze('--output_node_names=out:1').error


@pytest.mark.parametrize('flags, fits', [
    (['--noinput_binary'], True), (['--input_binary=false'], True),
    (['--input_binary', 'False'], True), (['--input_binary=true'], False), ([], False)])
def test_a_graph_in_the_text_format(freeze, tmp_path, flags, fits):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  graph = read_graph(str(tmp_path / 'g.pb'), 'graph')
  (tmp_path / 'g.pb').write_text(text_format.MessageToString(graph))
  outcome = freeze(*flags)
  if fits:
    assert outcome.status == 0, outcome.err
    assert set(read_constants(str(tmp_path / 'f.pb'))) == set(VALUES)
  else:
    assert outcome.status == 2 and 'g.pb is not a graph (binary GraphDef)' in outcome.error


def test_a_binary_graph_is_not_in_the_text_format(freeze, tmp_path):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  assert freeze('--input_binary=true').status == 0
  assert 'g.pb is not a graph (text GraphDef)' in freeze('--input_binary=false').error
  (tmp_path / 'g.pb').write_bytes(b'\xff\xfe')
  assert 'g.pb is not a graph (text GraphDef)' in freeze('--input_binary=false').error


def test_the_output_is_named_whatever_the_order_of_the_nodes(freeze, tmp_path):
  graph = read_graph(str(tmp_path / 'g.pb'), 'graph')
  nodes = list(reversed(graph.node))
  del graph.node[:]
  graph.node.extend(nodes)
  (tmp_path / 'g.pb').write_bytes(graph.SerializeToString())
  assert freeze('--output_node_names=none').error.endswith('has no node "none"; its output is out')


def test_folder_means_its_latest_checkpoint(freeze, tmp_path):
  (tmp_path / 'train').mkdir()
  write_arrays(tmp_path / 'train' / 'model.ckpt-7', VALUES)
  outcome = freeze('--input_checkpoint=%s' % (tmp_path / 'train'))
  assert outcome.status == 0 and 'model.ckpt-7' in outcome.out


@pytest.mark.parametrize('changed, flags, message', [
    ({'net/b': None}, [], 'm.ckpt has no net/b: make the graph with'),
    ({'net/b': np.zeros([3], np.float32)}, [], 'has net/b in the shape [3], here it is [2]: make'),
    ({}, ['--moving_average'], 'm.ckpt has no moving averages'),
    ({}, ['--output_node_names=out,none'], 'g.pb has no node "none"; its output is out'),
    ({}, ['--output_node_names='], '--output_node_names'),
    ({}, ['--input_checkpoint=nowhere'], 'no checkpoint at nowhere: looked for'),
    ({}, ['--input_graph='], '--input_graph is needed'),
    ({}, ['--output_graph=g.pb', '--input_graph=./g.pb'], 'name one file, g.pb: choose two'),
    ({}, ['--output_graph=/proc/f.pb'], 'cannot write to the folder /proc')])
def test_refusals(freeze, tmp_path, changed, flags, message):
  values = dict(VALUES, **changed)
  write_arrays(tmp_path / 'm.ckpt', {n: v for n, v in values.items() if v is not None})
  outcome = freeze(*flags)
  assert outcome.status == 2 and message in outcome.error
  assert not (tmp_path / 'f.pb').exists()


def test_refuses_what_is_no_graph(freeze, tmp_path):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  graph = read_graph(str(tmp_path / 'g.pb'), 'graph')
  del graph.node[0]
  (tmp_path / 'g.pb').write_bytes(graph.SerializeToString())
  assert 'the graph is incomplete (\'input\')' in freeze().error
  for content in (b'', b'no graph'):
    (tmp_path / 'g.pb').write_bytes(content)
    assert 'g.pb is not a graph' in freeze().error


def test_damaged_checkpoint(freeze, tmp_path):
  write_arrays(tmp_path / 'm.ckpt', VALUES)
  data = tmp_path / 'm.ckpt.data-00000-of-00001'
  data.write_bytes(data.read_bytes()[:5])
  outcome = freeze()
  assert outcome.status == 2 and 'm.ckpt is damaged' in outcome.error
