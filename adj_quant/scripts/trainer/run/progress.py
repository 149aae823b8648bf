"""Measurements before a run and after each mini-epoch: printed, logged and saved."""

import contextlib
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf
import tqdm

from scripts.accuracy import accuracy_of, check_float_accuracy, ranks
from scripts.trainer.bit_report import cost_report, describe_cost
from scripts.trainer.run import best

CHECKED_IMAGES = 200  # Of the validation: on which the float network is checked before training.


class Measure(NamedTuple):
  """A network at the end of a mini-epoch."""
  accuracy: Any  # evaluation.Accuracy.
  cost: Any  # bit_report.CostReport.


class Saved(NamedTuple):
  """A checkpoint that was just written."""
  name: str
  replaced: Any  # Path of this run's former best checkpoint, to be deleted; None: there is none.


def check_start(run, path):
  """Refuses weights and data that do not belong together, on CHECKED_IMAGES validation images.

  Returns:
    `Accuracy` of the student on these images.
  """
  batches = run.graph.batches
  run.session.run(batches.initializers['start'])
  batches_seen = []
  with contextlib.suppress(tf.errors.OutOfRangeError):
    while True:
      batches_seen.append(run.session.run(
          [run.graph.float_logits, run.graph.student.logits, batches.labels],
          {batches.source: run.data.handles['start']}))
  float_logits, logits, labels = (np.concatenate(column) for column in zip(*batches_seen))
  check_float_accuracy(float_logits, labels, path)
  return accuracy_of(ranks(logits, labels))


def report_start(run):
  """Prints the accuracy of the float network and of the student before training, and its cost."""
  student, float_network = _validate(run, networks=2)
  print('float network: %s' % str(float_network))
  report = _cost(run)
  print('start: %s; %s' % (student, describe_cost(report)))


def measure(run):
  """Validates the student; returns its `Measure`."""
  accuracy, = _validate(run, networks=1)
  return Measure(accuracy, _cost(run))


def _cost(run):
  return cost_report(run.session.run(run.graph.student.bits), run.training.spec,
                     run.training.image_size)


def _validate(run, networks):
  """`Accuracy` of the student and, if there are two networks, of the float one."""
  return [accuracy_of(each.ranks) for each in run.team.validate(run, networks)]


def save(run, state, step, title, measure, means, suffix=''):
  """Writes a checkpoint, logs and prints a line.

  Args:
    run: `loop.Run`.
    state: its `state.State`.
    step: steps done.
    title: how the line begins.
    measure: `Measure`.
    means: dict of the mean parts of the loss.
    suffix: of the name, after the metric.

  Returns:
    `Saved`.
  """
  accuracy, report = measure
  output, metric = run.output, report.counts.published.metric
  description = dict(output.description, run=state.run, inputs=state.config['inputs'], step=step,
                     accuracy=accuracy._asdict(), published_metric=metric,
                     official_metric=report.counts.official.metric)
  path = run.checkpointer.save(run.session, output.weights_folder, 'ckpt_metric_%.6f%s'
                               % (metric, suffix), step, description)
  score = best.Score(metric, run.training.config.metric, accuracy.correct, accuracy.images,
                     output.dataset)
  is_best, replaced = best.keep_if_best(path, score, output.best_folder, state.run)
  _log(run.summaries, step, measure, means)
  losses = ', '.join('%s %.4f' % item for item in means.items() if item[0] != 'metric')
  tqdm.tqdm.write('%s: %s; %s; %s-> %s%s' % (
      title, accuracy, describe_cost(report), losses + ' ' if losses else '',
      os.path.basename(path), ' (best)' if is_best else ''))
  return Saved(os.path.basename(path), replaced)


def _log(summaries, step, measure, means):
  """Writes the points of TensorBoard that belong to a checkpoint."""
  accuracy, report = measure
  summaries.scalars(step, dict({
      'validation/top1': accuracy.top1, 'validation/top5': accuracy.top5,
      'metric/published': report.counts.published.metric,
      'metric/official': report.counts.official.metric,
      'mean_bits/weights': report.mean.mean_weight_bits,
      'mean_bits/activations': report.mean.mean_act_bits},
      **{'mini_epoch/' + name: value for name, value in means.items()}))
  summaries.bits(step, report)
