"""Tests of IDX files."""

import gzip

import numpy as np
import pytest

from datasets import idx
from scripts.errors import UserError

# Two arrays of three values, by hand.
PLAIN = b'\0\0\x08\x02' + b'\0\0\0\x02' + b'\0\0\0\x03' + bytes([1, 2, 3, 4, 5, 255])
ARRAY = np.array([[1, 2, 3], [4, 5, 255]], np.uint8)
COMPRESSED = idx.compressed_idx(ARRAY)


@pytest.mark.parametrize('data', [PLAIN, COMPRESSED])
def test_reading_by_hand(tmp_path, data):
  (tmp_path / 'x').write_bytes(data)
  actual = idx.read_idx(str(tmp_path / 'x'))
  assert actual.dtype == np.uint8
  np.testing.assert_array_equal(actual, ARRAY)


def test_writing_by_hand_and_without_time_or_name():
  assert gzip.decompress(COMPRESSED) == PLAIN
  assert COMPRESSED[3:8] == bytes(5)  # No optional fields, no time.
  assert idx.compressed_idx(np.asfortranarray(ARRAY)) == COMPRESSED


@pytest.mark.parametrize('data, message', [
    (b'', 'is not an IDX file of unsigned bytes: it starts with nothing'),
    (PLAIN[:3], 'is not an IDX file of unsigned bytes: it starts with 00 00 08'),
    (b'\0\0\x0d' + PLAIN[3:], 'is not an IDX file of unsigned bytes: it starts with 00 00 0d 02'),
    (b'\x01' + PLAIN[1:], 'is not an IDX file'),
    (PLAIN[:10], 'is not an IDX file'),
    (b'\0\0\x08\0\x07', 'is not an IDX file'),
    (b'\0\0\x08\x21' + b'\0\0\0\x01' * 33 + b'x', 'is not an IDX file'),  # NumPy has 32 dimensions.
    (PLAIN[:-1], 'has 5 bytes of values, its header promises 2 x 3 = 6'),
    (PLAIN + b'x', 'has 7 bytes of values'),
    (b'\0\0\x08\x01\0\0\0\0', 'has 0 bytes of values, its header promises 0 = 0'),
    (b'\0\0\x08\x03' + b'\xff' * 12, 'promises 4294967295 x 4294967295 x 4294967295 ='),
    (COMPRESSED[:-9], 'is truncated: copy it again'),
    (COMPRESSED[:-8] + bytes(8), 'cannot read .*CRC'),
    (COMPRESSED[:10] + b'\xff' * 20, 'cannot read .*invalid block type'),
])
def test_damaged_files_are_refused(tmp_path, data, message):
  (tmp_path / 'x').write_bytes(data)
  with pytest.raises(UserError, match=message) as error:
    idx.read_idx(str(tmp_path / 'x'))
  assert str(tmp_path / 'x') in str(error.value)


def test_a_file_that_grows_without_end_when_it_is_decompressed(tmp_path, monkeypatch):
  monkeypatch.setattr(idx, '_MOST_CHUNKS', 2)
  for size, message in ((2 ** 21, 'has %d bytes of values' % (2 ** 21 - 12)),
                        (2 ** 21 + 1, 'holds more than 2 MiB')):
    (tmp_path / 'x').write_bytes(gzip.compress(PLAIN[:12] + bytes(size - 12)))
    with pytest.raises(UserError, match=message):
      idx.read_idx(str(tmp_path / 'x'))


@pytest.mark.parametrize('data', [PLAIN, COMPRESSED])
def test_mutated_files_are_read_or_refused(tmp_path, data):
  random = np.random.RandomState(0)
  for _ in range(500):
    mutated = bytearray(data)
    for position in random.randint(0, len(data), [2]):
      mutated[position] = random.randint(0, 256)
    (tmp_path / 'x').write_bytes(mutated[:random.choice([len(data), random.randint(len(data))])])
    try:
      assert idx.read_idx(str(tmp_path / 'x')).dtype == np.uint8
    except UserError:
      pass


def test_a_missing_file_is_refused(tmp_path):
  with pytest.raises(UserError, match='cannot read .*none: No such file'):
    idx.read_idx(str(tmp_path / 'none'))
