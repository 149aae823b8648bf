"""Records of random images that the float network has labelled itself."""

import numpy as np
import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split
from imagenet import IMAGENET
from scripts import runtime
from scripts.effnetb0 import student as students
from scripts.image_records import write_records
from scripts.trainer import loading

IMAGES = {'train': 32, 'validation': 32}


def write(folder, networks):
  """Writes `IMAGES` random JPEG images, of an ImageNet photo's usual size, as ImageNet's records.

  The float network classifies all of them correctly: train.py refuses labels that do not fit.

  Args:
    folder: an existing folder.
    networks: `programs.Networks`, with ImageNet's classes.
  """
  for seed, (split, count) in enumerate(sorted(IMAGES.items())):
    images = random_images(count, seed)
    write_records(folder, split, images, [IMAGENET.first_label] * count)
    labels = float_choices(find_split(folder, split), networks) + IMAGENET.first_label
    write_records(folder, split, images, labels)


def random_images(count, seed):
  """uint8 [count, 384, 512, 3]: squares of random colours."""
  squares = np.random.RandomState(seed).randint(0, 256, [count, 24, 32, 3]).astype(np.uint8)
  return squares.repeat(16, axis=1).repeat(16, axis=2)


def float_choices(split, networks):
  """int [N]: the outputs that the float network chooses for the images of a split."""
  architecture, classes = networks.architecture, networks.quantised.spec.classes
  size = networks.quantised.image_size
  with tf.Graph().as_default(), runtime.new_session() as session:
    images, _ = tf.data.make_one_shot_iterator(
        data.evaluation_batches(split, split.count, size, 0, 1)).get_next()
    images.set_shape([None, size, size, 3])
    flat = students.create_weights('float', architecture, classes, False)
    logits, _ = students.build_float(images, architecture, flat, 'float')
    loading.start_float(session, flat, networks.weights, architecture, classes)
    return np.argmax(session.run(logits), 1)
