"""Records of the benchmark: labels are the float network's choices."""

import numpy as np

from dataset_utils import find_split
from scripts.bench import records
from scripts.testing.bench import tiny_networks


def test_random_images():
  images = records.random_images(2, seed=3)
  assert images.shape == (2, 384, 512, 3) and images.dtype == np.uint8
  np.testing.assert_array_equal(images, records.random_images(2, seed=3))
  assert (images[0] != images[1]).any() and (images[0, :16, :16] == images[0, 0, 0]).all()


def test_float_network_is_right(tmp_path, monkeypatch):
  monkeypatch.setattr(records, 'IMAGES', {'train': 3, 'validation': 2})
  written = []
  write = records.write_records
  monkeypatch.setattr(records, 'write_records', lambda *args: written.append(args) or write(*args))
  networks = tiny_networks()
  records.write(str(tmp_path), networks)
  for split, count in (('train', 3), ('validation', 2)):
    dataset = find_split(str(tmp_path), split)
    labels = [args for args in written if args[1] == split][-1][3]
    assert dataset.count == count
    np.testing.assert_array_equal(records.float_choices(dataset, networks), labels - 1)
