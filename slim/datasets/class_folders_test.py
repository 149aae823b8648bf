"""Tests of images sorted into folders."""

import pytest

from datasets import class_folders
from scripts.errors import UserError


@pytest.fixture(name='folder')
def two_classes(tmp_path):
  for name, size in (('b/1.jpg', 3), ('b/0.jpg', 4), ('a/x.png', 5), ('.hidden/x.png', 1),
                     ('a/.hidden', 1)):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b'x' * size)
  (tmp_path / 'readme.txt').write_text('about')
  return tmp_path


def test_images_come_by_class_and_name(folder):
  assert class_folders.class_names(str(folder)) == ['a', 'b']
  found = class_folders.labelled_images(str(folder), {'a': 7, 'b': 8, 'c': 9})
  assert found == [(str(folder / 'a/x.png'), 7, 'a', 5), (str(folder / 'b/0.jpg'), 8, 'b', 4),
                   (str(folder / 'b/1.jpg'), 8, 'b', 3)]


def refusal(function, *arguments):
  with pytest.raises(UserError) as error:
    function(*arguments)
  return str(error.value)


def test_refusals(folder):
  root = str(folder)
  assert '%s/b is none of the 1 classes (the first is a)' % root in refusal(
      class_folders.labelled_images, root, {'a': 0})
  assert refusal(class_folders.class_names, root + '/a') == (
      'no folders in %s/a: it must hold one folder of images for each class' % root)
  assert refusal(class_folders.class_names, root + '/none') == (
      'cannot read the folder %s/none: No such file or directory' % root)
  assert refusal(class_folders.read_image, root + '/a') == (
      'cannot read %s/a: Is a directory' % root)
  (folder / 'empty').mkdir()
  assert 'no images in %s/empty' % root in refusal(class_folders.image_files, root + '/empty')
  (folder / 'a/deeper').mkdir()
  assert '%s/a/deeper is a folder' % root in refusal(class_folders.image_files, root + '/a')
  (folder / 'b/broken').symlink_to('nowhere')
  assert 'cannot read %s/b/broken' % root in refusal(class_folders.image_files, root + '/b')
