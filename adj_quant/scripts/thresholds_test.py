import json

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from scripts import thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import Architecture, Block
from scripts.errors import UserError
from scripts.testing.network import random_weights

TINY = Architecture('tiny', 32, 8, (Block(1, 3, 1, 8, 4), Block(6, 3, 1, 4, 4)), 16)
IMAGES = np.random.RandomState(5).randint(0, 256, [6, 32, 32, 3]).astype(np.float32)


def recorded(weights, percentile=100.0, batches=(IMAGES,)):
  """Ranges over batches, and the recorded tensors themselves for the last batch."""
  tensors = {}

  class Recorder(thresholds.RangeRecorder):
    def swish_input(self, x, name):
      tensors[name] = x
      return super(Recorder, self).swish_input(x, name)

    def activation(self, x, name):
      tensors[name] = x
      return super(Recorder, self).activation(x, name)

    observe = activation

  with tf.Graph().as_default(), tf.Session() as session:
    images = tf.placeholder(tf.float32, [None, 32, 32, 3])
    flat = students.create_weights('net', TINY, 5, False)
    recorder = Recorder(percentile, sum(map(len, batches)))
    students.efficientnet(images, students.layer_weights(flat), recorder, TINY)
    flat.variable.load(students.weight_vector(weights, TINY, 5), session)
    accumulator = thresholds.RangeAccumulator(recorder.kept)
    for batch in batches:
      extremes, values = session.run([recorder.extremes, tensors], {images: batch})
      accumulator.add(extremes)
  return accumulator.ranges(), values


@pytest.fixture(scope='module')
def weights():
  return random_weights(TINY, 5)


@pytest.fixture(scope='module')
def ranges(weights):
  actual, _ = recorded(weights)
  actual.update(thresholds.kernel_ranges(weights, TINY, 5))
  return actual


def test_minimum_and_maximum_of_every_channel(weights):
  actual, values = recorded(weights)
  assert len(actual) == len(values) == 21
  for name, (low, high) in actual.items():
    flat = values[name].reshape(-1, values[name].shape[-1])
    np.testing.assert_array_equal(low, flat.min(0))
    np.testing.assert_array_equal(high, flat.max(0))


@pytest.mark.parametrize('percentile', [100.0, 99.0])
def test_ranges_do_not_depend_on_the_size_of_batches(weights, percentile):
  whole, _ = recorded(weights, percentile)
  parts, _ = recorded(weights, percentile, (IMAGES[:2], IMAGES[2:3], IMAGES[3:]))
  for name in whole:
    np.testing.assert_allclose(np.concatenate(parts[name]), np.concatenate(whole[name]), atol=1e-5)


def test_percentile_leaves_out_the_extremes(weights):
  actual, values = recorded(weights, percentile=99.0)
  name = 'Conv/output'
  columns = np.sort(values[name].reshape(-1, 8), axis=0)
  left_out = int(len(columns) * 0.01)
  assert left_out == 15
  np.testing.assert_array_equal(actual[name][0], columns[left_out])
  np.testing.assert_array_equal(actual[name][1], columns[-1 - left_out])
  for name in ('Conv/swish_input', 'expanded_conv_0/dws/output'):  # Always exact.
    np.testing.assert_array_equal(actual[name][1], values[name].max((0, 1, 2)))


def test_the_extremes_left_out_may_lie_in_one_batch():
  accumulator = thresholds.RangeAccumulator({'a': 3})
  accumulator.add({'a': (np.float32([[-1, 0]]), np.float32([[2, 3]]))})
  accumulator.add({'a': (np.float32([[-9, -8, -7]]), np.float32([[1, 0, 1]]))})
  assert accumulator.ranges() == {'a': (np.float32([-7]), np.float32([1]))}


def test_a_percentile_needs_the_number_of_images():
  with pytest.raises(ValueError, match='percentile 99 needs the number of images'):
    thresholds.RangeRecorder(99.0)


def test_weight_ranges_are_per_output_channel(weights):
  actual = thresholds.kernel_ranges(weights, TINY, 5)
  kernel = weights['expanded_conv_1/dws'].weights
  np.testing.assert_array_equal(actual['expanded_conv_1/dws/weights'][0], kernel.min((0, 1, 3)))
  kernel = weights['expanded_conv_1/project'].weights
  np.testing.assert_array_equal(actual['expanded_conv_1/project/weights'][1], kernel.max((0, 1, 2)))


def test_files_keep_every_bit(tmp_path, ranges):
  path = str(tmp_path / 't.json')
  thresholds.write_thresholds(path, ranges)
  for name, (low, high) in thresholds.read_thresholds(path).items():
    np.testing.assert_array_equal(low, ranges[name][0])
    np.testing.assert_array_equal(high, ranges[name][1])
  content = json.load(open(path))
  assert set(content['Conv/output']) == {'min', 'max'} and len(content['Conv/output']['min']) == 8


def test_complete_takes_the_file_and_measures_weights(weights, ranges):
  activations = {n: r for n, r in ranges.items() if not n.endswith(('/weights', '/bias'))}
  activations['Conv/weights'] = (np.full([8], -9.0), np.full([8], 9.0))
  actual, derived = thresholds.complete_thresholds(activations, 'f', weights, TINY, 5)
  assert derived == []
  assert np.all(actual['Conv/weights'][1] == 9.0)
  np.testing.assert_array_equal(actual['output/weights'][0], ranges['output/weights'][0])
  assert 'expanded_conv_1/project/output' not in actual  # Quantised after the addition only.


def test_additions_are_derived_from_their_operands(weights, ranges):
  published = {n: r for n, r in ranges.items() if not n.endswith('/add/output')}
  actual, derived = thresholds.complete_thresholds(published, 'f', weights, TINY, 5)
  assert derived == ['expanded_conv_1/add/output']
  for side in (0, 1):
    np.testing.assert_array_equal(
        actual['expanded_conv_1/add/output'][side],
        ranges['expanded_conv_1/project/output'][side] + ranges['expanded_conv_0/project/output'][
            side])


def test_refuses_a_missing_node(weights, ranges):
  short = {n: r for n, r in ranges.items() if n != 'expanded_conv_1/output'}
  with pytest.raises(UserError, match=r'f\.json: no thresholds for expanded_conv_1/output; .* --e'):
    thresholds.complete_thresholds(short, 'f.json', weights, TINY, 5)


def test_refuses_another_number_of_channels(weights, ranges):
  wrong = dict(ranges, **{'Conv/output': (np.zeros([7]), np.ones([7]))})
  with pytest.raises(UserError, match='Conv/output has thresholds for 7 .* the network has 8'):
    thresholds.complete_thresholds(wrong, 'f.json', weights, TINY, 5)


@pytest.mark.parametrize('content, message', [
    ('{', 'not valid JSON'), ('[]', 'one JSON object'),
    ('{"a": {"min": [0]}}', 'node a must hold'), ('{"a": 3}', 'node a must hold'),
    ('{"a": {"min": [0, 1], "max": [1]}}', 'one length'),
    ('{"a": {"min": [-1e300], "max": [1]}}', 'finite'),
    ('{"a": {"min": ["1"], "max": [1]}}', 'must hold'),
    ('{"a": {"min": [true], "max": [1]}}', 'must hold'),
    ('{"a": {"min": [[1]], "max": [[1]]}}', 'must hold'),
    ('{"a": {"min": [2], "max": [1]}}', 'min above its max')])
def test_refuses_malformed_files(tmp_path, content, message):
  path = tmp_path / 't.json'
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    thresholds.read_thresholds(str(path))


def test_refuses_a_missing_file(tmp_path):
  with pytest.raises(UserError, match='cannot read thresholds file .*gone.json: No such file'):
    thresholds.read_thresholds(str(tmp_path / 'gone.json'))


def test_tells_thresholds_of_other_weights(weights, ranges):
  assert thresholds.made_for(ranges, weights, TINY, 5)
  assert not thresholds.made_for(ranges, random_weights(TINY, 5, seed=1), TINY, 5)


def test_bias_ranges_are_those_of_the_bias_whatever_the_file_says(weights, ranges):
  stored = dict(ranges, **{'Conv/bias': (np.float32([-9.0]), np.float32([9.0]))})
  actual, _ = thresholds.complete_thresholds(stored, 'f', weights, TINY, 5)
  bias = weights['Conv'].bias
  np.testing.assert_array_equal(np.concatenate(actual['Conv/bias']), [bias.min(), bias.max()])
