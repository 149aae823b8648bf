"""The training loop: mini-epochs of steps, each followed by validation and a checkpoint."""

import collections
import os
import time
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from scripts.errors import UserError
from scripts.trainer import best, schedule
from scripts.trainer.averaging import WeightAverage
from scripts.trainer.checkpoints import delete_checkpoint
from scripts.trainer.evaluation import check_float_accuracy, evaluate
from scripts.trainer.report import cost_report, describe_cost, mean_bits_by_kind

LOG_EVERY = 10  # Steps between points in TensorBoard.
CHECKED_IMAGES = 200  # Validation images on which the float network is checked before training.


class Run(NamedTuple):
  """A prepared training run."""
  session: Any
  graph: Any  # graph.TrainGraph.
  spec: Any  # student.ModelSpec.
  image_size: int
  config: Any  # config.TrainConfig.
  steps: Any  # config.Steps.
  checkpointer: Any
  summaries: Any
  handles: dict  # Name of a data set -> its handle.
  description: dict  # What is saved beside every checkpoint.
  dataset: str  # Identifies the validation images when scores are compared.
  weights_folder: str
  best_folder: str
  keep: int  # Checkpoints kept besides the best.


class Result(NamedTuple):
  """A network at the end of a mini-epoch."""
  path: str  # Its checkpoint.
  accuracy: Any  # evaluation.Accuracy.
  cost: Any  # report.CostReport.


def train(run):
  """Trains to the end and returns the last `Result`: the average of SWA where it is on."""
  print('%d steps an epoch, %d a mini-epoch, %d mini-epochs' % (
      run.steps + (schedule.total_mini_epochs(run.config),)))
  run.session.graph.finalize()
  run.session.run(run.graph.batches.initializers['train'])
  average, kept, step, result = WeightAverage(), collections.deque(), 0, None
  for mini_epoch in range(schedule.total_mini_epochs(run.config)):
    means = _train_mini_epoch(run, mini_epoch, step, average)
    step += run.steps.mini_epoch
    result = finish(run, step, 'epoch %.1f' % (step / float(run.steps.epoch)), means)
    _rotate(kept, result.path, run.keep)
  if average.count:
    for flat, values in zip(run.graph.parameters.trained, average.mean()):
      flat.variable.load(values, run.session)
    result = finish(run, step, 'average of %d' % average.count, {}, suffix='_swa')
  return result


def _train_mini_epoch(run, mini_epoch, first_step, average):
  """Runs the steps of a mini-epoch; returns the mean of each part of the loss."""
  with_bits = run.spec.precision.learns_bits and schedule.trains_bits(mini_epoch, run.config)
  update = run.graph.ops.train_with_bits if with_bits else run.graph.ops.train
  sums, started = collections.Counter(), time.time()
  progress = tqdm.trange(run.steps.mini_epoch, leave=False, mininterval=1.0, unit='step',
                         desc='mini-epoch %d%s' % (mini_epoch + 1, ' (bits)' if with_bits else ''))
  for index in progress:
    step = first_step + index
    values, bits = _step(run, update, step)
    sums.update(values)
    rate = (index + 1) * run.config.batch_size / (time.time() - started)
    progress.set_postfix_str('loss %.3f, metric %.4f, bits %.2f/%.2f, %.1f images/s' % (
        (values['total'], values['metric']) + bits + (rate,)))
    if step % LOG_EVERY == 0:
      run.summaries.scalars(step, dict({'loss/' + k: v for k, v in values.items()}, **{
          'learning_rate': schedule.learning_rate(step, run.config), 'images_per_second': rate}))
    if schedule.joins_average(step + 1, run.steps, run.config):
      average.add(run.session.run([f.variable for f in run.graph.parameters.trained]))
  return {name: total / run.steps.mini_epoch for name, total in sums.items()}


def _step(run, update, step):
  """One update; returns, from before it, the loss's parts and mean bits of weights and acts."""
  if schedule.resets_optimizer(step, run.config):
    run.session.run(run.graph.ops.reset)
  parts, bits, _ = run.session.run(
      [run.graph.losses, run.graph.student.bits, update],
      {run.graph.batches.source: run.handles['train'],
       run.graph.ops.learning_rate: schedule.learning_rate(step, run.config)})
  _check_finite(run, parts.total, 'loss is', step)
  return parts._asdict(), mean_bits_by_kind(bits, run.graph.student.nodes)


def _check_finite(run, values, what, step):
  if not np.all(np.isfinite(values)):
    raise UserError('the %s not finite at step %d: start again with --ckpt_path at the last '
                    'checkpoint in %s and a lower --lr or --lr_bits'
                    % (what, step, run.weights_folder))


def validate(run, with_float=False):
  """`Accuracy` of the student on the validation images and, if asked, of the float network."""
  logits = [run.graph.student.logits] + ([run.graph.float_logits] if with_float else [])
  return evaluate(run.session, logits, run.graph.batches.labels,
                  run.graph.batches.initializers['validation'], _validation_feed(run))


def check_float(run, path):
  """Refuses weights and data that do not belong together, on the first validation images."""
  batches = run.graph.batches
  run.session.run(batches.initializers['validation'])
  found = []
  while sum(len(labels) for _, labels in found) < CHECKED_IMAGES:
    try:
      found.append(run.session.run([run.graph.float_logits, batches.labels],
                                   _validation_feed(run)))
    except tf.errors.OutOfRangeError:
      break
  logits, labels = (np.concatenate(column) for column in zip(*found))
  check_float_accuracy(logits, labels, path)


def report_start(run):
  """Prints the accuracy of the float network and of the student before training, and its cost."""
  student, float_network = validate(run, with_float=True)
  print('float network: %s' % str(float_network))
  report = cost_report(run.session.run(run.graph.student.bits), run.spec, run.image_size)
  print('start: %s; %s' % (student, describe_cost(report)))


def _validation_feed(run):
  return {run.graph.batches.source: run.handles['validation']}


def finish(run, step, title, means, suffix=''):
  """Validates, prints, logs and saves; returns the `Result`."""
  bits = run.session.run(run.graph.student.bits)
  _check_finite(run, bits, 'bit-widths are', step)
  accuracy = validate(run)[0]
  report = cost_report(bits, run.spec, run.image_size)
  metric = report.counts.published.metric
  description = dict(run.description, step=step, accuracy=accuracy._asdict(),
                     published_metric=metric, official_metric=report.counts.official.metric)
  path = run.checkpointer.save(run.session, run.weights_folder, 'ckpt_metric_%.6f%s'
                               % (metric, suffix), step, description)
  score = best.Score(metric, run.config.metric, accuracy.correct, accuracy.images, run.dataset)
  is_best = best.keep_if_best(path, score, run.best_folder)
  run.summaries.scalars(step, dict({
      'validation/top1': accuracy.top1, 'validation/top5': accuracy.top5,
      'metric/published': metric, 'metric/official': report.counts.official.metric,
      'mean_bits/weights': report.mean.mean_weight_bits,
      'mean_bits/activations': report.mean.mean_act_bits},
      **{'mini_epoch/' + name: value for name, value in means.items()}))
  run.summaries.bits(step, report)
  losses = ', '.join('%s %.4f' % item for item in means.items() if item[0] != 'metric')
  tqdm.tqdm.write('%s: %s; %s; %s-> %s%s' % (
      title, accuracy, describe_cost(report), losses + ' ' if losses else '',
      os.path.basename(path), ' (best)' if is_best else ''))
  return Result(path, accuracy, report)


def _rotate(kept, path, keep):
  """Deletes the oldest checkpoints of this run beyond `keep`."""
  kept.append(path)
  while len(kept) > keep:
    delete_checkpoint(kept.popleft())
