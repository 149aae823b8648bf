"""Encoded images: which format they have, whether they can be decoded, and making PNGs."""

import struct
import zlib
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from scripts.runtime import new_session

JPEG, PNG = 'JPEG', 'PNG'
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# First bytes of files. The name of a file tells less: one JPEG of ImageNet is a PNG.
_SIGNATURES = ((b'\xff\xd8\xff', JPEG), (_PNG_SIGNATURE, PNG), (b'GIF8', 'GIF'),
               (b'BM', 'BMP'), (b'II*\0', 'TIFF'), (b'MM\0*', 'TIFF'), (b'RIFF', 'WebP'))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # Of colour types; 3 is a palette of RGB.
_COLORSPACES = {(JPEG, 1): 'Gray', (JPEG, 3): 'RGB', (JPEG, 4): 'CMYK',
                (PNG, 1): 'Gray', (PNG, 2): 'Gray', (PNG, 3): 'RGB', (PNG, 4): 'RGB'}


class Description(NamedTuple):
  """What a record says about its image."""
  format: str  # JPEG or PNG.
  height: int
  width: int
  channels: int  # As encoded, with opacity; whoever decodes asks for 3.
  colorspace: str  # Gray, RGB or CMYK.


class ImageChecker:
  """A session that decodes images, for many threads: `with ImageChecker() as checker`."""

  def __init__(self):
    with tf.Graph().as_default():
      encoded = tf.placeholder(tf.string, [])
      decoded = tf.shape(tf.image.decode_png(encoded, channels=3))  # Decodes JPEG as well.
      jpeg_shape = tf.image.extract_jpeg_shape(encoded)
      self._session = new_session(use_gpu=False)
      # For small images a plain `run` would take most of the time.
      self._shapes = {kind: self._session.make_callable(fetches, [encoded])
                      for kind, fetches in ((PNG, [decoded]), (JPEG, [decoded, jpeg_shape]))}

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._session.close()

  def describe(self, encoded):
    """Decodes an image and describes it.

    Args:
      encoded: bytes of a JPEG or PNG file.

    Returns:
      `Description`.

    Raises:
      ValueError: it has another format or cannot be decoded; the message says which.
    """
    kind = next((kind for start, kind in _SIGNATURES if encoded.startswith(start)), None)
    if kind not in self._shapes:
      raise ValueError('is no JPEG or PNG image' + (' but a %s' % kind if kind else ''))
    try:
      (height, width, _), *jpeg_shape = self._shapes[kind](encoded)
    except tf.errors.InvalidArgumentError:
      raise ValueError('cannot be decoded as a %s image' % kind)
    channels = int(jpeg_shape[0][2]) if kind == JPEG else _PNG_CHANNELS[encoded[25]]
    return Description(kind, int(height), int(width), channels, _COLORSPACES[kind, channels])


def encode_grey_png(pixels):
  """bytes of a PNG file with the grey values uint8 [height, width]."""
  def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  height, width = pixels.shape
  header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)  # 8 bits, grey, not interlaced.
  rows = b''.join(b'\0' + row.tobytes() for row in pixels)  # Each begins with its filter: none.
  return (_PNG_SIGNATURE + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows, 9))
          + chunk(b'IEND', b''))
