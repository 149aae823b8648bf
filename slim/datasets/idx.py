"""IDX files, the format of MNIST: arrays of bytes, optionally gzipped.

Two zero bytes, one for the type (8: unsigned byte), one for the number of dimensions; the size of
each dimension in four bytes, big endian; the values.
"""

import functools
import gzip
import io
import itertools
import operator
import zlib

import numpy as np

from scripts.errors import UserError

_UNSIGNED_BYTE = 8
_GZIP = b'\x1f\x8b'
_CHUNK = 2 ** 20  # Bytes read at once.
_MOST_CHUNKS = 2 ** 10  # 1 GiB; the largest set in this format, EMNIST, has 547 MB.
_MOST_DIMENSIONS = 4


def read_idx(path):
  """The array of a file of unsigned bytes; compression is known by the content.

  Returns:
    uint8 array with at least one value.

  Raises:
    UserError: the file cannot be read, is truncated, is larger than 1 GiB or is not such a file.
  """
  try:
    with open(path, 'rb') as stream:
      is_compressed = stream.read(len(_GZIP)) == _GZIP
    with (gzip.open if is_compressed else open)(path, 'rb') as stream:
      data = b''.join(itertools.islice(iter(lambda: stream.read(_CHUNK), b''), _MOST_CHUNKS))
      if stream.read(1):
        raise UserError('%s holds more than %d MiB: no set of images in this format does'
                        % (path, _MOST_CHUNKS * _CHUNK // 2 ** 20))
  except EOFError:
    raise UserError('%s is truncated: copy it again' % path)
  except (zlib.error, OSError) as error:  # A wrong checksum is an OSError.
    raise UserError('cannot read %s: %s' % (path, getattr(error, 'strerror', None) or error))
  return _parse(data, path)


def _parse(data, path):
  dimensions = data[3] if len(data) >= 4 else 0
  start = 4 + 4 * dimensions
  if (data[:3] != bytes([0, 0, _UNSIGNED_BYTE]) or not 1 <= dimensions <= _MOST_DIMENSIONS
      or len(data) < start):
    raise UserError('%s is not an IDX file of unsigned bytes: it starts with %s'
                    % (path, ' '.join('%02x' % byte for byte in data[:4]) or 'nothing'))
  shape = [int(size) for size in np.frombuffer(data, '>u4', dimensions, 4)]
  count = functools.reduce(operator.mul, shape)
  if not count or len(data) - start != count:
    raise UserError('%s has %d bytes of values, its header promises %s = %d: copy it again'
                    % (path, len(data) - start, ' x '.join(map(str, shape)), count))
  return np.frombuffer(data, np.uint8, count, start).reshape(shape)


def compressed_idx(array):
  """bytes of a compressed IDX file of a uint8 array; the same ones for the same array."""
  header = bytes([0, 0, _UNSIGNED_BYTE, array.ndim])
  sizes = np.array(array.shape, '>u4').tobytes()
  buffer = io.BytesIO()
  # Without the name and the time that gzip would store.
  with gzip.GzipFile(filename='', mode='wb', compresslevel=9, fileobj=buffer, mtime=0) as stream:
    stream.write(header + sizes + np.ascontiguousarray(array).tobytes())
  return buffer.getvalue()
