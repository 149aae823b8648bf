"""Tests of encoded images; the Python Imaging Library makes and reads them."""

import io
import warnings

import numpy as np
from PIL import Image
import pytest
import tensorflow.compat.v1 as tf

from datasets import images


@pytest.fixture(name='checker', scope='module')
def image_checker():
  with images.ImageChecker() as checker:
    yield checker


def encoded(mode, kind, **options):
  stream = io.BytesIO()
  Image.new(mode, (7, 5)).save(stream, kind, **options)
  return stream.getvalue()


@pytest.mark.parametrize('mode, kind, channels, colorspace', [
    ('L', 'JPEG', 1, 'Gray'), ('RGB', 'JPEG', 3, 'RGB'), ('CMYK', 'JPEG', 4, 'CMYK'),
    ('L', 'PNG', 1, 'Gray'), ('LA', 'PNG', 2, 'Gray'), ('RGB', 'PNG', 3, 'RGB'),
    ('RGBA', 'PNG', 4, 'RGB'), ('P', 'PNG', 3, 'RGB'), ('1', 'PNG', 1, 'Gray'),
    ('I;16', 'PNG', 1, 'Gray'), ('RGB', 'GIF', 3, 'RGB'), ('L', 'GIF', 3, 'RGB')])
def test_images_are_described_as_they_are_encoded(checker, mode, kind, channels, colorspace):
  assert checker.describe(encoded(mode, kind)) == (kind, 5, 7, channels, colorspace)


def animation(frames):
  grey = [Image.new('L', (7, 5), 40 * number) for number in range(frames)]
  stream = io.BytesIO()
  grey[0].save(stream, 'GIF', save_all=True, append_images=grey[1:])
  return stream.getvalue()


REFUSED = {
    'BMP': (encoded('RGB', 'BMP'), 'is a BMP image, not a JPEG, PNG or GIF$'),
    'TIFF': (encoded('RGB', 'TIFF'), 'is a TIFF image, not a JPEG, PNG or GIF$'),
    'animation': (animation(3), 'is an animated GIF of 3 frames$'),
    'text': (b'text', 'is not a JPEG, PNG or GIF image$'),
    'nothing': (b'', 'is not a JPEG, PNG or GIF image$'),
    'half a JPEG': (encoded('RGB', 'JPEG')[:300], 'cannot be decoded as a JPEG image'),
    'most of a PNG': (encoded('RGB', 'PNG')[:-20], 'cannot be decoded as a PNG image'),
    'start of a PNG': (encoded('RGB', 'PNG')[:20], 'cannot be decoded as a PNG image'),
    'half a GIF': (encoded('RGB', 'GIF')[:30], 'cannot be decoded as a GIF image')}


@pytest.mark.parametrize('data, message', list(REFUSED.values()), ids=list(REFUSED))
def test_others_are_refused(checker, data, message):
  with pytest.raises(ValueError, match=message):
    checker.describe(data)
  with pytest.raises(ValueError, match=message):
    checker.prepare(data)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_records_keep_the_bytes_of_upright_images(checker, kind):
  data = encoded('RGB', kind)
  assert checker.prepare(data) == (data, (kind, 5, 7, 3, 'RGB'))


def test_a_still_gif_becomes_a_png_of_the_pixels_that_tensorflow_decodes(checker):
  colours = np.random.RandomState(0).randint(0, 256, [5, 7, 3]).astype(np.uint8)
  stream = io.BytesIO()
  Image.fromarray(colours).save(stream, 'GIF')
  data, description = checker.prepare(stream.getvalue())
  assert description == ('PNG', 5, 7, 3, 'RGB') and checker.describe(data) == description
  with tf.Graph().as_default(), tf.Session() as session:
    png, gif = session.run([tf.image.decode_png(image, channels=3)
                            for image in (data, stream.getvalue())])
  np.testing.assert_array_equal(png, gif)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_the_description_is_that_of_the_upright_image(checker, kind):
  exif = Image.Exif()
  exif[0x0112] = 6
  data, description = checker.prepare(encoded('RGB', kind, exif=exif))
  assert description == (kind, 7, 5, 3, 'RGB') and checker.describe(data) == description


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')  # Pytest drops the filter of `checker`.
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'GIF'])
def test_mutated_images_are_described_or_refused(checker, kind):
  exif = Image.Exif()
  exif[0x0112] = 8
  data = encoded('RGB', kind, **({} if kind == 'GIF' else {'exif': exif}))
  random = np.random.RandomState(0)
  for _ in range(100):
    mutated = bytearray(data)
    for position in random.randint(0, len(data), [2]):
      mutated[position] = random.randint(0, 256)
    try:
      assert checker.prepare(bytes(mutated))[1].format in ('JPEG', 'PNG')
    except ValueError as error:
      assert len(str(error)) < 200


def test_broken_exif_data_do_not_reach_the_terminal(checker):
  with warnings.catch_warnings(record=True) as heard:
    with images.ImageChecker() as quiet:
      data = encoded('RGB', 'PNG', exif=b'Exif\0\0MM\0\x2a\0\0\0\x08\0\x09\x01\x12')
      assert quiet.prepare(data)[0] == data
  assert not heard


def test_a_grey_png_holds_the_pixels(checker):
  pixels = np.random.RandomState(0).randint(0, 256, [28, 20]).astype(np.uint8)
  data = images.encode_grey_png(pixels)
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(data))), pixels)
  assert checker.describe(data) == ('PNG', 28, 20, 1, 'Gray')
