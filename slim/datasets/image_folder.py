"""Sets of any images, one folder per class: labels 0.. in the order of the folders' names.

Which classes such a set has is said by its `dataset.json` alone.
"""

import hashlib
import os

from datasets.class_folders import class_names, labelled_images
from imagenet import DatasetInfo
from scripts.errors import UserError

SPLITS = ('train', 'validation')
VALIDATION_SHARE = 0.1  # Of the images that are not divided, where no share is given.


def find_images(folder, validation_share=None):
  """The images of a set.

  Args:
    folder: holds either `train` and `validation` with the folders of the classes, or these folders
      themselves.
    validation_share: of the images, in the second case only; above 0 and below 1, None for
      VALIDATION_SHARE. An image is taken by the hash of its class and name, so more images do not
      move those that were there.

  Returns:
    (dict split -> list of `LabelledImage`, list of the names of the classes).

  Raises:
    UserError: only one of the two splits is there, or other folders beside them; a share is given
      for a divided set; there are fewer than two classes, or the share leaves a class without
      training images or no validation images at all.
  """
  names = class_names(folder)
  roots = {split: os.path.join(folder, split) for split in SPLITS}
  is_divided = bool(set(SPLITS).intersection(names))
  if is_divided:
    _check_divided(folder, names, validation_share)
    names = class_names(roots['train'])
  if len(names) < 2:
    raise UserError('%s holds one class only, %s: at least two are needed'
                    % (roots['train'] if is_divided else folder, names[0]))
  labels = {name: index for index, name in enumerate(names)}
  if is_divided:
    return {split: labelled_images(root, labels) for split, root in roots.items()}, names
  share = VALIDATION_SHARE if validation_share is None else validation_share
  return _divide(labelled_images(folder, labels), names, share), names


def _check_divided(folder, names, share):
  """Refuses what a folder with the folders `names`, one of SPLITS among them, would ignore."""
  others = [name for name in names if name not in SPLITS]
  if others:
    raise UserError('%s holds %s beside %s: it must hold folders of classes, or train and '
                    'validation and no other folder'
                    % (folder, others[0], ' and '.join(sorted(set(names).intersection(SPLITS)))))
  if share is not None:
    raise UserError('--validation_share: the images of %s are divided into train and validation '
                    'already; leave the flag out' % folder)


def _divide(images, names, share):
  if not 0 < share < 1:
    raise UserError('--validation_share must be above 0 and below 1, not %g' % share)
  splits = {split: [] for split in SPLITS}
  for image in images:
    splits['validation' if _fraction(image) < share else 'train'].append(image)
  untrained = sorted(set(names).difference(image.text for image in splits['train']))
  if untrained or not splits['validation']:
    raise UserError('a validation share of %g of %d images leaves %s: choose another share, or '
                    'divide the images into folders train and validation'
                    % (share, len(images), 'no training images of %s' % untrained[0] if untrained
                       else 'no validation images'))
  return splits


def _fraction(image):
  """Number in [0, 1) that follows from the class and the name of an image."""
  name = '%s/%s' % (image.text, os.path.basename(image.path))
  digest = hashlib.sha256(name.encode('utf-8', 'surrogateescape')).digest()
  return int.from_bytes(digest[:8], 'big') / 2 ** 64


def describe(name, names):
  """`DatasetInfo` of a set called `name` with the classes `names`."""
  return DatasetInfo(name, classes=len(names), first_label=0)
