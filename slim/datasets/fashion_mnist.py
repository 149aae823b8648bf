"""Fashion-MNIST: grey images of clothes, 28 x 28 pixels, ten classes of equal size.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms" (2017). The clothes fill the pictures, so an evaluation sees them whole.
"""

import os

import numpy as np

from datasets import idx
from imagenet import DatasetInfo
from scripts.errors import UserError

CLASS_NAMES = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker',
               'Bag', 'Ankle boot')
INFO = DatasetInfo('fashion_mnist', classes=10, first_label=0, central_crop=1.0)
SIDE = 28  # Pixels.
PREFIXES = {'train': 'train', 'validation': 't10k'}  # Of the files of each split.


def file_names(split):
  """Names of the files of a split's images and labels, without .gz."""
  return ['%s-%s-ubyte' % (PREFIXES[split], kind) for kind in ('images-idx3', 'labels-idx1')]


def read_split(folder, split):
  """Reads a split, plain or compressed.

  Args:
    folder: holds the IDX files, as they are or with .gz.
    split: 'train' or 'validation'.

  Returns:
    (uint8 [N, 28, 28], uint8 [N]: images, and labels 0..9).

  Raises:
    UserError: a file is missing or damaged, or the two do not belong together.
  """
  paths = [_find(folder, name) for name in file_names(split)]
  images, labels = (idx.read_idx(path) for path in paths)
  if images.shape[1:] != (SIDE, SIDE):
    raise UserError('%s must hold images of %d x %d pixels, not an array of the shape %s'
                    % (paths[0], SIDE, SIDE, list(images.shape)))
  if labels.shape != images.shape[:1]:
    raise UserError('%s holds labels of the shape %s, but %s holds %d images'
                    % (paths[1], list(labels.shape), paths[0], len(images)))
  if np.max(labels) > INFO.last_label:
    raise UserError('%s holds the label %d, outside 0 to %d'
                    % (paths[1], np.max(labels), INFO.last_label))
  return images, labels


def _find(folder, name):
  for path in (os.path.join(folder, name + '.gz'), os.path.join(folder, name)):
    if os.path.exists(path):
      return path
  raise UserError('neither %s.gz nor %s is in %s: it must hold the four files of Fashion-MNIST'
                  % (name, name, folder))
