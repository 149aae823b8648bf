"""Tests of turning images upright; the Python Imaging Library makes them and shows them."""

import io

import numpy as np
from PIL import Image, ImageOps
import pytest
import tensorflow.compat.v1 as tf

from datasets.orientation import orientation, upright

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning:PIL')
TAG = 0x0112
# Quarters of four colours, of sides that differ: 32 x 16 pixels.
COLOURS = [(255, 0, 0), (0, 160, 0), (0, 0, 255), (230, 230, 230)]
PICTURE = np.kron(np.uint8(COLOURS).reshape(2, 2, 3), np.ones([8, 16, 1], np.uint8))


def encoded(kind, number, mode='RGB', **options):
  """The picture with an EXIF orientation, the number 1 to 8 or any bytes in place of the EXIF."""
  exif = number
  if isinstance(number, int):
    exif = Image.Exif()
    exif[TAG] = number
  if kind == 'JPEG':
    options.update(quality=100, subsampling=0)
  stream = io.BytesIO()
  Image.fromarray(PICTURE).convert(mode).save(stream, kind, exif=exif, **options)
  return stream.getvalue()


def decode(*files):
  """What TensorFlow decodes of each."""
  with tf.Graph().as_default(), tf.Session() as session:
    return session.run([tf.cast(tf.image.decode_png(data, channels=3), tf.int32)
                        for data in files])


def turned(pixels, number):
  """The pixels as EXIF's specification says: where row 0 and column 0 of the file are shown."""
  shown = {1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}
  across = pixels.transpose(1, 0, 2)  # Row 0 of the file is the left (or right) side.
  shown.update({5: across, 6: across[:, ::-1], 7: across[::-1, ::-1], 8: across[::-1]})
  return shown[number]


@pytest.mark.parametrize('kind, mode', [
    ('PNG', 'RGB'), ('PNG', 'RGBA'), ('PNG', 'P'), ('PNG', 'L'), ('PNG', 'LA'), ('PNG', '1'),
    ('JPEG', 'RGB'), ('JPEG', 'L'), ('JPEG', 'CMYK')])
@pytest.mark.parametrize('number', range(1, 9))
def test_all_orientations(kind, mode, number):
  data = encoded(kind, number, mode)
  assert orientation(data) == number
  after = upright(data)
  assert orientation(after) == 1 and upright(after) == after
  before, pixels = decode(data, after)
  expected = turned(before, number)
  assert pixels.shape == expected.shape
  # Within the flat blocks of 8 x 8 pixels a JPEG is off by the rounding of its colours.
  assert np.max(np.abs(pixels - expected)) <= (0 if kind == 'PNG' else 6)
  if kind == 'PNG':
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB')
    np.testing.assert_array_equal(pixels, np.array(shown))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_an_upright_image_keeps_its_bytes(kind):
  for data in (encoded(kind, 1), encoded(kind, b'')):
    assert upright(data) is data


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
@pytest.mark.parametrize('exif', [
    b'Exif\0\0', b'Exif\0\0II*\0', b'Exif\0\0XX\0\0\0\0\0\0\0\0', b'Exif\0\0MM\0*\0\0\xff\xff',
    b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12', 0, 9, 255])
def test_without_an_orientation_that_can_be_read_nothing_is_turned(kind, exif):
  data = encoded(kind, exif)
  assert orientation(data) == 1 and upright(data) is data


def test_no_bytes_end_in_a_traceback():
  random = np.random.RandomState(0)
  for kind, mark in (('JPEG', b'Exif'), ('PNG', b'eXIf')):
    data = encoded(kind, 6)
    for _ in range(200):
      mutated = bytearray(data)
      for position in random.randint(0, 40, [3]):
        mutated[data.index(mark) + position] = random.randint(0, 256)
      try:
        upright(bytes(mutated))
      except ValueError as error:
        assert str(error).startswith('cannot be turned upright: ')


def test_a_profile_of_colours_is_kept():
  data = encoded('JPEG', 8, icc_profile=b'a profile')
  assert Image.open(io.BytesIO(upright(data))).info['icc_profile'] == b'a profile'


def test_an_image_that_cannot_be_turned_is_told():
  data = encoded('JPEG', 3)
  with pytest.raises(ValueError, match='cannot be turned upright: image file is truncated'):
    upright(data[:data.index(b'\xff\xda') + 30])  # The start of the pixels.
