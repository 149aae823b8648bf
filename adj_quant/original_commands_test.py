"""The original document's commands in adj_quant/ as written, on a tiny network and few images.

Only paths and data are others. Those of prepare_weights.py end the chain of slim/, see the test of
this name there.
"""

import importlib
import os
import re
import shlex
import shutil

import pytest

from scripts import paths
from scripts.effnetb0.architecture import ARCHITECTURES, EFFICIENTNET_B0
from scripts.image_records import write_records
from scripts.quant_info import read_quant_info
from scripts.testing import network as testing_network
from scripts.testing.network import TINY, run_script
import train

BITS = '--weight_bits 8 --act_bits 8 --swish_bits 8 --bias_bits 8'
EVALUATE = ('eval.py ' + BITS + ' --batch_size 50 --bits_trainable '
            '--ckpt_path best_ckpt/ckpt_metric_0.183060 --dataset DATA')
TRAIN = ('train.py ' + BITS + ' --lr_fixed --lr 3e-6 --lr_bits 1e-3 --alpha 7 --beta 85 '
         '--gamma 0.7 --max_epoch 3 --batch_size 25 --bits_trainable --iter_train --dataset DATA')
FINETUNE = ('train.py ' + BITS + ' --lr_fixed --lr 3e-6 --lr_bits 1e-3 --alpha 25 --beta 0 '
            '--gamma 0.7 --max_epoch 1 --swa_delay 0.2 --swa_freq 0.1 --batch_size 25 '
            '--bits_trainable --finetune --dataset DATA --ckpt_path CKPT')
MEASURE = ' -e'
# Files of the tiny network in place of those in the repository.
FILES = ' --weight_path WEIGHTS --teacher_path WEIGHTS --ckpt_path_thres THRESHOLDS --output_dir .'
SCRIPTS = {'eval.py': importlib.import_module('eval'), 'train.py': train}


@pytest.fixture(name='experiment', scope='module')
def tiny_experiment(tmp_path_factory):
  """`Experiment` of a network that the scripts take for B0; the commands run in its folder."""
  root = tmp_path_factory.mktemp('experiment')
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(ARCHITECTURES, 'eff_b0', TINY._replace(name='eff_b0'))
    patch.chdir(root)
    yield testing_network.write_experiment(root)


def files(experiment):
  """Dict word in capitals -> path."""
  return {'DATA': experiment.dataset, 'WEIGHTS': experiment.weights,
          'THRESHOLDS': experiment.thresholds}


def run(command, **words):
  """`Outcome` of a command; words in capitals are replaced by paths."""
  script, *argv = shlex.split(command)
  return run_script(SCRIPTS[script].main, [
      re.sub(r'^[A-Z]{4,}$', lambda match: words[match.group()], word) for word in argv])


def epochs(outcome):
  """The lines about mini-epochs."""
  return [line for line in outcome.out.splitlines() if line.startswith('epoch ')]


@pytest.fixture(name='trained', scope='module')
def training_from_measured_ranges(experiment):
  """`Outcome` of the training with -e."""
  return run(TRAIN + MEASURE + FILES, **files(experiment))


@pytest.fixture(name='checkpoint', scope='module')
def best_checkpoint(trained):
  """Path of the training's best checkpoint."""
  assert trained.status == 0, trained.err
  return re.search(r'^best checkpoint: (.*)$', trained.out, re.M).group(1)


def test_training_from_measured_ranges(trained, experiment):
  assert trained.status == 0, trained.err
  assert os.path.exists(experiment.thresholds)
  assert len(epochs(trained)) == 30


def test_fine_tuning(experiment, checkpoint):
  outcome = run(FINETUNE + FILES, CKPT=checkpoint, **files(experiment))
  assert outcome.status == 0, outcome.err
  assert len(epochs(outcome)) == 10
  assert '_swa-' in outcome.out


def test_evaluation(experiment, checkpoint):
  for ending in ('.index', '.json', '.data-00000-of-00001'):
    shutil.copy(checkpoint + ending, os.path.join('best_ckpt', 'ckpt_metric_0.183060' + ending))
  outcome = run(EVALUATE + ' --quant_info quant_info.json', **files(experiment))
  assert outcome.status == 0, outcome.err
  assert ' of 16), top-5' in outcome.out
  assert read_quant_info('quant_info.json')


def test_measuring_by_its_long_name():
  short, long = (train.parse(shlex.split(TRAIN + flag)[1:])
                 for flag in (' -e', ' --eval_initial_thresholds'))
  assert short == long and short.eval_initial_thresholds


@pytest.mark.full
def test_evaluation_of_the_shipped_network(tmp_path, monkeypatch):
  """Two random images: that the bits are the shipped ones is what counts."""
  for split in ('train', 'validation'):
    write_records(tmp_path, split, testing_network.random_images(2), [1, 1000])
  monkeypatch.setitem(ARCHITECTURES, 'eff_b0', EFFICIENTNET_B0)
  monkeypatch.chdir(paths.ADJ_QUANT)
  command = EVALUATE.replace('0.183060', '0.182997') + ' --quant_info INFO'
  outcome = run(command, DATA=str(tmp_path), INFO=str(tmp_path / 'quant_info.json'))
  assert outcome.status == 0, outcome.err
  assert ' of 2), top-5' in outcome.out
  assert re.search(r'published.* 0\.182997', outcome.out)
