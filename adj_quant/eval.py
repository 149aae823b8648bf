"""Evaluates a quantised EfficientNet: accuracy, both metrics, bits of every channel.

    python eval.py --dataset DIR --ckpt_path best_ckpt/ckpt_metric_0.183060-219 --tfs
"""

import json
import os
import sys

import tensorflow.compat.v1 as tf

import data
from scripts.effnetb0 import student as students
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.errors import exits_with_status, prepare_tensorflow
from scripts.files import check_writable, write_file
from scripts.quant_info import write_quant_info
from scripts.trainer import checkpoints, flags, setup
from scripts.trainer.evaluation import evaluate
from scripts.trainer.loop import show_batches
from scripts.trainer.report import cost_report, describe_cost


def parse(argv):
  """Flags of an evaluation."""
  parser = flags.base_parser(
      'Evaluates a quantised EfficientNet: a checkpoint, or without --ckpt_path the untrained '
      'network at the precision that the flags ask for.')
  flags.add_data_flags(parser, 50, 'the original recipe\'s')
  flags.add_model_flags(parser)
  group = parser.add_argument_group('evaluation')
  group.add_argument('--tfs', action='store_true',
                     help='report the float network on the same images as well')
  group.add_argument('--teacher_path', default=flags.FLOAT_WEIGHTS, metavar='FILE',
                     help='weights pickle of that float network (the float weights in '
                          '../pretrained)')
  group.add_argument('-t', '--tea_model', choices=sorted(ARCHITECTURES), default='eff_b0',
                     help='architecture of that float network (%(default)s)')
  group.add_argument('--quant_info', default=os.path.join(flags.HERE, 'quant_info.json'),
                     metavar='FILE', help='where the bits of every channel are written '
                                          '(quant_info.json)')
  group.add_argument('--json_out', metavar='FILE', help='write the numbers as JSON')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Evaluates once, prints, writes quant_info.json."""
  prepare_tensorflow()
  args = parse(argv)
  data_options, options = flags.data_options(args), flags.model_options(args)
  for path in filter(None, (args.quant_info, args.json_out)):
    check_writable(os.path.dirname(os.path.abspath(path)))
  network = setup.load_network(options, data_options)
  split, offset = setup.validation_split(data_options, network.spec.classes)
  teacher = setup.load_teacher(args.teacher_path, args.tea_model,
                               network.spec.classes) if args.tfs else None
  batches = data.evaluation_batches(split, data_options.batch_size, network.image_size, offset,
                                    data_options.threads)
  accuracies, bits = evaluate_network(network, teacher, batches, split, options)
  report = cost_report(bits, network.spec, network.image_size)
  write_quant_info(args.quant_info, report.bits, report.settings)
  print_report(accuracies, report)
  print('bits of every channel -> %s' % args.quant_info)
  if args.json_out:
    write_file(args.json_out, json.dumps(as_json(accuracies, report), indent=1) + '\n')


def evaluate_network(network, teacher, batches, split, options):
  """Runs the networks over the batches once.

  Args:
    network: `setup.Network`.
    teacher: (architecture, weights) of a float network to evaluate beside it, or None.
    batches: `tf.data.Dataset` of (images, labels), finite.
    split: what the batches are read from, for messages.
    options: `flags.ModelOptions`.

  Returns:
    List of `Accuracy` (student, float network if any) and the student's bits.
  """
  iterator = tf.data.make_initializable_iterator(batches)
  images, labels = iterator.get_next()
  images.set_shape([None, network.image_size, network.image_size, 3])
  parameters = students.create_parameters(network.spec)
  student = students.build_student(images, network.spec, parameters)
  logits = [student.logits]
  if teacher:
    flat = students.create_weights('teacher', teacher[0], network.spec.classes, False)
    logits.append(students.build_float(images, teacher[0], flat, 'teacher')[0])
  with checkpoints.new_session(options.allow_growth) as session, setup.explained_errors(split):
    setup.start_student(session, parameters, network, options.ckpt_path)
    if teacher:
      setup.start_float(session, flat, teacher[1], teacher[0], network.spec.classes)
    found = evaluate(session, logits, labels, iterator.initializer, show_batches)
    return found, session.run(student.bits)


def print_report(accuracies, report):
  """Prints what there is to know of the network."""
  print('quantised: %s' % str(accuracies[0]))
  if len(accuracies) > 1:
    print('float:     %s' % str(accuracies[1]))
  print(describe_cost(report))
  for name in ('published', 'official'):
    found = getattr(report.counts, name)
    print('%-9s count: #Params %.1f, #FLOPs %.1f (units of 32 bits), metric %.6f'
          % (name, found.params, found.ops, found.metric))


def as_json(accuracies, report):
  """The printed numbers; params and flops are the published count's, top1 and top5 percent."""
  student = accuracies[0]
  found = {'top1': student.top1, 'top5': student.top5, 'correct': student.correct,
           'correct_top5': student.correct_top5, 'images': student.images,
           'params': report.counts.published.params, 'flops': report.counts.published.ops,
           'published_metric': report.counts.published.metric,
           'official_metric': report.counts.official.metric,
           'mean_weight_bits': report.mean.mean_weight_bits,
           'mean_act_bits': report.mean.mean_act_bits}
  if len(accuracies) > 1:
    found.update(float_top1=accuracies[1].top1, float_correct=accuracies[1].correct)
  return found


if __name__ == '__main__':
  sys.exit(main())
