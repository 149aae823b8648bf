"""A training run from its options: files read, graph built, values loaded."""

import contextlib
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split, limited
from scripts import runtime
from scripts.errors import UserError
from scripts.files import check_writable
from scripts.trainer import loading
from scripts.trainer.config import Steps
from scripts.trainer.graph.train_graph import build_train_graph
from scripts.trainer.run.loop import DataFeeds, Output, Run, Training
from scripts.trainer.run.progress import CHECKED_IMAGES
from scripts.trainer.run.schedule import ever_averages
from scripts.trainer.run.state import Store
from scripts.trainer.run.tensorboard import Summaries


class Experiment(NamedTuple):
  """Options of a training run."""
  config: Any  # config.TrainConfig.
  data: Any  # flags.DataOptions.
  model: Any  # flags.ModelOptions.
  teacher_path: str
  teacher: str  # Name of its architecture.
  train_weights: bool
  keep: int  # Checkpoints kept besides the best.
  save_steps: int  # See `loop.Run`.
  flags: dict  # The command line, saved beside every checkpoint.


def output_folders(root):
  """Dict 'weights', 'best_ckpt', 'logs' -> folder below `root`, proved to be writable."""
  folders = {name: os.path.join(root, name) for name in ('weights', 'best_ckpt', 'logs')}
  for folder in folders.values():
    check_writable(folder)
  return folders


@contextlib.contextmanager
def prepared(experiment, network, folders):
  """Yields the `loop.Run` of an experiment, ready for its first step.

  Args:
    experiment: `Experiment`.
    network: `loading.Network`; without values for a resumed run, whose state has them.
    folders: see `output_folders`.
  """
  config, spec = experiment.config, network.spec
  teacher, teacher_weights = loading.load_teacher(experiment.teacher_path, experiment.teacher,
                                                  spec.classes)
  if config.kd_features and teacher != spec.architecture:
    raise UserError('--kd_features %g: the features of %s are not those of %s; leave it out or '
                    'choose another --tea_model' % (config.kd_features, teacher.name,
                                                    spec.architecture.name))
  validation, offset = loading.validation_split(experiment.data, spec.classes)
  train = find_split(experiment.data.dataset, 'train', experiment.data.train_images)
  batch_size = experiment.data.batch_size
  if batch_size > train.count:
    raise UserError('--batch_size %d: the training set has %d images' % (batch_size, train.count))
  steps = Steps.of(train.count, batch_size, config.mini_epochs)
  if config.swa_delay is not None and not ever_averages(steps, config):
    raise UserError('--swa_delay %s, --swa_freq %s: no step of the %s epochs would be averaged'
                    % (config.swa_delay, config.swa_freq, config.max_epoch))
  first_image = tf.placeholder_with_default(np.int64(0), [], 'first_image')
  datasets = _datasets(train, validation, offset, network.image_size, experiment, first_image)
  graph = build_train_graph(
      spec=spec, teacher=teacher, datasets=datasets, image_size=network.image_size, config=config,
      train_weights=experiment.train_weights, impl=experiment.model.quantizer_impl)
  explained = data.explained_errors('img_size', train, validation)
  with explained, runtime.new_session(experiment.model.allow_growth) as session:
    session.run(tf.global_variables_initializer())
    loading.start_float(session, graph.teacher_weights, teacher_weights, teacher, spec.classes)
    checkpointer = loading.start_student(session, graph.parameters, network)
    summaries = Summaries(folders['logs'])
    teachers = graph.teacher_weights.variable
    store = Store(session, [v for v in tf.global_variables() if v is not teachers], folders)
    try:
      yield Run(
          session=session, graph=graph,
          training=Training(spec, network.image_size, config, steps),
          data=DataFeeds({name: session.run(handle)
                          for name, handle in graph.batches.handles.items()},
                         first_image, batch_size),
          output=_output(experiment, network, folders),
          checkpointer=checkpointer, store=store, summaries=summaries)
    finally:
      summaries.close()


def _output(experiment, network, folders):
  return Output(
      description={'model': loading.describe_network(network), 'train': experiment.flags},
      dataset=os.path.abspath(experiment.data.dataset), weights_folder=folders['weights'],
      best_folder=folders['best_ckpt'], keep=experiment.keep, save_steps=experiment.save_steps)


def _datasets(train, validation, offset, image_size, experiment, first_image):
  """The `tf.data.Dataset`s that a run reads from; training begins with a numbered image."""
  options = experiment.data

  def evaluated(split):
    return data.evaluation_batches(split, options.batch_size, image_size, offset, options.threads)

  return {
      'train': data.training_batches(
          split=train, batch_size=options.batch_size, image_size=image_size, offset=offset,
          crop=options.crop, seed=options.seed, threads=options.threads, start=first_image,
          mixup=options.mixup),
      'validation': evaluated(validation),
      'start': evaluated(limited(validation, CHECKED_IMAGES))}
