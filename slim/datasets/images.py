"""Encoded images: which format they have, whether they can be decoded, and making PNGs.

JPEG, PNG and still GIF images are read, as by training and evaluation (`tf.image.decode_png`
decodes all three). An animated GIF is a fault everywhere.
"""

import re
import struct
import warnings
import zlib
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from datasets.orientation import orientation, upright
from scripts.runtime import new_session

JPEG, PNG, GIF = 'JPEG', 'PNG', 'GIF'
_PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
# First bytes of files. The name of a file tells less: one JPEG of ImageNet is a PNG.
_SIGNATURES = ((b'\xff\xd8\xff', JPEG), (_PNG_SIGNATURE, PNG), (b'GIF8', GIF),
               (b'BM', 'BMP'), (b'II*\0', 'TIFF'), (b'MM\0*', 'TIFF'), (b'RIFF', 'WebP'))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # Of colour types; 3 is a palette of RGB.
_COLORSPACES = {(JPEG, 1): 'Gray', (JPEG, 3): 'RGB', (JPEG, 4): 'CMYK',
                (PNG, 1): 'Gray', (PNG, 2): 'Gray', (PNG, 3): 'RGB', (PNG, 4): 'RGB',
                (GIF, 3): 'RGB'}
_ANIMATED = re.compile(r'Got (\d+) frames')  # In TensorFlow's error.


class Description(NamedTuple):
  """What a record says about its image."""
  format: str  # JPEG, PNG or GIF.
  height: int
  width: int
  channels: int  # As encoded, with opacity; whoever decodes asks for 3.
  colorspace: str  # Gray, RGB or CMYK.


def image_format(encoded):
  """The format that the first bytes of a file tell, such as 'JPEG'; None for any other file."""
  return next((kind for start, kind in _SIGNATURES if encoded.startswith(start)), None)


class ImageChecker:
  """A session that decodes images, for many threads: `with ImageChecker() as checker`."""

  def __init__(self):
    with tf.Graph().as_default():
      encoded = tf.placeholder(tf.string, [])
      pixels = tf.image.decode_png(encoded, channels=3)  # Decodes JPEG and still GIF as well.
      shape = tf.shape(pixels)
      jpeg_shape = tf.image.extract_jpeg_shape(encoded)
      self._session = new_session(use_gpu=False)
      # For small images a plain `run` would take most of the time.
      self._shapes = {kind: self._session.make_callable(fetches, [encoded]) for kind, fetches in (
          (PNG, [shape]), (GIF, [shape]), (JPEG, [shape, jpeg_shape]))}
      self._as_png = self._session.make_callable(tf.image.encode_png(pixels), [encoded])

    self._warnings = warnings.catch_warnings()

  def __enter__(self):
    self._warnings.__enter__()
    warnings.filterwarnings('ignore', module='PIL')  # About EXIF data, which may be any bytes.
    return self

  def __exit__(self, *_):
    self._warnings.__exit__()
    self._session.close()

  def describe(self, encoded):
    """Decodes an image and describes it.

    Args:
      encoded: bytes of a JPEG, PNG or still GIF file.

    Returns:
      `Description`.

    Raises:
      ValueError: it has another format or cannot be decoded; the message says which.
    """
    kind = image_format(encoded)
    if kind not in self._shapes:
      raise ValueError('is a %s image, not a JPEG, PNG or GIF' % kind if kind
                       else 'is not a JPEG, PNG or GIF image')
    try:
      (height, width, _), *jpeg_shape = self._shapes[kind](encoded)
    except tf.errors.InvalidArgumentError as error:
      frames = _ANIMATED.search(error.message)
      raise ValueError('is an animated GIF of %s frames' % frames.group(1) if frames
                       else 'cannot be decoded as a %s image' % kind)
    channels = int(jpeg_shape[0][2]) if kind == JPEG else (
        _PNG_CHANNELS[encoded[25]] if kind == PNG else 3)
    return Description(kind, int(height), int(width), channels, _COLORSPACES[kind, channels])

  def prepare(self, encoded):
    """What a record holds of an image: a JPEG or PNG whose pixels are upright.

    Args:
      encoded: as for `describe`.

    Returns:
      (bytes, their `Description`). The bytes are the same unless the image is a GIF, which becomes
      a PNG of the same pixels, or is to be turned, see `orientation.upright`.

    Raises:
      ValueError: as `describe`; or the image cannot be turned.
    """
    description = self.describe(encoded)
    if description.format == GIF:
      encoded = self._as_png(encoded)
    elif orientation(encoded) != 1:
      encoded = upright(encoded)
    else:
      return encoded, description
    return encoded, self.describe(encoded)


def encode_grey_png(pixels):
  """bytes of a PNG file with the grey values uint8 [height, width]."""
  def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  height, width = pixels.shape
  header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)  # 8 bits, grey, not interlaced.
  rows = b''.join(b'\0' + row.tobytes() for row in pixels)  # Each begins with its filter: none.
  return (_PNG_SIGNATURE + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows, 9))
          + chunk(b'IEND', b''))
