"""Images sorted into one folder per class."""

import os
import stat

from datasets.images import image_format
from datasets.shards import UNREADABLE, LabelledImage
from scripts.errors import UserError


def class_names(folder):
  """Sorted names of the folders in `folder`; hidden ones and files beside them do not count.

  Raises:
    UserError: the folder cannot be read, has none, or a broken link that may be one.
  """
  entries = _entries(folder)
  names = [entry.name for entry in entries if os.path.isdir(entry.path)]
  if not names:
    raise UserError('no folders in %s: it must hold one folder of images for each class' % folder)
  for entry in entries:
    if not os.path.exists(entry.path):
      raise UserError('%s is a broken link: repair or remove it' % entry.path)
  return names


def is_sorted(folder):
  """True where the images of a folder lie in folders of their own, False where they lie flat.

  Raises:
    UserError: the folder cannot be read, or there are both folders and images in it.
  """
  folders, others = [], []
  for entry in _entries(folder):
    (folders if os.path.isdir(entry.path) else others).append(entry.path)
  image = next(filter(_is_image, others), None) if folders else None
  if image:
    raise UserError('%s holds folders, such as %s, and images beside them, such as %s: sort all '
                    'images into folders, or none' % tuple([folder] + list(map(
                        os.path.basename, (folders[0], image)))))
  return bool(folders)


def labelled_images(folder, labels):
  """The images of all classes.

  Args:
    folder: holds one folder a class.
    labels: dict class name -> label, with an entry for every folder.

  Returns:
    List of `LabelledImage`, sorted by class and by name.

  Raises:
    UserError: a folder cannot be read, holds no file or is no class of `labels`.
  """
  images = []
  for name in class_names(folder):
    if name not in labels:
      raise UserError('%s is not one of the %d classes (the first is %s): remove the folder, or '
                      'add one of this name to the training images'
                      % (os.path.join(folder, name), len(labels), min(labels)))
    images.extend(LabelledImage(path, labels[name], name, size)
                  for path, size in image_files(os.path.join(folder, name)))
  return images


def image_files(folder):
  """Sorted list of (path, size in bytes) of what is in `folder`, apart from hidden files.

  The size is UNREADABLE for folders, broken links and the like, which `read_image` refuses.

  Raises:
    UserError: the folder cannot be read or holds no file.
  """
  files = [(entry.path, _size(entry.path)) for entry in _entries(folder)]
  if all(size == UNREADABLE for _, size in files):
    raise UserError('no images in %s: remove the folder or fill it%s' % (
        folder, ' (%s: %s)' % (files[0][0], _fault(files[0][0])) if files else ''))
  return files


def read_image(path):
  """bytes of the file at `path`; UserError where it cannot be read."""
  fault = _fault(path)
  if fault:
    raise UserError('cannot read %s: %s' % (path, fault))
  try:
    with open(path, 'rb') as stream:
      return stream.read()
  except OSError as error:
    raise UserError('cannot read %s: %s' % (path, error.strerror))


def _size(path):
  """Size in bytes of a regular file, UNREADABLE for anything else."""
  return UNREADABLE if _fault(path) else os.path.getsize(path)


def _fault(path):
  """Why a path is not a regular file (reading others may block); None if it is one."""
  try:
    mode = os.stat(path).st_mode
  except OSError as error:
    return 'it is a broken link' if os.path.islink(path) else error.strerror
  if stat.S_ISDIR(mode):
    return 'it is a folder'
  return None if stat.S_ISREG(mode) else 'it is not an ordinary file'


def _is_image(path):
  if _fault(path):
    return False
  try:
    with open(path, 'rb') as stream:
      return image_format(stream.read(8)) is not None
  except OSError:
    return False


def _entries(folder):
  try:
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith('.')]
  except OSError as error:
    raise UserError('cannot read the folder %s: %s' % (folder, error.strerror))
  return sorted(entries, key=lambda entry: entry.name)
