"""Images sorted into one folder a class."""

import os

from datasets.shards import LabelledImage
from scripts.errors import UserError


def class_names(folder):
  """Sorted names of the folders in `folder`; hidden ones and files beside them do not count.

  Raises:
    UserError: the folder cannot be read or has none.
  """
  names = [entry.name for entry in _entries(folder) if entry.is_dir()]
  if not names:
    raise UserError('no folders in %s: it must hold one folder of images for each class' % folder)
  return names


def labelled_images(folder, labels):
  """The images of all classes.

  Args:
    folder: holds one folder a class.
    labels: dict class name -> label, with an entry for every folder.

  Returns:
    List of `LabelledImage`, sorted by class and by name.

  Raises:
    UserError: a folder cannot be read, is empty, has folders in it or is no class of `labels`.
  """
  images = []
  for name in class_names(folder):
    if name not in labels:
      raise UserError('%s is none of the %d classes (the first is %s): remove the folder, or add '
                      'one of this name to the training images'
                      % (os.path.join(folder, name), len(labels), min(labels)))
    images.extend(LabelledImage(path, labels[name], name, size)
                  for path, size in image_files(os.path.join(folder, name)))
  return images


def image_files(folder):
  """Sorted list of (path, size in bytes) of the files in `folder`, apart from hidden ones.

  Raises:
    UserError: the folder cannot be read, is empty or has folders in it.
  """
  files = []
  for entry in _entries(folder):
    if entry.is_dir():
      raise UserError('%s is a folder: images are expected in %s' % (entry.path, folder))
    try:
      files.append((entry.path, entry.stat().st_size))
    except OSError as error:
      raise UserError('cannot read %s: %s' % (entry.path, error.strerror))
  if not files:
    raise UserError('no images in %s: remove the folder or fill it' % folder)
  return files


def read_image(path):
  """bytes of the file at `path`."""
  try:
    with open(path, 'rb') as stream:
      return stream.read()
  except OSError as error:
    raise UserError('cannot read %s: %s' % (path, error.strerror))


def _entries(folder):
  try:
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith('.')]
  except OSError as error:
    raise UserError('cannot read the folder %s: %s' % (folder, error.strerror))
  return sorted(entries, key=lambda entry: entry.name)
