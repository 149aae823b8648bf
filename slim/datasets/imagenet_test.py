"""Tests of ImageNet's files of labels."""

import pytest

from datasets import imagenet
from scripts.errors import UserError

ORDER = ['n00000003', 'n00000001', 'n00000002']


def write(tmp_path, text):
  (tmp_path / 'file').write_text(text)
  return str(tmp_path / 'file')


def test_synsets_stand_at_the_start_of_lines(tmp_path):
  path = write(tmp_path, 'n00000003 kit fox, Vulpes\nn00000001\n\nn00000002\tdog\n')
  assert imagenet.read_synsets(path) == ORDER


@pytest.mark.parametrize('text, message', [
    ('n00000003\nn00000003\n', r'file line 2 must start with a synset .* once, not n00000003'),
    ('fox\n', 'file line 1 must start with a synset like n01440764 that comes once, not fox'),
    ('', 'file is empty'),
])
def test_bad_synsets_are_refused(tmp_path, text, message):
  with pytest.raises(UserError, match=message):
    imagenet.read_synsets(write(tmp_path, text))


def test_the_ground_truth_may_hold_synsets(tmp_path):
  path = write(tmp_path, 'n00000002\nn00000002\nn00000003\n')
  expected = ['n00000002', 'n00000002', 'n00000003'], 'synsets'
  assert imagenet.read_ground_truth(path) == expected
  assert imagenet.read_ground_truth(path, ORDER) == expected


def test_the_ground_truth_may_hold_numbers(tmp_path):
  path = write(tmp_path, '1\n3\n2\n1\n')
  assert imagenet.read_ground_truth(path, ORDER) == (
      ['n00000003', 'n00000002', 'n00000001', 'n00000003'], 'numbers')


@pytest.mark.parametrize('text, synsets, message', [
    ('490\n', None, r'file holds numbers \(490 ...\), not synsets: give .* as --synsets'),
    ('1\n4\n', ORDER, 'file line 2 must be a number of 1 to 3, not 4'),
    ('1\n0\n', ORDER, 'file line 2 must be a number of 1 to 3, not 0'),
    ('1\nn00000001\n', ORDER, 'file line 2 must be a number of 1 to 3, not n00000001'),
    ('n00000001\n1\n', ORDER, 'file line 2 must be a synset, not 1'),
    ('n00000001 2\n', ORDER, 'file line 1 must be a synset, not n00000001 2'),
    ('', ORDER, 'file is empty'),
])
def test_a_bad_ground_truth_is_refused(tmp_path, text, synsets, message):
  with pytest.raises(UserError, match=message):
    imagenet.read_ground_truth(write(tmp_path, text), synsets)


def test_unreadable_files_are_refused(tmp_path):
  with pytest.raises(UserError, match='cannot read .*none: No such file'):
    imagenet.read_synsets(str(tmp_path / 'none'))
  (tmp_path / 'image').write_bytes(b'\xff\xd8\xff')
  with pytest.raises(UserError, match='image is no text file'):
    imagenet.read_synsets(str(tmp_path / 'image'))
