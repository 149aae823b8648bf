"""Measurements on the float network before training: ranges, the cost of noise, inputs."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

import data
from dataset_utils import find_split
from imagenet import label_offset
from scripts import runtime, thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0.network import efficientnet
from scripts.errors import UserError
from scripts.trainer.start import rounding
from scripts.trainer.start.sensitivity import Probe, expected_loss, squared_gradients

MOST_MEMORY = 4e9  # Bytes for the extremes of all tensors.


class Calibration(NamedTuple):
  """A float network and the images that it is measured on."""
  split: Any  # dataset_utils.Split.
  architecture: Any
  weights: Any  # Dict layer -> `LayerWeights` of arrays.
  classes: int
  image_size: int  # Pixels a side.
  batch_size: int
  threads: int
  seed: int
  allow_growth: bool


def new_calibration(options, data_options, architecture, weights, classes, image_size):
  """The `Calibration` on `options.calib_images` training images.

  Args:
    options: `flags.ModelOptions`.
    data_options: `flags.DataOptions`.
    architecture, weights, classes, image_size: see `Calibration`.

  Raises:
    UserError: no such images, or too few for `options.gptq`, see `measure_inputs`.
  """
  split = find_split(data_options.dataset, 'train', options.calib_images)
  if options.gptq and split.count <= data_options.batch_size:
    raise UserError('--gptq: %d images are a single batch, at least two are needed: more '
                    '--calib_images or a smaller --batch_size' % split.count)
  return Calibration(
      split=split, architecture=architecture, weights=weights, classes=classes,
      image_size=image_size, batch_size=data_options.batch_size, threads=data_options.threads,
      seed=data_options.seed, allow_growth=options.allow_growth)


def measure_thresholds(calibration, percentile, path, log):
  """Measures the ranges of all nodes in one pass and writes the thresholds file `path`.

  Args:
    calibration: `Calibration`.
    percentile: see `thresholds.RangeRecorder`.
    path: of the file.
    log: receives lines for the user.
  """
  count = calibration.split.count
  recorder = thresholds.RangeRecorder(percentile, count)
  accumulator = thresholds.RangeAccumulator(recorder.kept)  # Known when the graph is built.

  def build(images, layer_weights):
    efficientnet(images, layer_weights, recorder, calibration.architecture)
    if recorder.memory > MOST_MEMORY:
      raise UserError('--percentile %g: the extremes of %d images would take %.1f GB: fewer '
                      '--calib_images or a higher --percentile'
                      % (percentile, count, recorder.memory / 1e9))
    return recorder.extremes

  for extremes in _over_images(calibration, build, 'measuring ranges'):
    accumulator.add(extremes)
  ranges = accumulator.ranges()
  ranges.update(thresholds.kernel_ranges(calibration.weights, calibration.architecture,
                                         calibration.classes))
  thresholds.write_thresholds(path, ranges)
  log('ranges of %d nodes measured on %d images -> %s' % (len(ranges), count, path))


def measure_noise(calibration, widths):
  """What noise of the whole width of a range costs in each channel.

  Args:
    calibration: `Calibration`.
    widths: dict node -> [C], of all kernels and of what convolutions and swish read.

  Returns:
    Dict node -> [C], see `sensitivity.expected_loss`.
  """
  probe = Probe()

  def build(images, layer_weights):
    logits, _ = efficientnet(images, layer_weights, probe, calibration.architecture)
    return squared_gradients(logits, probe, calibration.seed)

  sums = {}
  for squares in _over_images(calibration, build, 'measuring noise'):
    sums = {name: sums.get(name, 0.0) + values.astype(np.float64)
            for name, values in squares.items()}
  return expected_loss(sums, calibration.split.count, widths)


def measure_inputs(calibration):
  """The inputs of all layers on the images of every other batch, and on the others.

  Args:
    calibration: `Calibration` of two batches or more.

  Returns:
    Two dicts layer -> `rounding.Moments` of arrays.
  """
  def build(images, layer_weights):
    return rounding.input_moments(images, layer_weights, calibration.architecture,
                                  calibration.classes)

  halves = rounding.MomentsAccumulator(), rounding.MomentsAccumulator()
  for index, moments in enumerate(_over_images(calibration, build, 'measuring inputs')):
    halves[index % 2].add(moments)
  return [half.moments() for half in halves]


def _over_images(calibration, build, title):
  """Yields the arrays of `build` for each batch of a `Calibration`.

  Args:
    build: function of images and of the dict layer -> `LayerWeights` that gives tensors.
  """
  split, size = calibration.split, calibration.image_size
  with tf.Graph().as_default():
    with tf.device('/device:CPU:0'):
      iterator = tf.data.make_initializable_iterator(data.evaluation_batches(
          split, calibration.batch_size, size, label_offset(calibration.classes, split.info),
          calibration.threads))
      images, _ = iterator.get_next()
    images.set_shape([None, size, size, 3])
    flat = students.create_weights('float', calibration.architecture, calibration.classes, False)
    results = build(images, students.layer_weights(flat))
    with runtime.new_session(calibration.allow_growth) as session:
      flat.variable.load(students.weight_vector(calibration.weights, calibration.architecture,
                                                calibration.classes), session)
      session.graph.finalize()
      session.run(iterator.initializer)
      total = -(-split.count // calibration.batch_size)
      with data.explained_errors('img_size', split):
        for _ in tqdm.trange(total, desc=title, unit='batch', leave=False):
          yield session.run(results)
