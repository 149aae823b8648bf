"""Tests of images sorted into folders."""

import os

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
  actual = class_folders.labelled_images(str(folder), {'a': 7, 'b': 8, 'c': 9})
  assert actual == [(str(folder / 'a/x.png'), 7, 'a', 5), (str(folder / 'b/0.jpg'), 8, 'b', 4),
                    (str(folder / 'b/1.jpg'), 8, 'b', 3)]


def refusal(function, *arguments):
  with pytest.raises(UserError) as error:
    function(*arguments)
  return str(error.value)


def test_refusals(folder):
  root = str(folder)
  assert '%s/b is not one of the 1 classes (the first is a)' % root in refusal(
      class_folders.labelled_images, root, {'a': 0})
  assert refusal(class_folders.class_names, root + '/a') == (
      'no folders in %s/a: it must hold one folder of images for each class' % root)
  assert refusal(class_folders.class_names, root + '/none') == (
      'cannot read the folder %s/none: No such file or directory' % root)
  (folder / 'empty').mkdir()
  assert 'no images in %s/empty: remove the folder or fill it' % root == refusal(
      class_folders.image_files, root + '/empty')
  (folder / 'empty/deeper').mkdir()
  assert refusal(class_folders.image_files, root + '/empty').endswith(
      'fill it (%s/empty/deeper: it is a folder)' % root)


def test_what_is_no_ordinary_file_is_listed_and_cannot_be_read(folder):
  (folder / 'a/deeper').mkdir()
  (folder / 'a/link').symlink_to('nowhere')
  (folder / 'a/loop').symlink_to('loop')
  os.mkfifo(str(folder / 'a/pipe'))  # Reading it would wait for ever.
  files = class_folders.image_files(str(folder / 'a'))
  assert [(os.path.basename(path), size) for path, size in files] == [
      ('deeper', -1), ('link', -1), ('loop', -1), ('pipe', -1), ('x.png', 5)]
  assert class_folders.read_image(files[4][0]) == b'xxxxx'
  for (path, _), fault in zip(files, ('a folder', 'a broken link', 'a broken link',
                                      'not an ordinary file')):
    assert refusal(class_folders.read_image, path) == 'cannot read %s: it is %s' % (path, fault)


def test_a_broken_link_may_be_a_class(folder):
  (folder / 'c').symlink_to('nowhere')
  assert refusal(class_folders.class_names, str(folder)) == (
      '%s/c is a broken link: repair or remove it' % folder)


def test_images_lie_in_folders_or_flat(folder):
  (folder / 'a/link').symlink_to('nowhere')
  assert class_folders.is_sorted(str(folder))
  assert not class_folders.is_sorted(str(folder / 'a'))
  (folder / 'flat.jpeg').write_bytes(b'\xff\xd8\xff\xe0')
  assert refusal(class_folders.is_sorted, str(folder)) == (
      '%s holds folders, such as a, and images beside them, such as flat.jpeg: sort all images '
      'into folders, or none' % folder)
