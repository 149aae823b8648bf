"""Tests of IDX files."""

import gzip

import numpy as np
import pytest

from datasets import idx
from scripts.errors import UserError

# Two arrays of three values, by hand.
PLAIN = b'\0\0\x08\x02' + b'\0\0\0\x02' + b'\0\0\0\x03' + bytes([1, 2, 3, 4, 5, 255])
ARRAY = np.array([[1, 2, 3], [4, 5, 255]], np.uint8)


@pytest.mark.parametrize('data', [PLAIN, gzip.compress(PLAIN)])
def test_reading_by_hand(tmp_path, data):
  (tmp_path / 'x').write_bytes(data)
  found = idx.read_idx(str(tmp_path / 'x'))
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, ARRAY)


def test_writing_by_hand_and_without_time_or_name():
  data = idx.compressed_idx(ARRAY)
  assert gzip.decompress(data) == PLAIN
  assert data[3:8] == bytes(5)  # No optional fields, no time.
  assert idx.compressed_idx(np.asfortranarray(ARRAY)) == data


@pytest.mark.parametrize('data, message', [
    (b'', 'is no IDX file of unsigned bytes: it starts with nothing'),
    (PLAIN[:3], 'is no IDX file of unsigned bytes: it starts with 00 00 08'),
    (b'\0\0\x0d' + PLAIN[3:], 'is no IDX file of unsigned bytes: it starts with 00 00 0d 02'),
    (b'\x01' + PLAIN[1:], 'is no IDX file'),
    (PLAIN[:10], 'is no IDX file'),
    (b'\0\0\x08\0\x07', 'is no IDX file'),
    (PLAIN[:-1], 'has 5 bytes of values, its header promises 2 x 3 = 6'),
    (PLAIN + b'x', 'has 7 bytes of values'),
    (b'\0\0\x08\x01\0\0\0\0', 'has 0 bytes of values, its header promises 0 = 0'),
    (b'\0\0\x08\x03' + b'\xff' * 12, 'promises 4294967295 x 4294967295 x 4294967295 ='),
    (gzip.compress(PLAIN)[:-9], 'is cut off: copy it again'),
    (gzip.compress(PLAIN)[:-8] + bytes(8), 'cannot read .*CRC'),
    (gzip.compress(PLAIN)[:10] + b'\xff' * 20, 'cannot read .*invalid block type'),
])
def test_damaged_files_are_refused(tmp_path, data, message):
  (tmp_path / 'x').write_bytes(data)
  with pytest.raises(UserError, match=message) as error:
    idx.read_idx(str(tmp_path / 'x'))
  assert str(tmp_path / 'x') in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
  with pytest.raises(UserError, match='cannot read .*none: No such file'):
    idx.read_idx(str(tmp_path / 'none'))
