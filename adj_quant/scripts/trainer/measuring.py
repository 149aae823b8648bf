"""What is measured on the float network before training: ranges, the cost of noise, inputs."""

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

import data
from dataset_utils import find_split
from imagenet import label_offset
from scripts import thresholds
from scripts.effnetb0 import student as students
from scripts.effnetb0.network import efficientnet
from scripts.errors import UserError
from scripts.trainer import checkpoints, rounding
from scripts.trainer.sensitivity import Probe, expected_loss, squared_gradients

MOST_MEMORY = 4e9  # Bytes for the extremes of all tensors.


def measure_thresholds(options, data_options, float_network, image_size, log):
  """Measures the ranges of all nodes in one pass and writes the thresholds file.

  Args:
    options: `flags.ModelOptions`.
    data_options: `flags.DataOptions`.
    float_network: (architecture, weights, classes).
    image_size: pixels a side.
    log: receives lines for the user.
  """
  architecture, weights, classes = float_network
  split = find_split(data_options.dataset, 'train', options.calib_images)
  recorder = thresholds.RangeRecorder(options.percentile, split.count)
  accumulator = thresholds.RangeAccumulator(recorder.kept)  # Known when the graph is built.

  def build(images, layer_weights):
    efficientnet(images, layer_weights, recorder, architecture)
    if recorder.memory > MOST_MEMORY:
      raise UserError('--percentile %g: the extremes of %d images would take %.1f GB: fewer '
                      '--calib_images or a higher --percentile'
                      % (options.percentile, split.count, recorder.memory / 1e9))
    return recorder.extremes

  count = 0
  for extremes, images in _over_training_images(build, 'measuring ranges', split, options,
                                                data_options, float_network, image_size):
    accumulator.add(extremes)
    count += images
  ranges = accumulator.ranges()
  ranges.update(thresholds.kernel_ranges(weights, architecture, classes))
  thresholds.write_thresholds(options.thresholds_path, ranges)
  log('ranges of %d nodes measured on %d images -> %s'
      % (len(ranges), count, options.thresholds_path))


def measure_noise(options, data_options, float_network, image_size, widths):
  """What noise of the whole width of a range costs in each channel.

  Args:
    options, data_options, float_network, image_size: as in `measure_thresholds`.
    widths: dict node -> [C], of all kernels and of what convolutions and swish read.

  Returns:
    Dict node -> [C], see `sensitivity.expected_loss`.
  """
  probe = Probe()

  def build(images, layer_weights):
    logits, _ = efficientnet(images, layer_weights, probe, float_network[0])
    return squared_gradients(logits, probe, data_options.seed)

  split = find_split(data_options.dataset, 'train', options.calib_images)
  sums, count = {}, 0
  for squares, images in _over_training_images(build, 'measuring noise', split, options,
                                               data_options, float_network, image_size):
    sums = {name: sums.get(name, 0.0) + values.astype(np.float64)
            for name, values in squares.items()}
    count += images
  return expected_loss(sums, count, widths)


def inputs_split(options, data_options):
  """The images of `measure_inputs`, a `dataset_utils.Split`; raises UserError where too few."""
  split = find_split(data_options.dataset, 'train', options.calib_images)
  if split.count <= data_options.batch_size:
    raise UserError('--gptq: %d images are a single batch, at least two are needed: more '
                    '--calib_images or a smaller --batch_size' % split.count)
  return split


def measure_inputs(options, data_options, float_network, image_size):
  """The inputs of all layers on the training images of every other batch, and on the others.

  Args:
    options, data_options, float_network, image_size: as in `measure_thresholds`.

  Returns:
    Two dicts layer -> `rounding.Moments` of arrays.

  Raises:
    UserError: there is one batch only.
  """
  architecture, _, classes = float_network
  split = inputs_split(options, data_options)

  def build(images, layer_weights):
    return rounding.input_moments(images, layer_weights, architecture, classes)

  halves = rounding.MomentsAccumulator(), rounding.MomentsAccumulator()
  for index, (moments, _) in enumerate(_over_training_images(
      build, 'measuring inputs', split, options, data_options, float_network, image_size)):
    halves[index % 2].add(moments)
  return [half.moments() for half in halves]


def _over_training_images(build, title, split, options, data_options, float_network, image_size):
  """Yields (arrays of `build`, number of images) for each batch of the images of `split`.

  Args:
    build: function of images and of the dict layer -> `LayerWeights` that gives tensors.
  """
  architecture, weights, classes = float_network
  with tf.Graph().as_default():
    iterator = tf.data.make_initializable_iterator(data.evaluation_batches(
        split, data_options.batch_size, image_size, label_offset(classes, split.info),
        data_options.threads))
    images, _ = iterator.get_next()
    images.set_shape([None, image_size, image_size, 3])
    flat = students.create_weights('float', architecture, classes, False)
    results = build(images, students.layer_weights(flat)), tf.shape(images)[0]
    with checkpoints.new_session(options.allow_growth) as session:
      flat.variable.load(students.weight_vector(weights, architecture, classes), session)
      session.graph.finalize()
      session.run(iterator.initializer)
      total = -(-split.count // data_options.batch_size)
      with data.explained_errors('img_size', split):
        for _ in tqdm.trange(total, desc=title, unit='batch', leave=False):
          yield session.run(results)
