"""A network of three small blocks and everything an experiment with it needs, for tests.

The scripts know it as `--model tiny` inside `known()`.
"""

import collections
import contextlib
import io
import os
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split
from imagenet import DatasetInfo, write_info
from scripts.effnetb0 import slim_names
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES, Architecture, Block, layers
from scripts.effnetb0.weights import LayerWeights, save_weights
from scripts.image_records import write_records

# A block without expansion, one with stride 2, one with a skip.
TINY = Architecture('tiny', image_size=32, stem=8, head=16, blocks=(
    Block(1, 3, 1, 8, 4), Block(2, 3, 2, 4, 6), Block(2, 3, 1, 6, 6)))
CLASSES = 4
INFO = DatasetInfo('tiny', classes=CLASSES, first_label=1)


class Experiment(NamedTuple):
  """Files of an experiment; the float network classifies every image correctly."""
  dataset: str  # Folder with 32 training and 16 validation images.
  weights: str
  thresholds: str  # Written by the first run with -e.


class Outcome(NamedTuple):
  """What a script did."""
  status: int
  out: str
  err: str  # With progress bars.

  @property
  def error(self):
    """The last line on stderr, which is where an error must be."""
    return self.err.splitlines()[-1] if self.err else ''


@contextlib.contextmanager
def known():
  """Makes the scripts know the network."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(ARCHITECTURES, TINY.name, TINY)
    yield


def run_script(main, argv):
  """`Outcome` of `main(argv)` in a graph of its own."""
  out, err = io.StringIO(), io.StringIO()
  with tf.Graph().as_default(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
    try:
      status = main([str(arg) for arg in argv])
    except SystemExit as stop:  # Of argparse.
      status = stop.code
  return Outcome(status, out.getvalue(), err.getvalue())


def random_weights(architecture=TINY, classes=CLASSES, seed=0):
  """Dict layer -> `LayerWeights` that keep the size of activations (He et al., 2015).

  Source of the scaling: "Delving Deep into Rectifiers", equation 10.
  """
  random = np.random.RandomState(seed)
  weights = collections.OrderedDict()
  for layer in layers(architecture, architecture.image_size, classes):
    inputs = layer.kernel ** 2 * (1 if layer.kind == 'depthwise' else layer.inputs)
    weights[layer.name] = LayerWeights(
        np.float32(random.normal(0.0, np.sqrt(2.0 / inputs), layer.weights_shape)),
        np.float32(random.normal(0.0, 0.1, [layer.outputs])))
  return weights


def slim_variables(seed=0):
  """Dict name -> array of the variables that TF-Slim's network has, batch norm not trivial."""
  random = np.random.RandomState(seed)
  parts = {'gamma': (0.5, 2), 'beta': (-1, 1), 'moving_mean': (-1, 1), 'moving_variance': (0.1, 2)}
  values = {}
  for layer in layers(TINY, TINY.image_size, CLASSES):
    scope = 'efficientnet_b0/%s/' % slim_names.variable_scope(layer)
    kernel = 'depthwise_weights' if layer.kind == 'depthwise' else 'weights'
    values[scope + kernel] = random.randn(*layer.weights_shape) * 0.3
    if layer.name.rpartition('/')[2] in ('se_1', 'se_2', 'output'):
      values[scope + 'biases'] = random.randn(layer.outputs)
    else:
      values.update((scope + 'BatchNorm/' + part, random.uniform(low, high, layer.outputs))
                    for part, (low, high) in parts.items())
  return {name: np.float32(value) for name, value in values.items()}


def random_images(count, seed=0):
  """uint8 [count, 64, 64, 3]: a colour and noise each; 64, so that the central crop has 32 pixels.
  """
  random = np.random.RandomState(seed)
  colours = random.uniform(40, 216, [count, 1, 1, 3])
  return np.uint8(np.clip(colours + random.normal(0.0, 20.0, [count, 64, 64, 3]), 0, 255))


def logits_of(images, weights, architecture=TINY, classes=CLASSES):
  """float32 [N, classes]: the float network's logits for images [N, S, S, 3], RGB 0..255."""
  with tf.Graph().as_default(), tf.Session() as session:
    flat = students.create_weights('net', architecture, classes, False)
    logits, _ = students.build_float(tf.constant(np.float32(images)), architecture, flat, 'net')
    flat.variable.load(students.weight_vector(weights, architecture, classes), session)
    return session.run(logits)


def float_logits(folder, split, weights, classes=CLASSES):
  """Logits [N, K] of the float network on a split of records, in the order of the files."""
  read = find_split(str(folder), split)
  with tf.Graph().as_default(), tf.Session() as session:
    images, _ = data.evaluation_batches(
        read, read.count, TINY.image_size, 0, 1).make_one_shot_iterator().get_next()
    images.set_shape([None, TINY.image_size, TINY.image_size, 3])
    flat = students.create_weights('float', TINY, classes, False)
    logits, _ = students.build_float(images, TINY, flat, 'float')
    flat.variable.load(students.weight_vector(weights, TINY, classes), session)
    return session.run(logits)


def write_dataset(folder, labels):
  """Writes the images of both splits and a dataset.json; a second time with other labels.

  Args:
    folder: an existing folder.
    labels: dict 'train' -> [32], 'validation' -> [16] outputs of the network, from 0.
  """
  write_info(folder, INFO)
  for seed, (split, outputs) in enumerate(sorted(labels.items())):
    write_records(folder, split, random_images(len(outputs), seed),
                  np.add(outputs, INFO.first_label), image_format='png')


def write_experiment(folder):
  """Writes weights and records to an existing folder; returns the `Experiment`.

  The classifier is scaled to logits of mean 0 and deviation 1 over the training images, so that
  every class is somebody's choice; the labels are the float network's choices.
  """
  experiment = Experiment(*[os.path.join(str(folder), name)
                            for name in ('records', 'weights.pickle', 'thresholds.json')])
  os.makedirs(experiment.dataset)
  write_dataset(experiment.dataset, {'train': [0] * 32, 'validation': [0] * 16})
  weights = random_weights()
  logits = float_logits(experiment.dataset, 'train', weights)
  mean, deviation = logits.mean(0), logits.std(0)
  weights['output'] = LayerWeights(weights['output'].weights / deviation,
                                   (weights['output'].bias - mean) / deviation)
  save_weights(experiment.weights, weights)
  write_dataset(experiment.dataset, own_labels(experiment.dataset, weights))
  return experiment


def own_labels(dataset, weights):
  """The float network's choices on the images of both splits, as `write_dataset` takes them."""
  return {split: np.argmax(float_logits(dataset, split, weights), 1)
          for split in ('train', 'validation')}
