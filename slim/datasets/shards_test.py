"""Tests of writing shards."""

import json
import os
import resource

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dataset_utils import record_spans
from datasets import shards
from scripts import image_records
from scripts.errors import UserError

PNGS = image_records.encode(
    np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones([6, 5, 3], np.uint8), 'png')
IMAGES = [shards.LabelledImage('in/%d.png' % index, index % 3, 'class %d' % (index % 3), 100)
          for index in range(10)]
OPTIONS = shards.Options(shards=4, threads=2)


def write(folder, images=tuple(IMAGES), pngs=tuple(PNGS), **options):
  return shards.write_split(str(folder), 'train', list(images), lambda index: pngs[index],
                            OPTIONS._replace(**options))


def contents(folder):
  """Dict name -> bytes of the files in a folder."""
  return {entry.name: open(entry.path, 'rb').read() for entry in os.scandir(str(folder))}


def records(folder, number=4):
  """List of the features of all records, as dicts of values."""
  rows = []
  for path in shards.shard_paths(str(folder), 'train', number):
    for data in tf.python_io.tf_record_iterator(path):
      features = tf.train.Example.FromString(data).features.feature
      rows.append({key: (value.bytes_list.value or value.int64_list.value)[0]
                   for key, value in features.items()})
  return rows


def names(folder, number=4):
  return [record['image/filename'] for record in records(folder, number)]


def test_a_record_has_the_standard_keys(tmp_path):
  assert write(tmp_path) == 10
  assert records(tmp_path)[7] == {
      'image/encoded': PNGS[7], 'image/format': b'PNG', 'image/height': 6, 'image/width': 5,
      'image/channels': 3, 'image/colorspace': b'RGB', 'image/class/label': 1,
      'image/class/text': b'class 1', 'image/filename': b'7.png'}


def test_images_are_divided_evenly_in_order_or_shuffled(tmp_path):
  write(tmp_path / 'ordered')
  assert names(tmp_path / 'ordered') == [b'%d.png' % index for index in range(10)]
  sizes = [sum(1 for _ in tf.python_io.tf_record_iterator(path))
           for path in shards.shard_paths(str(tmp_path / 'ordered'), 'train', 4)]
  assert sizes == [3, 3, 2, 2]
  write(tmp_path / 'shuffled', seed=0)
  write(tmp_path / 'other', seed=1)
  orders = [names(tmp_path / folder) for folder in ('ordered', 'shuffled', 'other')]
  assert len(set(map(tuple, orders))) == 3 and len(set(map(frozenset, orders))) == 1


def test_the_same_input_gives_the_same_bytes(tmp_path):
  for folder, threads in (('a', 1), ('b', 3)):
    write(tmp_path / folder, seed=5, threads=threads)
  assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
  assert set(contents(tmp_path / 'a')) == {'train.manifest.json'} | {
      'train-%05d-of-00004' % shard for shard in range(4)}


def test_finished_shards_are_kept_and_missing_ones_made(tmp_path):
  write(tmp_path, seed=5)
  before = contents(tmp_path)
  os.remove(str(tmp_path / 'train-00001-of-00004'))
  (tmp_path / '.unfinished-train-00003-of-00008').write_bytes(b'of a run that was killed')
  kept = os.stat(str(tmp_path / 'train-00000-of-00004'))
  assert write(tmp_path, seed=5) == 10
  assert contents(tmp_path) == before
  assert os.stat(str(tmp_path / 'train-00000-of-00004')) == kept


@pytest.mark.parametrize('cut', [-5, 0], ids=['inside a record', 'between two'])
def test_a_shard_that_was_cut_is_made_again(tmp_path, cut):
  write(tmp_path, seed=5)
  before = contents(tmp_path)
  path = str(tmp_path / 'train-00002-of-00004')
  second_begins = list(record_spans(path))[1][0] - 12  # Its length and checksum.
  os.truncate(path, second_begins + cut)
  assert write(tmp_path, seed=5) == 10
  assert contents(tmp_path) == before


def test_nothing_is_read_when_all_is_there(tmp_path):
  write(tmp_path)
  assert shards.write_split(str(tmp_path), 'train', IMAGES, None, OPTIONS) == 10


@pytest.mark.parametrize('images, options, message', [
    (IMAGES, {'seed': 1}, 'seed None, now 1'),
    (IMAGES, {'shards': 2}, 'shards 4, now 2'),
    (IMAGES[:9], {}, 'images 10, now 9, inputs_sha256'),
    (IMAGES[:9] + [IMAGES[9]._replace(stamp=101)], {}, '(inputs_sha256'),
    (IMAGES[:9] + [IMAGES[9]._replace(label=2)], {}, '(inputs_sha256'),
])
def test_shards_of_other_images_or_options_are_refused(tmp_path, images, options, message):
  write(tmp_path)
  before = contents(tmp_path)
  with pytest.raises(UserError) as error:
    write(tmp_path, images, **options)
  assert message in str(error.value) and '--overwrite' in str(error.value)
  assert contents(tmp_path) == before
  write(tmp_path, images, overwrite=True, **options)
  assert len(names(tmp_path, options.get('shards', 4))) == len(images)
  assert len(contents(tmp_path)) == 1 + options.get('shards', 4)


def test_shards_with_photos_on_their_side_are_refused(tmp_path):
  write(tmp_path)
  manifest = json.loads((tmp_path / 'train.manifest.json').read_text())
  del manifest['upright']  # As versions before wrote it.
  (tmp_path / 'train.manifest.json').write_text(json.dumps(manifest))
  with pytest.raises(UserError, match=r'\(upright None, now True\): write to another folder, or'):
    write(tmp_path)


def test_shards_without_a_manifest_are_refused(tmp_path):
  (tmp_path / 'train-00000-of-00001').write_bytes(b'of someone else')
  with pytest.raises(UserError, match='without a manifest'):
    write(tmp_path)


def bad_images(index, data):
  pngs = list(PNGS)
  pngs[index] = data
  return pngs


def test_a_bad_image_is_named_and_what_is_finished_is_kept(tmp_path):
  with pytest.raises(UserError, match=r'^in/8.png is a BMP image, not a .* \(--skip_bad'):
    write(tmp_path, pngs=bad_images(8, b'BMP'), threads=1)
  assert set(contents(tmp_path)) == {'train.manifest.json', 'train-00000-of-00004',
                                     'train-00001-of-00004', 'train-00002-of-00004'}
  assert write(tmp_path) == 10


def test_bad_images_are_left_out_and_listed(tmp_path, capsys):
  assert write(tmp_path, pngs=bad_images(8, PNGS[8][:40]), skip_bad=True) == 9
  assert b'8.png' not in names(tmp_path)
  assert 'left out: in/8.png cannot be decoded as a PNG image\n' in capsys.readouterr().err


def test_a_shard_of_bad_images_alone_is_refused(tmp_path):
  with pytest.raises(UserError, match='no image of .*train-00000-of-00001 can be read'):
    write(tmp_path, IMAGES[:1], [b'bad'], shards=1, skip_bad=True)


def test_more_files_than_images_are_refused(tmp_path):
  with pytest.raises(UserError, match='10 images of train cannot fill 11 files: choose 1 to 10'):
    write(tmp_path, shards=11)


def test_an_unwritable_folder_is_refused(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write to the folder .*file'):
    write(tmp_path / 'file')


def test_a_folder_and_images_whose_names_are_not_utf8(tmp_path):
  folder = os.fsdecode(os.fsencode(str(tmp_path)) + b'/m\xe9d')
  images = [image._replace(path='in/\udce9%d.png' % index, text='caf\udce9')
            for index, image in enumerate(IMAGES)]
  assert write(folder, images) == 10
  assert set(os.listdir(os.fsencode(folder))) == {b'train.manifest.json'} | {
      b'train-%05d-of-00004' % shard for shard in range(4)}
  os.rename(os.fsencode(folder), str(tmp_path / 'med'))
  record = records(tmp_path / 'med')[3]
  assert (record['image/filename'], record['image/class/text']) == (b'\xe93.png', b'caf\xe9')


def test_a_full_disk_is_told_and_leaves_no_part(tmp_path):
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
  try:
    with pytest.raises(UserError, match='cannot write .*train-0000.-of-00004: File too large'):
      write(tmp_path)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert set(contents(tmp_path)) == {'train.manifest.json'}


def test_ctrl_c_stops_all_threads(tmp_path):
  def read(index):
    if index == 5:
      raise KeyboardInterrupt
    return PNGS[index]

  with pytest.raises(KeyboardInterrupt):
    shards.write_split(str(tmp_path), 'train', IMAGES, read, OPTIONS)
  assert not [name for name in contents(tmp_path) if name.startswith('.')]
  assert write(tmp_path) == 10
