"""The original document's commands in slim/ as written there, on a tiny network and few images.

Only paths and data are others, and trainings get a last step: without one they go on until they
are stopped. A test that needs what an earlier command made asks for it by a fixture.
"""

import json
import os
import re
import shlex

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import ckpt_assigner
from conversion.official import official_names
import export_inference_graph
import freeze_graph
from nets.mobilenet import efficientnet_b0
import prepare_weights
from scripts.effnetb0 import architecture
from scripts.effnetb0.weights import load_weights
from scripts.image_records import write_records
from scripts.testing.network import random_images, run_script
from testing.chain import write_arrays
from testing.run import TINY
import train_image_classifier

FLOAT = '''train_image_classifier.py --train_dir=logs --train_image_size=192
  --model_name=efficientnet_b0 --dataset_name=imagenet --dataset_split_name=train
  --preprocessing_name=efficientnet_b0 --label_smoothing=0.1 --moving_average_decay=0.9999
  --batch_size=80 --learning_rate_decay_type=fixed --learning_rate=1e-4
  --learning_rate_decay_factor=0.98 --num_epochs_per_decay=2.5 --num_clones=1 --num_readers=8
  --num_preprocessing_threads=8 --ignore_missing_vars=True --dataset_dir=DATA'''
QUANTISED = '''train_image_classifier.py --train_dir=logs --train_image_size=192
  --model_name=efficientnet_b0 --dataset_name=imagenet --dataset_split_name=train
  --preprocessing_name="efficientnet_b0" --label_smoothing=0.1 --moving_average_decay=0.9999
  --batch_size=32 --learning_rate_decay_type=fixed --learning_rate=1e-4
  --learning_rate_decay_factor=0.98 --num_epochs_per_decay=2.5 --num_clones=1 --num_readers=32
  --num_preprocessing_threads=32 --ignore_missing_vars True --quantize_delay=0
  --allow_growth=False --checkpoint_path=CKPT --dataset_dir=DATA'''
LAST_STEP = ' --max_number_of_steps=1'
ASSIGN = 'ckpt_assigner.py SRC DEST'
COUNT = 'nets/mobilenet/efficientnet_b0.py'
# Flags of the export, folder of the results, ending of their names.
NETWORKS = {'float': ('', '../pretrained/efficient_b0_autoaugment', ''),
            'quantised': ('--quantize ', '../pretrained/efficient_b0_autoaugment_quant', '_quant')}
EXPORT = '''export_inference_graph.py {0}--alsologtostderr --model_name=efficientnet_b0
  --image_size=224 --output_file={1}/efficientnet_b0{2}.pb'''
FREEZE = '''freeze_graph.py --input_graph={1}/efficientnet_b0{2}.pb --input_checkpoint=CKPT
  --input_binary=true --output_graph={1}/frozen_efficientnet_b0{2}.pb
  --output_node_names=efficientnet_b0/Predictions/Reshape_1'''
PREPARE = 'prepare_weights.py {1}/frozen_efficientnet_b0{2}.pb'
SCRIPTS = {'train_image_classifier.py': train_image_classifier, 'ckpt_assigner.py': ckpt_assigner,
           'export_inference_graph.py': export_inference_graph, 'freeze_graph.py': freeze_graph,
           'prepare_weights.py': prepare_weights, COUNT: efficientnet_b0}
IMAGES = 80  # A batch of the float training.


@pytest.fixture(name='root', scope='module')
def original_folders(tmp_path_factory):
  """Folder with slim/, in which the commands run, adj_quant/ and two files of ImageNet's records.
  """
  root = tmp_path_factory.mktemp('root')
  for name in ('slim', 'adj_quant', 'records'):
    (root / name).mkdir()
  write_records(root / 'records', 'train', random_images(IMAGES)[:, ::4, ::4],
                1 + np.arange(IMAGES), shards=2)
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(root / 'slim')
    patch.setitem(efficientnet_b0.ARCHITECTURES, 'efficientnet_b0', TINY)
    patch.setitem(architecture.ARCHITECTURES, 'eff_b0', TINY)
    yield root


def run(command, **paths):
  """`Outcome` of a command; words in capitals are replaced by paths."""
  script, *argv = shlex.split(command)
  return run_script(SCRIPTS[script].main, [
      re.sub(r'\b[A-Z]{3,}$', lambda match: str(paths[match.group()]), word) for word in argv])


def values(path):
  """Dict name -> array of a checkpoint."""
  reader = tf.train.load_checkpoint(str(path))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(name='trained', scope='module')
def float_training(root):
  """`Outcome` of the float training in logs."""
  return run(FLOAT + LAST_STEP, DATA=root / 'records')


@pytest.fixture(name='assigned', scope='module')
def assigned_checkpoint(root, trained):
  """`Outcome` of ckpt_assigner.py, and the values of its official checkpoint by our names."""
  assert trained.status == 0, trained.err
  trained_values = values('logs/model.ckpt-1')
  names = official_names(TINY, 'efficientnet-b0')
  official = {theirs: trained_values[ours] for ours, theirs in names.items()}
  official['efficientnet-b0/head/dense/kernel'] = official['efficientnet-b0/head/dense/kernel'][
      0, 0]
  (root / 'official').mkdir()
  write_arrays(root / 'official' / 'model.ckpt', official)
  return (run(ASSIGN, SRC=root / 'official', DEST='assigned'),
          {ours: trained_values[ours] for ours in names})


@pytest.fixture(name='quantised', scope='module')
def quantised_training(root, assigned):
  """`Outcome` of the quantisation-aware training from there, in a folder of its own."""
  assert assigned[0].status == 0, assigned[0].err
  return run(QUANTISED.replace('logs', 'quantised_logs') + LAST_STEP, DATA=root / 'records',
             CKPT='assigned/model.ckpt-0')


def test_float_training(trained):
  assert trained.status == 0, trained.err
  assert '80 images of "imagenet" (train) at 192 px, 1000 outputs: label - 1' in trained.out
  assert '--num_readers=8: 2 readers are used (one a file, at most 16)\n' in trained.out
  with open('logs/model.json') as stream:
    model = json.load(stream)
  assert model['moving_average_decay'] == 0.9999 and model['quantized'] is False
  assert model['flags']['ignore_missing_vars'] is True
  assert model['flags']['preprocessing_name'] == 'efficientnet_b0'


def test_assigned_weights(assigned):
  outcome, expected = assigned
  assert outcome.status == 0, outcome.err
  stored = values('assigned/model.ckpt-0')
  for name, value in expected.items():
    np.testing.assert_array_equal(stored[name], value, err_msg=name)


def test_quantised_training(quantised):
  assert quantised.status == 0, quantised.err
  assert '--num_readers=32: 2 readers are used (one a file, at most 16)\n' in quantised.out
  assert 'start from assigned/model.ckpt-0: ' in quantised.out
  with open('quantised_logs/model.json') as stream:
    model = json.load(stream)
  assert model['quantized'] is True
  assert model['flags']['ignore_missing_vars'] is True and model['flags']['allow_growth'] is False


def test_quantised_training_in_the_folder_of_the_float_run(root, assigned):
  assert assigned[0].status == 0, assigned[0].err
  before = {name: os.stat(os.path.join('logs', name)).st_mtime_ns for name in os.listdir('logs')}
  outcome = run(QUANTISED + LAST_STEP, DATA=root / 'records', CKPT='assigned/model.ckpt-0')
  assert outcome.status == 2
  assert outcome.error == (
      'error: logs holds float checkpoints, this run is quantisation-aware: choose another '
      '--train_dir, such as logs_2; --checkpoint_path=assigned/model.ckpt-0 can stay')
  assert before == {name: os.stat(os.path.join('logs', name)).st_mtime_ns
                    for name in os.listdir('logs')}


@pytest.mark.parametrize('kind', sorted(NETWORKS))
def test_export_freeze_and_prepare(trained, quantised, kind, monkeypatch):
  options, checkpoint = NETWORKS[kind], {'float': 'logs/model.ckpt-1',
                                         'quantised': 'quantised_logs/model.ckpt-1'}[kind]
  assert trained.status == quantised.status == 0
  for command in (EXPORT, FREEZE):
    outcome = run(command.format(*options), CKPT=checkpoint)
    assert outcome.status == 0, outcome.err
  monkeypatch.chdir('../adj_quant')
  outcome = run(PREPARE.format(*options))
  assert outcome.status == 0, outcome.err
  weights, classes = load_weights(
      '{1}/frozen_efficientnet_b0{2}_weights.pickle'.format(*options), TINY)
  assert classes == 1000
  bias = values('../slim/' + checkpoint)[
      'efficientnet_b0/Logits/Conv2d_1c_1x1/biases/ExponentialMovingAverage']
  np.testing.assert_array_equal(weights['output'].bias, bias)


def test_counts(tmp_path, monkeypatch):
  """Of the full network, in place of the shipped file, which has them: nothing changes."""
  with open(efficientnet_b0.MODEL_INFO, 'rb') as stream:
    expected = stream.read()
  path = tmp_path / 'model_info.json'
  path.write_bytes(expected)
  monkeypatch.setattr(efficientnet_b0, 'MODEL_INFO', str(path))
  monkeypatch.setitem(efficientnet_b0.ARCHITECTURES, 'efficientnet_b0',
                      architecture.EFFICIENTNET_B0)
  outcome = run(COUNT)
  assert outcome.status == 0, outcome.err
  assert path.read_bytes() == expected
