"""Trains ranges and bit-widths of a quantised EfficientNet under the MicroNet metric.

    python train.py --dataset DIR --bits_trainable --iter_train
"""

import os
import sys

import tensorflow.compat.v1 as tf

import data
from dataset_utils import find_split
from scripts.effnetb0.architecture import ARCHITECTURES
from scripts.errors import UserError, exits_with_status, prepare_tensorflow
from scripts.trainer import checkpoints, export, flags, loop, setup
from scripts.trainer.best import best_path
from scripts.trainer.config import Steps
from scripts.trainer.graph import build_train_graph
from scripts.trainer.report import Summaries


def parse(argv):
  """Flags of a training run."""
  parser = flags.base_parser(
      'Trains the ranges and bit-widths of a quantised EfficientNet together with its weights.')
  flags.add_data_flags(parser, 25, 'the original recipe\'s')
  flags.add_model_flags(parser)
  flags.add_training_flags(parser)
  group = parser.add_argument_group('training')
  group.add_argument('-c', '--weight_const', action='store_true',
                     help='train ranges and precision only; kernels and biases stay as they are')
  group.add_argument('--aug', action='store_true',
                     help='augment training images: random crop and flip (else central crops)')
  group.add_argument('--teacher_path', default=flags.FLOAT_WEIGHTS, metavar='FILE',
                     help='weights pickle of the float network that teaches (the float weights in '
                          '../pretrained)')
  group.add_argument('-t', '--tea_model', choices=sorted(ARCHITECTURES), default='eff_b0',
                     help='architecture of the teacher (%(default)s)')
  group.add_argument('--tfs', action='store_true',
                     help='first report the float network and the untrained one on the validation '
                          'images')
  group.add_argument('--validation', action='store_true', help='only evaluate, train nothing')
  group = parser.add_argument_group('output')
  group.add_argument('--output_dir', default=flags.HERE, metavar='DIR',
                     help='holds weights/, best_ckpt/ and logs/ (the folder of this script)')
  group.add_argument('--keep', type=int, default=5, metavar='N',
                     help='checkpoints of this run kept besides the best (%(default)s)')
  group.add_argument('--export_training_graph', action='store_true',
                     help='write the training graph with its values to logs/training_graph.meta '
                          'and stop')
  group.add_argument('--export_inference_graph', action='store_true',
                     help='write the frozen network to logs/inference_graph.pb and stop')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Prepares a run, checks the float network, trains."""
  prepare_tensorflow()
  args = parse(argv)
  config, data_options = flags.train_config(args), flags.data_options(args)
  options = flags.model_options(args)
  if args.keep < 1:
    raise UserError('--keep %d: must be 1 or more' % args.keep)
  folders = {n: setup.output_folder(args.output_dir, n) for n in ('weights', 'best_ckpt', 'logs')}
  network = setup.load_network(options, data_options)
  if args.export_inference_graph:
    return export.export_inference_graph(network, options, folders['logs'])
  teacher, teacher_weights = setup.load_teacher(args.teacher_path, args.tea_model,
                                                network.spec.classes)
  validation, offset = setup.validation_split(data_options, network.spec.classes)
  train = find_split(data_options.dataset, 'train')
  size = network.image_size
  datasets = {
      'train': data.training_batches(train, config.batch_size, size, offset, data_options.augment,
                                     config.seed, data_options.threads),
      'validation': data.evaluation_batches(validation, config.batch_size, size, offset,
                                            data_options.threads)}
  graph = build_train_graph(network.spec, teacher, datasets, size, config,
                            train_weights=not args.weight_const)
  explained = setup.explained_errors(train, validation)
  with explained, checkpoints.new_session(options.allow_growth) as session:
    session.run(tf.global_variables_initializer())
    setup.start_float(session, graph.teacher_weights, teacher_weights, teacher,
                      network.spec.classes)
    checkpointer = setup.start_student(session, graph.parameters, network, options.ckpt_path)
    run = loop.Run(
        session, graph, network.spec, size, config, Steps.of(train.count, config.batch_size),
        checkpointer, Summaries(folders['logs']),
        {n: session.run(h) for n, h in graph.batches.handles.items()},
        {'model': setup.describe_network(network), 'train': vars(args)},
        os.path.abspath(data_options.dataset), folders['weights'], folders['best_ckpt'], args.keep)
    if args.export_training_graph:
      return export.export_training_graph(session, graph, folders['logs'])
    loop.check_float(run, args.teacher_path)
    if args.tfs or args.validation:
      loop.report_start(run)
    if not args.validation:
      _say_what_trains(config, network)
      result = loop.train(run)
      print('last checkpoint: %s' % result.path)
      print('best checkpoint: %s' % best_path(folders['best_ckpt']))


def _say_what_trains(config, network):
  """Tells the user when flags and network make a part of the loss idle."""
  if not network.spec.precision.learns_bits:
    print('precision is fixed: beta has no effect (--bits_trainable learns it)')
  elif config.finetune:
    print('fine-tuning: precision stays as it is')


if __name__ == '__main__':
  sys.exit(main())
