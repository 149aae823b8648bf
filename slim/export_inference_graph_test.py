"""Graphs without values, and what their options follow from."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import export_inference_graph
from imagenet import DatasetInfo, write_info
from scripts.effnetb0.frozen_graph import read_graph
from scripts.testing.network import run_script
from testing import chain as testing_chain
from testing.chain import MODEL
from training.model_file import write_model

PREDICTIONS = 'efficientnet_b0/Predictions/Reshape_1'


@pytest.fixture(autouse=True, scope='module')
def tiny_is_known():
  with testing_chain.known():
    yield


@pytest.fixture(name='export')
def exporting(tmp_path):
  """Function of flags that runs the script with the output g.pb."""
  def export(*flags):
    return run_script(export_inference_graph.main,
                      ['--output_file', tmp_path / 'g.pb'] + list(flags))
  return export


def nodes(folder):
  return {node.name: node for node in read_graph(str(folder / 'g.pb'), 'graph').node}


def shape(node):
  return [dim.size for dim in node.attr['shape'].shape.dim]


def test_graph_from_images_to_probabilities_without_values(export, tmp_path):
  write_model(str(tmp_path), MODEL)
  outcome = export('--checkpoint_path=%s' % tmp_path)
  assert outcome.status == 0, outcome.err
  assert ('tiny: input [N, 32, 32, 3] -> efficientnet_b0/Predictions/Reshape_1 [4 classes]'
          in outcome.out)
  actual = nodes(tmp_path)
  assert shape(actual['input']) == [-1, 32, 32, 3] and actual['input'].attr['dtype'].type == 1
  operations = [node.op for node in actual.values()]
  assert operations.count('VariableV2') == 64 and operations.count('Placeholder') == 1
  assert 'Assign' not in operations and not any('FakeQuant' in op for op in operations)
  with tf.Graph().as_default(), tf.Session() as session:
    output, *variables = tf.import_graph_def(
        read_graph(str(tmp_path / 'g.pb'), 'graph'), name='', return_elements=(
            [PREDICTIONS + ':0'] + [n + ':0' for n in actual if actual[n].op == 'VariableV2']))
    session.run([tf.assign(v, tf.ones_like(v.op.outputs[0])) for v in variables])
    probabilities = session.run(output, {'input:0': np.ones([2, 32, 32, 3])})
  np.testing.assert_allclose(probabilities, 0.25)


def test_quantised_graph(export, tmp_path):
  write_model(str(tmp_path), MODEL._replace(quantized=True))
  outcome = export('--checkpoint_path=%s' % tmp_path, '--batch_size=2')
  assert outcome.status == 0 and outcome.out.startswith('tiny, quantised: input [2, 32, 32, 3]')
  actual = nodes(tmp_path)
  assert shape(actual['input']) == [2, 32, 32, 3] and PREDICTIONS in actual
  assert any('FakeQuant' in node.op for node in actual.values())
  assert export('--checkpoint_path=%s' % tmp_path, '--noquantize',
                '--overwrite').out.startswith('tiny: input')


def test_another_graph_is_not_replaced_unasked(export, tmp_path):
  flags, path = ['--model_name=tiny', '--num_classes=5'], tmp_path / 'g.pb'
  assert export(*flags).status == 0
  first = path.read_bytes()
  assert export(*flags).status == 0 and path.read_bytes() == first
  outcome = export(*(flags + ['--quantize']))
  assert outcome.status == 2 and 'g.pb exists already: --overwrite replaces it' in outcome.error
  assert path.read_bytes() == first
  assert export(*(flags + ['--quantize', '--overwrite'])).status == 0
  assert path.read_bytes() != first


def test_options_without_a_checkpoint(export, tmp_path):
  write_info(str(tmp_path), DatasetInfo('x', classes=7, first_label=0))
  data = '--dataset_dir=%s' % tmp_path
  assert '[N, 32, 32, 3] -> %s [7 classes]' % PREDICTIONS in export(
      '--model_name=tiny', data).out
  assert '[N, 48, 48, 3] -> %s [5 classes]' % PREDICTIONS in export(
      '--model_name=tiny', data, '--image_size=48', '--num_classes=5', '--overwrite').out
  assert '[1000 classes]' in export('--model_name=tiny', '--overwrite').out


def test_a_checkpoint_without_a_description(export, tmp_path):
  testing_chain.write_arrays(tmp_path / 'model.ckpt-1', {'x': np.float32(1)})
  assert 'there is no model.json beside --checkpoint_path=%s' % tmp_path in export(
      '--checkpoint_path=%s' % tmp_path).error


@pytest.mark.parametrize('flags, message', [
    (['--num_classes=5'], '--num_classes=5: the checkpoints at'),
    (['--model_name=efficientnet_b0'], '--model_name=efficientnet_b0: the checkpoints at'),
    (['--quantize'], 'are of a float network, without ranges to quantise with'),
    (['--image_size=0'], '--image_size must be at least 1, not 0'),
    (['--batch_size=-1'], '--batch_size must be at least 1, not -1'),
    (['--output_file='], '--output_file is needed'),
    (['--dataset_dir=records'], '--dataset_dir: the model.json beside --checkpoint_path gives'),
    (['--checkpoint_path=/nowhere/model.ckpt-1'], 'no checkpoint at /nowhere/model.ckpt-1')])
def test_refusals(export, tmp_path, flags, message):
  write_model(str(tmp_path), MODEL)
  outcome = export('--checkpoint_path=%s' % tmp_path, *flags)
  assert outcome.status == 2 and message in outcome.error
  assert not (tmp_path / 'g.pb').exists()
