"""A tiny training for tests: records that a tiny network learns quickly, and flags to do so."""

import contextlib
import os

import numpy as np
import pytest

import imagenet
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from scripts import image_records
from scripts.effnetb0.architecture import Architecture, Block
from scripts.testing import network as testing_network
from scripts.testing.network import CLASSES, INFO, random_images

IMAGES = 24
# One block with a skip: making the graph is most of what a short run takes.
TINY = Architecture('tiny', image_size=16, stem=4, head=8, blocks=(Block(1, 3, 1, 4, 4),))


@contextlib.contextmanager
def known():
  """Makes the scripts know --model_name=tiny."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(ARCHITECTURES, TINY.name, TINY)
    yield


def write_images(folder):
  """Writes splits 'train' (IMAGES) and 'validation' (8), bright as their class; returns the path.
  """
  imagenet.write_info(folder, INFO)
  for seed, (split, count) in enumerate((('train', IMAGES), ('validation', 8))):
    labels = np.arange(count) % CLASSES
    images = random_images(count, seed) // 4 + np.uint8(40 * labels)[:, None, None, None]
    image_records.write_records(folder, split, images, labels + INFO.first_label,
                                image_format='png')
  return str(folder)


def flags(dataset, train_dir, **others):
  """List of flags of a training without random choices but order and mirroring."""
  values = dict(dict(
      dataset_dir=dataset, train_dir=train_dir, model_name='tiny', batch_size=4, dropout=0,
      drop_connect=0, preprocessing_name='efficientnet_central', optimizer='momentum',
      learning_rate=0.02, learning_rate_decay_type='fixed', log_every_n_steps=1,
      num_preprocessing_threads=1), **others)
  return ['--%s=%s' % item for item in sorted(values.items())]


def losses(out):
  """dict step -> loss of what a training printed."""
  lines = [line.split() for line in out.splitlines() if line.startswith('step ')]
  return {int(words[1].rstrip(':')): float(words[3].rstrip(',')) for words in lines}


def run_script(main, argv):
  """`testing_network.Outcome` of a script that knows the tiny network."""
  with known():
    return testing_network.run_script(main, argv)


def checkpoint(folder, step):
  """Path of the checkpoint of a step."""
  return os.path.join(str(folder), 'model.ckpt-%d' % step)
