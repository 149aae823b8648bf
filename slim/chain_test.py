"""The same images through slim's network, its frozen graph and adj_quant's: the same logits."""

import os

import numpy as np
import pytest

from conversion.checkpoint import write_checkpoint
from conversion.folded import live_variables
import export_inference_graph
import freeze_graph
import prepare_weights
from scripts.effnetb0.architecture import EFFICIENTNET_B0, layers
from scripts.effnetb0.slim_names import has_batch_norm
from scripts.effnetb0.weights import load_weights
from scripts.testing.network import TINY, run_script, slim_variables
from testing import chain as testing_chain
from testing.chain import MODEL, float_logits, frozen_logits, largest_difference, slim_logits
from training.model_file import Model

IMAGES = np.random.RandomState(1).randint(0, 256, [4, 32, 32, 3]).astype(np.float32)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED = os.path.join(ROOT, 'pretrained', 'efficient_b0_autoaugment',
                       'frozen_efficientnet_b0_weights.pickle')
GOLDEN = os.path.join(ROOT, '..', 'shared', 'golden', 'b0_float_logits.npz')


@pytest.fixture(autouse=True, scope='module')
def tiny_is_known():
  with testing_chain.known():
    yield


def run_chain(folder, architecture, *flags):
  """Exports, freezes and prepares a folder's checkpoint; the weights of the pickle."""
  graph, frozen = str(folder / 'graph.pb'), str(folder / 'frozen.pb')
  for main, argv in (
      (export_inference_graph.main, ['--checkpoint_path', folder, '--output_file', graph]),
      (freeze_graph.main, ['--input_graph', graph, '--input_checkpoint', folder,
                           '--output_graph', frozen]),
      (prepare_weights.main, [frozen, '--model', architecture.name])):
    outcome = run_script(main, argv)
    assert outcome.status == 0, outcome.err
  return load_weights(str(folder / 'frozen_weights.pickle'), architecture)[0]


def test_float(tmp_path):
  checkpoint = str(tmp_path / 'model.ckpt-0')
  write_checkpoint(checkpoint, MODEL, slim_variables())
  weights = run_chain(tmp_path, TINY)
  expected = slim_logits(MODEL, checkpoint, IMAGES)
  assert expected.std() > 0.1
  assert largest_difference(frozen_logits(tmp_path / 'frozen.pb', IMAGES), expected) < 1e-4
  assert largest_difference(float_logits(TINY, weights, IMAGES), expected) < 1e-4


def test_qat(tmp_path):
  testing_chain.write_qat_checkpoint(tmp_path, MODEL, slim_variables(), IMAGES)
  checkpoint = tmp_path / 'model.ckpt-0'
  weights = run_chain(tmp_path, TINY)
  plain = slim_logits(MODEL, checkpoint, IMAGES)
  quantised = slim_logits(MODEL, checkpoint, IMAGES, quantize=True)
  assert largest_difference(frozen_logits(tmp_path / 'frozen.pb', IMAGES), quantised) < 1e-4
  assert largest_difference(float_logits(TINY, weights, IMAGES), plain) < 1e-4
  assert largest_difference(quantised, plain) > 1e-3


def golden_logits():
  """Images [N, 224, 224, 3] and B0's logits by an independent program; without those no logits."""
  if os.path.exists(GOLDEN):
    golden = np.load(GOLDEN)
    return np.float32(golden['images']), golden['logits']
  return np.random.RandomState(0).randint(0, 256, [4, 224, 224, 3]).astype(np.float32), None


@pytest.mark.full
def test_b0(tmp_path):
  images, golden = golden_logits()
  shipped, classes = load_weights(SHIPPED, EFFICIENTNET_B0)
  own = float_logits(EFFICIENTNET_B0, shipped, images)
  random = np.random.RandomState(0)
  table = layers(EFFICIENTNET_B0, 224, classes)
  statistics = {layer.name: random.uniform([[-2], [0]], [[2], [4]], [2, layer.outputs])
                for layer in filter(has_batch_norm, table)}
  values = live_variables(shipped, table, statistics)

  model = Model('efficientnet_b0', classes, 224, labels_offset=1)
  folders = {name: tmp_path / name for name in ('float', 'qat')}
  for folder in folders.values():
    folder.mkdir()
  write_checkpoint(str(folders['float'] / 'model.ckpt-0'), model, values)
  testing_chain.write_qat_checkpoint(folders['qat'], model, values)
  actual = {name: float_logits(EFFICIENTNET_B0, run_chain(folder, EFFICIENTNET_B0), images)
            for name, folder in folders.items()}
  actual['slim'] = slim_logits(model, folders['float'] / 'model.ckpt-0', images)
  actual['frozen'] = frozen_logits(folders['float'] / 'frozen.pb', images)
  differences = {name: largest_difference(logits, own) for name, logits in actual.items()}
  if golden is not None:
    differences['golden'] = largest_difference(own, golden)
  print(differences)
  assert max(differences.values()) < 1e-4, differences
