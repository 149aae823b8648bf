"""Sets by name."""

import os

from dataset_utils import find_split
from datasets import fashion_mnist, imagenet
from imagenet import INFO_FILE
from scripts.errors import UserError

IMAGE_FOLDER = 'image_folder'
_INFOS = {'imagenet': imagenet.INFO, 'fashion_mnist': fashion_mnist.INFO}
NAMES = tuple(sorted(_INFOS)) + (IMAGE_FOLDER,)


def get_split(name, split_name, dataset_dir, limit=0):
  """Finds and counts the records of a split and checks that they are those of the named set.

  Args:
    name: one of NAMES, where `image_folder` stands for what the folder's `dataset.json` says; None
      or '' takes any set.
    split_name: 'train', 'validation' or any other prefix of files.
    dataset_dir: folder with the records.
    limit: use no more images than this, 0 for all.

  Returns:
    `dataset_utils.Split`.

  Raises:
    UserError: the name is unknown, the folder holds another set, or as `find_split`.
  """
  if name and name not in NAMES:
    raise UserError('unknown data set "%s": choose one of %s' % (name, ', '.join(NAMES)))
  split = find_split(dataset_dir, split_name, limit)
  if name in _INFOS and split.info[:3] != _INFOS[name][:3]:
    raise UserError('%s holds the data set "%s" with %d classes (labels %d to %d), not %s'
                    % (dataset_dir, split.info.name, split.info.classes, split.info.first_label,
                       split.info.last_label, name))
  if name == IMAGE_FOLDER and not os.path.exists(os.path.join(dataset_dir, INFO_FILE)):
    raise UserError('%s holds no %s, which says what the classes of an %s set are'
                    % (dataset_dir, INFO_FILE, IMAGE_FOLDER))
  return split
