"""Turns images upright according to the orientation in their EXIF data.

Cameras store the pixels as the sensor gave them and note how to hold the picture: EXIF 2.3 (JEITA
CP-3451C), tag 0x0112. Viewers obey the note; TensorFlow decodes the pixels alone.
"""

import io
import struct

from PIL import Image

_TAG = 0x0112
_TURNS = {2: Image.FLIP_LEFT_RIGHT, 3: Image.ROTATE_180, 4: Image.FLIP_TOP_BOTTOM,
          5: Image.TRANSPOSE, 6: Image.ROTATE_270, 7: Image.TRANSVERSE, 8: Image.ROTATE_90}
# Where a JPEG or PNG holds EXIF data; looking for them takes less time than opening the image.
_MARKS = (b'Exif\0\0', b'eXIf', b'Raw profile type exif', b'XML:com.adobe.xmp')
# What Pillow raises of files that TensorFlow decodes: their EXIF data may be any bytes.
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error,
           Image.DecompressionBombError)


def orientation(encoded):
  """The EXIF orientation of an image.

  Args:
    encoded: bytes of a JPEG or PNG file.

  Returns:
    1 to 8; 1, upright, also where there is none or it cannot be read.
  """
  if not any(mark in encoded for mark in _MARKS):
    return 1
  try:
    value = _open(encoded).getexif().get(_TAG)
    return value if value in _TURNS else 1
  except _FAULTS:
    return 1


def upright(encoded):
  """The image as a viewer shows it, without EXIF data.

  Args:
    encoded: bytes of a JPEG or PNG file.

  Returns:
    The same bytes where the orientation is 1. Else those of a new file of the same format: a PNG
    has the same pixels, a JPEG is re-encoded (quality 95, colours at full resolution).

  Raises:
    ValueError: the image cannot be turned; the message says why.
  """
  turn = _TURNS.get(orientation(encoded))
  if turn is None:
    return encoded
  stream = io.BytesIO()
  try:
    image = _open(encoded)
    kind = 'PNG' if image.format == 'PNG' else 'JPEG'  # An MPO is a JPEG with others behind it.
    options = {} if kind == 'PNG' else {
        'quality': 95, 'subsampling': 0, 'icc_profile': image.info.get('icc_profile')}
    image.transpose(turn).save(stream, kind, exif=b'', **options)
  except _FAULTS as error:
    raise ValueError('cannot be turned upright: %s' % error)
  return stream.getvalue()


def _open(encoded):
  return Image.open(io.BytesIO(encoded), formats=('JPEG', 'PNG'))
