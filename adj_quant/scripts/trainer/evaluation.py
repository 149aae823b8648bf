"""One evaluation of a network from files: accuracy, cost, and the lines about them."""

import contextlib
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import data
from dataset_utils import slice_of
from scripts.accuracy import accuracy_of, as_hits, describe_off_by_one, is_chance
from scripts.effnetb0 import student as students
from scripts.errors import UserError
from scripts.files import read_json
from scripts.ops.choice import choose
from scripts.trainer import loading
from scripts.trainer.bit_report import cost_report, describe_cost
from scripts.trainer.graph import towers
from scripts.trainer.graph.exchange import ROWS, create_exchange
from scripts.trainer.graph.train_graph import create_batches
from scripts.trainer.team.members import Processes, new_session
from scripts.trainer.team.work import Alone, DataFeeds, Worker, follow


class Report(NamedTuple):
  """A network on its validation images."""
  answers: Any  # accuracy.Answers in the order of the records.
  float_answers: Any  # Of a float network beside it, or None.
  cost: Any  # bit_report.CostReport.


class _Graph(NamedTuple):
  """What `team.work` uses of a graph, and the rest."""
  batches: Any  # train_graph.Batches.
  student: Any
  float_logits: Any  # None without a float network.
  exchange: Any  # exchange.Exchange of a cluster.
  parameters: Any  # student.Parameters.
  float_weights: Any  # FlatVariable or None.


def validate_network(network, teacher, data_options, options, processes=Processes(), team=None):
  """Evaluates a network, and perhaps a float one, once over the validation images.

  Args:
    network: `loading.Network`.
    teacher: (architecture, weights) of a float network to evaluate beside it, or None.
    data_options: `flags.DataOptions`.
    options: `flags.ModelOptions`.
    processes: `members.Processes`.
    team: `work.Lead` of a chief; None: this process is alone.

  Returns:
    `Report`.
  """
  with _prepared(network, teacher, data_options, options, processes) as worker:
    loading.start_student(worker.session, worker.graph.parameters, network)
    worker.session.graph.finalize()
    answers = (team or Alone()).validate(worker, 2 if teacher else 1)
    bits = worker.session.run(worker.graph.student.bits)
  return Report(answers[0], answers[1] if teacher else None,
                cost_report(bits, network.spec, network.image_size))


def follow_chief(network, teacher, data_options, options, processes, token):
  """Evaluates a worker's slices of the images until the chief is done; returns the status.

  Args:
    network, teacher, data_options, options, processes: as for `validate_network`.
    token: what all know the evaluation by.
  """
  with _prepared(network, teacher, data_options, options, processes) as worker:
    worker.session.graph.finalize()
    return follow(worker, processes.cluster.task, token, processes.timeout)


@contextlib.contextmanager
def _prepared(network, teacher, data_options, options, processes):
  """Yields the `work.Worker` of an evaluation, whose student has no values yet."""
  spec, cluster = network.spec, processes.cluster
  split, offset = loading.validation_split(data_options, spec.classes)
  slices = [slice_of(split, index, cluster.workers) for index in range(cluster.workers)]
  with tf.device(processes.placement.own):
    validation = data.evaluation_batches(
        slices[cluster.task], data_options.batch_size * len(processes.placement.towers),
        network.image_size, offset, data_options.threads)
  graph = _build(network, teacher, validation, choose(
      options.quantizer_impl, allow_growth=options.allow_growth), processes,
                 [each.count for each in slices])
  explained = data.explained_errors('img_size', split)
  with explained, new_session(processes, options.allow_growth) as session:
    if teacher:
      loading.start_float(session, graph.float_weights, teacher[1], teacher[0], spec.classes)
    handles = {name: session.run(handle) for name, handle in graph.batches.handles.items()}
    yield Worker(session, graph, DataFeeds(handles, None, data_options.batch_size, None))


def _build(network, teacher, validation, impl, processes, counts):
  """The `_Graph` of an evaluation, on the default graph."""
  spec, placement = network.spec, processes.placement
  with tf.device(placement.shared):
    batches = create_batches({'validation': validation}, network.image_size)
    parameters, flat = students.create_parameters(spec), None
    if teacher:
      with tf.device(placement.own):
        flat = students.create_weights('teacher', teacher[0], spec.classes, False)

    def build(images, labels):
      del labels
      student = students.build_student(images, spec, parameters, impl, is_training=False)
      return student, students.build_float(images, teacher[0], flat, 'teacher', impl)[0] if (
          teacher) else None

    networks, float_logits = zip(*towers.build(batches.images, batches.labels, placement.towers,
                                               build))
    exchange = create_exchange(processes.cluster, [], tf.zeros([1]), [], counts,
                               ROWS) if processes.cluster.servers else None
    student = networks[0]._replace(logits=towers.joined([each.logits for each in networks]))
    return _Graph(batches, student, towers.joined(float_logits) if teacher else None, exchange,
                  parameters, flat)


def print_report(report):
  """Prints what there is to know of a network."""
  classes = len(report.cost.bits['output'].weight)
  print('quantised: %s' % str(accuracy_of(report.answers.ranks)))
  hint = describe_off_by_one(report.answers.offsets, classes)
  if hint:
    print(hint)
  if report.float_answers:
    accuracy = accuracy_of(report.float_answers.ranks)
    print('float:     %s' % str(accuracy))
    if not hint and is_chance(accuracy.correct, accuracy.images, classes):
      print('note: the float network is no better than chance: weights and labels do not belong '
            'together')
  print(describe_cost(report.cost))
  for name in ('published', 'official'):
    count = getattr(report.cost.counts, name)
    print('%-9s count: #Params %.1f, #FLOPs %.1f (units of 32 bits), metric %.6f'
          % (name, count.params, count.ops, count.metric))


def read_result(path):
  """What `as_json` gave, from a file; raises UserError where that holds something else."""
  content = read_json(path, 'result of an evaluation')
  if 'published_metric' not in content or 'hits' not in content:
    raise UserError('%s is not a result of an evaluation' % path)
  return content


def as_json(report):
  """The printed numbers; params and flops are the published count's, top1 and top5 percent.

  `hits` says which images are correct, see `accuracy.as_hits`.
  """
  student, counts, mean = accuracy_of(report.answers.ranks), report.cost.counts, report.cost.mean
  numbers = {'top1': student.top1, 'top5': student.top5, 'correct': student.correct,
             'correct_top5': student.correct_top5, 'images': student.images,
             'params': counts.published.params, 'flops': counts.published.ops,
             'published_metric': counts.published.metric,
             'official_metric': counts.official.metric,
             'mean_weight_bits': mean.mean_weight_bits, 'mean_act_bits': mean.mean_act_bits,
             'hits': as_hits(report.answers.ranks)}
  if report.float_answers:
    accuracy = accuracy_of(report.float_answers.ranks)
    numbers.update(float_top1=accuracy.top1, float_correct=accuracy.correct,
                   float_hits=as_hits(report.float_answers.ranks))
  return numbers
