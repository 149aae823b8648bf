"""One evaluation of a network from files: accuracy, cost, and the lines about them."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

import data
from scripts import runtime
from scripts.accuracy import accuracy_of, as_hits, describe_off_by_one, evaluate, is_chance
from scripts.effnetb0 import student as students
from scripts.errors import UserError
from scripts.files import read_json
from scripts.ops.choice import choose
from scripts.trainer import loading
from scripts.trainer.bit_report import cost_report, describe_cost


class Report(NamedTuple):
  """A network on its validation images."""
  answers: Any  # accuracy.Answers in the order of the records.
  float_answers: Any  # Of a float network beside it, or None.
  cost: Any  # bit_report.CostReport.


def validate_network(network, teacher, data_options, options):
  """Evaluates a network, and perhaps a float one, once over the validation images.

  Args:
    network: `loading.Network`.
    teacher: (architecture, weights) of a float network to evaluate beside it, or None.
    data_options: `flags.DataOptions`.
    options: `flags.ModelOptions`.

  Returns:
    `Report`.
  """
  spec, size = network.spec, network.image_size
  split, offset = loading.validation_split(data_options, spec.classes)
  with tf.device('/device:CPU:0'):
    iterator = tf.data.make_initializable_iterator(data.evaluation_batches(
        split, data_options.batch_size, size, offset, data_options.threads))
    images, labels = iterator.get_next()
  images.set_shape([None, size, size, 3])
  parameters = students.create_parameters(spec)
  impl = choose(options.quantizer_impl, allow_growth=options.allow_growth)
  student = students.build_student(images, spec, parameters, impl, is_training=False)
  logits = [student.logits]
  if teacher:
    flat = students.create_weights('teacher', teacher[0], spec.classes, False)
    logits.append(students.build_float(images, teacher[0], flat, 'teacher', impl)[0])
  explained = data.explained_errors('img_size', split)
  with explained, runtime.new_session(options.allow_growth) as session:
    loading.start_student(session, parameters, network)
    if teacher:
      loading.start_float(session, flat, teacher[1], teacher[0], spec.classes)
    session.graph.finalize()
    answers = evaluate(session, logits, labels, iterator.initializer)
    bits = session.run(student.bits)
  return Report(answers[0], answers[1] if teacher else None, cost_report(bits, spec, size))


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
