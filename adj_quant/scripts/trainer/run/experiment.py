"""A training run from its options: files read, graph built, values loaded."""

import contextlib
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split, limited, part_of, slice_of
from scripts.errors import UserError
from scripts.files import check_writable
from scripts.trainer import loading
from scripts.trainer.config import Steps
from scripts.trainer.graph.train_graph import build_train_graph
from scripts.trainer.run.loop import Output, Run, Training
from scripts.trainer.run.progress import CHECKED_IMAGES
from scripts.trainer.run.schedule import ever_averages
from scripts.trainer.run.state import Store
from scripts.trainer.team.members import Processes, new_session
from scripts.trainer.team.work import Alone, DataFeeds, Worker
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
  processes: Processes = Processes()


def replicas(experiment):
  """Towers of all workers."""
  return len(experiment.processes.placement.towers) * experiment.processes.cluster.workers


def output_folders(root):
  """Dict 'weights', 'best_ckpt', 'logs' -> folder below `root`, proved to be writable."""
  folders = {name: os.path.join(root, name) for name in ('weights', 'best_ckpt', 'logs')}
  for folder in folders.values():
    check_writable(folder)
  return folders


@contextlib.contextmanager
def prepared(experiment, network, folders, team=None):
  """Yields the `loop.Run` of an experiment, ready for its first step.

  Args:
    experiment: `Experiment`.
    network: `loading.Network`; without values for a resumed run, whose state has them.
    folders: see `output_folders`.
    team: `work.Lead` of a chief; None: this process is alone.
  """
  with _computing(experiment, network) as (worker, steps):
    session, graph = worker.session, worker.graph
    teachers = graph.teacher_weights.variable
    variables = [v for v in tf.global_variables() if v is not teachers]
    session.run(tf.variables_initializer(variables))
    with tf.device(experiment.processes.placement.own):
      checkpointer = loading.start_student(session, graph.parameters, network)
    summaries = Summaries(folders['logs'])
    store = Store(session, variables, folders)
    try:
      yield Run(
          session=session, graph=graph,
          training=Training(network.spec, network.image_size, experiment.config, steps),
          data=worker.data,
          output=_output(experiment, network, folders),
          checkpointer=checkpointer, store=store, summaries=summaries, team=team or Alone())
    finally:
      summaries.close()


@contextlib.contextmanager
def prepared_worker(experiment, network):
  """Yields the `work.Worker` of an experiment, ready for the first order.

  Args:
    experiment: `Experiment`.
    network: `loading.Network` of the chief, without values.
  """
  with _computing(experiment, network) as (worker, _):
    yield worker


@contextlib.contextmanager
def _computing(experiment, network):
  """Yields a `work.Worker` whose float network alone has its values, and the `Steps` of the run."""
  images = _find_images(experiment, network.spec)
  teacher, teacher_weights = _load_teacher(experiment, network.spec)
  graph, first_image = _build_graph(experiment, network, teacher, images)
  with _new_session(experiment, images) as session:
    loading.start_float(session, graph.teacher_weights, teacher_weights, teacher,
                        network.spec.classes)
    yield Worker(session, graph, _feeds(session, graph, first_image, experiment)), images.steps


class _Images(NamedTuple):
  """What a run is trained and validated on, and what follows from it."""
  train: Any  # dataset_utils.Split.
  validation: Any
  offset: int  # Of the labels.
  steps: Steps


def _find_images(experiment, spec):
  """`_Images` of an experiment; raises UserError."""
  config, options = experiment.config, experiment.data
  validation, offset = loading.validation_split(options, spec.classes)
  train = find_split(options.dataset, 'train', options.train_images)
  batch = options.batch_size * replicas(experiment)
  if batch > train.count:
    times = ' times %d towers of all workers' % replicas(experiment)
    raise UserError('--batch_size %d%s: the training set has %d images' % (
        options.batch_size, times if replicas(experiment) > 1 else '', train.count))
  steps = Steps.of(train.count, batch, config.mini_epochs)
  if config.swa_delay is not None and not ever_averages(steps, config):
    raise UserError('--swa_delay %s, --swa_freq %s: no step of the %s epochs would be averaged'
                    % (config.swa_delay, config.swa_freq, config.max_epoch))
  return _Images(train, validation, offset, steps)


def _load_teacher(experiment, spec):
  """(`Architecture`, weights) of the float network; raises UserError."""
  teacher, weights = loading.load_teacher(experiment.teacher_path, experiment.teacher, spec.classes)
  features = experiment.config.kd_features
  if features and teacher != spec.architecture:
    raise UserError('--kd_features %g: the features of %s are not those of %s; leave it out or '
                    'choose another --tea_model' % (features, teacher.name, spec.architecture.name))
  return teacher, weights


def _build_graph(experiment, network, teacher, images):
  """(`TrainGraph`, placeholder for the number of the image that training data begin with)."""
  processes = experiment.processes
  with tf.device(processes.placement.own):
    first_image = tf.placeholder_with_default(np.int64(0), [], 'first_image')
    datasets = _datasets(images, network.image_size, experiment, first_image)
  workers = processes.cluster.workers
  graph = build_train_graph(
      spec=network.spec, teacher=teacher, datasets=datasets, image_size=network.image_size,
      config=experiment.config, train_weights=experiment.train_weights,
      impl=experiment.model.quantizer_impl, placement=processes.placement,
      cluster=processes.cluster,
      validated=[slice_of(images.validation, i, workers).count for i in range(workers)])
  return graph, first_image


@contextlib.contextmanager
def _new_session(experiment, images):
  """A session on the default graph whose errors name a bad record."""
  session = new_session(experiment.processes, experiment.model.allow_growth)
  with data.explained_errors('img_size', images.train, images.validation), session:
    yield session


def _feeds(session, graph, first_image, experiment):
  batch = experiment.data.batch_size
  return DataFeeds({name: session.run(handle) for name, handle in graph.batches.handles.items()},
                   first_image, batch, batch * replicas(experiment))


def _output(experiment, network, folders):
  return Output(
      description={'model': loading.describe_network(network), 'train': experiment.flags},
      dataset=os.path.abspath(experiment.data.dataset), weights_folder=folders['weights'],
      best_folder=folders['best_ckpt'], keep=experiment.keep, save_steps=experiment.save_steps)


def _datasets(images, image_size, experiment, first_image):
  """The `tf.data.Dataset`s that a process reads from; training begins with a numbered image."""
  options, cluster = experiment.data, experiment.processes.cluster
  towers = len(experiment.processes.placement.towers)

  def trained(tower):
    replica = (cluster.task * towers + tower, cluster.workers * towers)
    part = part_of(images.train, *replica)
    if options.batch_size > part.count:
      raise UserError('--batch_size %d: tower %d of all workers has %d training images'
                      % (options.batch_size, replica[0], part.count))
    return data.training_batches(
        split=part, batch_size=options.batch_size, image_size=image_size, offset=images.offset,
        crop=options.crop, seed=options.seed, threads=max(1, options.threads // towers),
        start=first_image, mixup=options.mixup, replica=replica)

  def evaluated(split):
    return data.evaluation_batches(split, options.batch_size * towers, image_size, images.offset,
                                   options.threads)

  return {
      'train': data.joined_batches([trained(tower) for tower in range(towers)]),
      'validation': evaluated(slice_of(images.validation, cluster.task, cluster.workers)),
      'start': evaluated(limited(images.validation, CHECKED_IMAGES))}
