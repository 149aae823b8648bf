"""A checkpoint on the images of a split: the network, its values, the counted accuracy."""

from typing import Any, NamedTuple, Optional

import tensorflow.compat.v1 as tf

import data
from datasets.dataset_factory import get_split
from imagenet import describe_labels
from nets.float_layers import FloatLayers
from nets.nets_factory import get_network
from preprocessing.batches import evaluation_batches
from quantization.scheme import evaluation_layers
from scripts.accuracy import accuracy_of, describe_off_by_one, evaluate
from scripts.checkpoint_files import DAMAGED, open_checkpoint, reason
from scripts.checkpoint_paths import find_checkpoint
from scripts.errors import UserError
from scripts.runtime import new_session
from training import initialization, model_file
from training.setup import checked_offset


class EvalOptions(NamedTuple):
  """What is evaluated on what. None: as model.json or the checkpoint itself says."""
  checkpoint_path: str
  dataset_dir: str
  dataset_name: Optional[str] = None
  dataset_split_name: str = 'validation'
  model_name: Optional[str] = None
  num_classes: Optional[int] = None
  eval_image_size: Optional[int] = None
  labels_offset: Optional[int] = None
  quantize: Optional[bool] = None
  moving_average: Optional[bool] = None
  batch_size: int = 100
  max_num_images: int = 0  # 0: all.
  num_preprocessing_threads: int = 4
  allow_growth: bool = False


class Evaluation(NamedTuple):
  """Result of an evaluation."""
  path: str  # The checkpoint.
  step: int
  quantized: bool
  averages: int  # Variables read as moving averages.
  accuracy: Any  # scripts.accuracy.Accuracy.
  hint: Optional[str]  # See `accuracy.describe_off_by_one`.


def complete(options, path, info):
  """Options with the fields of model.json in place of None, and what follows from the labels.

  Args:
    options: `EvalOptions`.
    path: the checkpoint.
    info: `DatasetInfo` of the records.

  Raises:
    UserError: a flag or the data set contradicts model.json.
  """
  stored = model_file.read_model(path)
  model = stored[0] if stored else None
  for flag in ('model_name', 'num_classes'):
    given = getattr(options, flag)
    if model and given not in (None, getattr(model, flag)):
      raise UserError('--%s=%s: %s is a checkpoint with %s; leave the flag out'
                      % (flag, given, path, getattr(model, flag)))
  if not model:
    name = options.model_name or 'efficientnet_b0'
    size = get_network(name).architecture.image_size
    model = model_file.Model(name, options.num_classes or info.classes, size, labels_offset=0)
  offset = checked_offset(model.num_classes, info, options.labels_offset)
  if stored and options.labels_offset is None and offset != model.labels_offset:
    raise UserError('an output of %s is a label - %d, but a label - %d of the records of "%s":'
                    ' give --labels_offset=%d if they have the same classes in the same order'
                    % (path, model.labels_offset, offset, info.name, offset))
  return options._replace(
      labels_offset=offset, model_name=model.model_name, num_classes=model.num_classes,
      eval_image_size=options.eval_image_size or model.image_size,
      quantize=model.quantized if options.quantize is None else options.quantize)


def evaluate_checkpoint(options, log=print):
  """Evaluates once over a split; every image counts once.

  Args:
    options: `EvalOptions`.
    log: receives lines for the user.

  Returns:
    `Evaluation`.

  Raises:
    UserError: checkpoint, network and images do not belong together.
  """
  path = find_checkpoint(options.checkpoint_path, log)
  split = get_split(options.dataset_name, options.dataset_split_name, options.dataset_dir,
                    options.max_num_images)
  options = complete(options, path, split.info)
  size = options.eval_image_size
  log('%d images of "%s" (%s) at %d px, %s' % (
      split.count, split.info.name, split.name, size,
      describe_labels(options.num_classes, split.info)))
  with tf.Graph().as_default():
    with tf.device('/device:CPU:0'):
      batches = evaluation_batches(split, options.batch_size, size, options.labels_offset,
                                   options.num_preprocessing_threads)
      iterator = tf.data.make_initializable_iterator(batches)
      images, labels = iterator.get_next()
    images.set_shape([None, size, size, 3])
    logits = _build(options, images)
    reader = open_checkpoint(path)
    names = _reading(reader.get_variable_to_shape_map(), path, options.moving_average)
    saver = tf.train.Saver({names[v.op.name]: v for v in tf.global_variables()})
    explained = data.explained_errors('eval_image_size', split)
    with explained, new_session(options.allow_growth) as session:
      session.graph.finalize()
      _restore(saver, session, path)
      answers, = evaluate(session, [logits], labels, iterator.initializer)
  averages = sum(name != stored for name, stored in names.items())
  step = int(reader.get_tensor('global_step')) if reader.has_tensor('global_step') else 0
  return Evaluation(path, step, options.quantize, averages, accuracy_of(answers.ranks),
                    describe_off_by_one(answers.offsets, options.num_classes))


def _build(options, images):
  """Logits [N, K], quantised if asked for."""
  layers = evaluation_layers() if options.quantize else FloatLayers()
  logits, _ = get_network(options.model_name).build(images, options.num_classes, False,
                                                    layers=layers)
  # The rewrite turns those who read a tensor to the quantised one, so there must be a reader.
  logits = tf.identity(logits)
  layers.finish(tf.get_default_graph())
  return logits


def _reading(checkpoint, path, moving_average):
  shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
  return initialization.plan_reading(shapes, checkpoint, path, moving_average)


def _restore(saver, session, path):
  try:
    saver.restore(session, path)
  except DAMAGED as error:
    raise UserError('checkpoint %s is damaged: %s' % (path, reason(error)))
