"""Tests of ImageNet's files of labels."""

import numpy as np
import pytest

from datasets import imagenet
from scripts.errors import UserError

ORDER = ['n00000003', 'n00000001', 'n00000002']


def write(tmp_path, text):
  (tmp_path / 'file').write_bytes(text if isinstance(text, bytes) else text.encode())
  return str(tmp_path / 'file')


def test_synsets_stand_at_the_start_of_lines(tmp_path):
  path = write(tmp_path, 'n00000003 kit fox, Vulpes\nn00000001\n\nn00000002\tdog\n')
  assert imagenet.read_synsets(path) == ORDER


@pytest.mark.parametrize('data', [
    b'\xef\xbb\xbfn00000003\nn00000001\nn00000002\n',
    b'\xef\xbb\xbfn00000003\r\n\r\nn00000001 dog\r\nn00000002\r\n',
    b'n00000003 caf\xe9\nn00000001\nn00000002'], ids=['mark', 'of Windows', 'Latin-1'])
def test_text_files_of_any_system(tmp_path, data):
  path = write(tmp_path, data)
  assert imagenet.read_synsets(path) == ORDER


def test_a_byte_order_mark_before_the_ground_truth(tmp_path):
  path = write(tmp_path, b'\xef\xbb\xbf3\r\n1\r\n')
  assert imagenet.read_ground_truth(path, ORDER) == (['n00000002', 'n00000003'], 'numbers')


@pytest.mark.parametrize('text, message', [
    ('n00000003\nn00000003\n', r'file line 2 must start with a synset .* once, not n00000003'),
    ('n0000000\u0663\n', 'file line 1 must start with a synset'),
    ('x' * 9999, 'comes once, not %r ...$' % ('x' * 40)),
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
    ('1\n\u00b2\n', ORDER, 'file line 2 must be a number of 1 to 3, not \u00b2'),
    ('1\n%s\n' % ('9' * 50), ORDER, 'file line 2 must be a number of 1 to 3, not \'9{40}\' ...$'),
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
  for data in (b'\xff\xd8\xff\xe0\0\x10', '1\n2\n'.encode('utf-16')):
    with pytest.raises(UserError, match='file is not a text file in ASCII or UTF-8'):
      imagenet.read_ground_truth(write(tmp_path, data))


def test_mutated_files_are_read_or_refused(tmp_path):
  random = np.random.RandomState(0)
  for text in ('n00000003 fox\nn00000001\r\nn00000002\n', '1\n3\n2\n'):
    for _ in range(100):
      mutated = bytearray(text.encode())
      for position in random.randint(0, len(mutated), [2]):
        mutated[position] = random.randint(0, 256)
      for read in (imagenet.read_synsets, lambda path: imagenet.read_ground_truth(path, ORDER)):
        try:
          read(write(tmp_path, bytes(mutated)))
        except UserError as error:
          assert len(str(error)) < 300 and '\n' not in str(error)
