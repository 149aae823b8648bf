"""Tests of encoded images; the Python Imaging Library makes and reads them."""

import io

import numpy as np
from PIL import Image
import pytest

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
    ('I', 'PNG', 1, 'Gray')])
def test_images_are_described_as_they_are_encoded(checker, mode, kind, channels, colorspace):
  assert checker.describe(encoded(mode, kind)) == (kind, 5, 7, channels, colorspace)


@pytest.mark.parametrize('data, message', [
    (encoded('RGB', 'GIF'), 'is no JPEG or PNG image but a GIF'),
    (encoded('RGB', 'BMP'), 'is no JPEG or PNG image but a BMP'),
    (encoded('RGB', 'TIFF'), 'is no JPEG or PNG image but a TIFF'),
    (b'text', 'is no JPEG or PNG image$'), (b'', 'is no JPEG or PNG image$'),
    (encoded('RGB', 'JPEG')[:300], 'cannot be decoded as a JPEG image'),
    (encoded('RGB', 'PNG')[:-20], 'cannot be decoded as a PNG image'),
    (encoded('RGB', 'PNG')[:20], 'cannot be decoded as a PNG image')])
def test_others_are_refused(checker, data, message):
  with pytest.raises(ValueError, match=message):
    checker.describe(data)


def test_a_grey_png_holds_the_pixels(checker):
  pixels = np.random.RandomState(0).randint(0, 256, [28, 20]).astype(np.uint8)
  data = images.encode_grey_png(pixels)
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(data))), pixels)
  assert checker.describe(data) == ('PNG', 28, 20, 1, 'Gray')
