"""Tests of checking records."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dataset_utils import record_spans
from datasets import check_records, images, record_check
from imagenet import DatasetInfo
import imagenet
import record_names
from scripts import image_records
from scripts.errors import UserError
from scripts.testing.network import run_script

INFO = DatasetInfo('four', classes=4, first_label=1)
MINI = os.path.join(os.path.dirname(__file__), '..', '..', '..', 'shared', 'imagenet_mini')
PNGS = image_records.encode(
    np.arange(9, dtype=np.uint8)[:, None, None, None] * np.ones([6, 5, 3], np.uint8), 'png')


@pytest.fixture(name='folder')
def nine_images(tmp_path):
  """Six training images of the labels 1, 1, 1, 2, 2, 3 in two files, three others to validate."""
  imagenet.write_info(tmp_path, INFO)
  image_records.write_examples(tmp_path, 'train', [
      image_records.example(png, label) for png, label in zip(PNGS, [1, 1, 1, 2, 2, 3])], 2)
  image_records.write_examples(tmp_path, 'validation', [
      image_records.example(png, 4) for png in PNGS[6:]])
  return tmp_path


def path(folder, shard=0):
  return str(folder / ('train-%05d-of-00002' % shard))


def check(folder, decode=True):
  with images.ImageChecker() as checker:
    return record_check.check_folder(str(folder), checker if decode else None, threads=2)


def damage(name, offset, data):
  with open(name, 'r+b') as stream:
    stream.seek(offset)
    stream.write(data)


def test_counts_of_a_good_set(folder):
  report = check(folder)
  assert report.info == INFO and not report.faults
  assert list(report.splits) == ['train', 'validation']
  assert report.splits['train'][:2] == (2, 6) and report.splits['validation'][:2] == (1, 3)
  assert report.splits['train'].class_counts.tolist() == [3, 2, 1, 0]
  assert report.splits['validation'].class_counts.tolist() == [0, 0, 0, 3]
  assert report.duplicates == {'within splits': [], 'across splits': []}


def test_all_faults_are_found(folder):
  spans = [list(record_spans(path(folder, shard))) for shard in (0, 1)]
  damage(path(folder), spans[0][0][1] - 1, b'\xff')  # Of the first record; two good ones follow.
  damage(path(folder, 1), spans[1][1][0] - 4, b'\xff')  # Of a length.
  os.truncate(path(folder, 1), spans[1][2][1] - 1)
  image_records.write_examples(folder, 'validation', [
      image_records.example(PNGS[6], 5), b'\xff\xff', image_records.example(PNGS[7][:40], 2),
      image_records.example(PNGS[8], 3)])
  report = check(folder)
  validation = str(folder / 'validation-00000-of-00001')
  assert [fault.split(' (byte ')[0] for fault in report.faults] == [
      path(folder) + ': record 0', path(folder, 1) + ': record 1',
      path(folder, 1) + ': the record at byte %d is truncated or this is not a TFRecord file: copy '
      'or make the file again' % (spans[1][2][0] - 12),
      validation + ': record 0', validation + ': record 1', validation + ': record 2']
  for number, words in ((0, 'fails its checksum'), (1, 'fails its checksum'),
                        (3, 'has the label 5, outside 1 to 4'), (4, 'is not a tf.train.Example'),
                        (5, 'holds an image that cannot be decoded as a PNG image')):
    assert words in report.faults[number]
  assert report.splits['train'].class_counts.tolist() == [2, 1, 0, 0]
  assert report.splits['validation'].class_counts.tolist() == [0, 0, 1, 0]
  assert [split.records for split in report.splits.values()] == [5, 4]


def test_images_are_decoded_only_when_asked(folder):
  image_records.write_examples(folder, 'validation', [image_records.example(b'none', 1)])
  assert not check(folder, decode=False).faults
  assert 'holds an image that is not a JPEG, PNG or GIF image' in check(folder).faults[0]


def test_missing_and_empty_files_are_faults_and_the_others_are_read(folder):
  os.remove(path(folder))
  (folder / 'validation-00000-of-00001').write_bytes(b'')
  report = check(folder)
  assert report.faults[0].startswith('1 of the 00002 files of train are missing')
  assert report.faults[1] == '%s is empty' % (folder / 'validation-00000-of-00001')
  assert report.splits['train'][:2] == (1, 3)


def test_a_broken_link_and_a_compressed_file_are_faults_and_the_others_are_read(folder):
  os.remove(path(folder))
  os.symlink('nowhere', path(folder))
  validation = folder / 'validation-00000-of-00001'
  validation.write_bytes(gzip.compress(validation.read_bytes()))
  report = check(folder)
  assert report.faults[0] == 'cannot read %s: No such file or directory' % path(folder)
  assert report.faults[1].startswith('%s is compressed with GZIP: decompress all' % validation)
  assert report.splits['train'][:2] == (2, 3) and len(report.faults) == 2


def test_records_that_the_description_counts_but_are_not_there_are_a_fault(folder):
  imagenet.write_info(folder, INFO, {'train': 6, 'validation': 4})
  assert check(folder).faults == [
      '%s holds 3 records of validation, but its dataset.json says 4: copy or make the files again'
      % folder]


def test_the_same_images_are_found(folder):
  image_records.write_examples(folder, 'validation', [
      image_records.example(PNGS[number], 1) for number in (7, 2, 7)])
  report = check(folder)
  validation = str(folder / 'validation-00000-of-00001')
  assert report.duplicates == {
      'within splits': ['%s record 0 and %s record 2' % (validation, validation)],
      'across splits': ['%s record 2 and %s record 1' % (path(folder), validation)]}
  assert not report.faults


def test_files_of_any_name_are_a_split(folder):
  os.rename(str(folder / 'validation-00000-of-00001'), str(folder / 'validation-all'))
  (folder / 'test-00000-of-00001.tfrecord').write_bytes((folder / 'validation-all').read_bytes())
  assert record_names.split_names(str(folder)) == ['test', 'train', 'validation']
  assert check(folder).splits['test'].records == 3


def test_the_script_prints_and_writes_what_it_found(folder):
  outcome = run_script(check_records.main, [folder, '--decode', '--json_out', folder / 'r.json'])
  assert outcome.status == 0
  assert outcome.out.splitlines() == [
      '%s: "four", labels 1 to 4' % folder,
      'train: 6 good images of 6 records in 2 files',
      '  classes with images: 3 of 4; images a class: 0 to 3, 1.50 on average',
      '  labels without images: 4',
      'validation: 3 good images of 3 records in 1 files',
      '  classes with images: 1 of 4; images a class: 0 to 3, 0.75 on average',
      '  labels without images: 1, 2, 3',
      'same images within splits: 0', 'same images across splits: 0', 'faults: 0']
  actual = json.loads((folder / 'r.json').read_text())
  assert actual['splits']['train'] == {
      'files': 2, 'records': 6, 'images': 6, 'class_counts': [3, 2, 1, 0],
      'images_per_class': {'min': 0, 'max': 3, 'mean': 1.5}}
  assert actual['info']['name'] == 'four' and actual['faults'] == []


def test_the_script_lists_the_first_faults_and_ends_with_status_2(folder):
  image_records.write_examples(folder, 'validation', [image_records.example(b'x', 9)] * 30)
  outcome = run_script(check_records.main, [folder, '--json_out', folder / 'r.json'])
  assert outcome.status == 2
  assert outcome.out.splitlines()[-1] == '  ... and 10 more (--json_out lists all)'
  assert outcome.out.count('has the label 9') == 20
  assert len(json.loads((folder / 'r.json').read_text())['faults']) == 30


def test_refusals(tmp_path):
  with pytest.raises(UserError, match='no files train-00000-of-00008 or the like in'):
    check(tmp_path)
  assert 'cannot read the data folder' in run_script(check_records.main, [tmp_path / 'x']).error
  assert run_script(check_records.main, [tmp_path, '--num_threads=0']).error == (
      'error: --num_threads must be at least 1, not 0')


def test_every_script_runs_from_any_folder(tmp_path):
  here = os.path.dirname(os.path.abspath(__file__))
  scripts = ['build_fashion_mnist.py', 'build_image_folder.py', 'build_imagenet_data.py',
             'check_records.py', 'make_fashion_mnist_subset.py']
  running = [subprocess.Popen([sys.executable, os.path.join(here, script), '--help'],
                              cwd=str(tmp_path), stdout=subprocess.PIPE) for script in scripts]
  for script, process in zip(scripts, running):
    out, _ = process.communicate()
    assert process.returncode == 0 and out.decode().startswith('usage: %s [--flag=' % script)


@pytest.mark.skipif(not os.path.isdir(MINI), reason='needs ../shared/imagenet_mini')
def test_real_records():
  report = check(MINI, decode=False)
  assert not report.faults and not any(report.duplicates.values())
  assert [split.records for split in report.splits.values()] == [1749, 1000]
  assert np.min(report.splits['train'].class_counts) == 1
  assert np.count_nonzero(report.splits['validation'].class_counts) == 430
