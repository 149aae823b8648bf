"""Trains ranges and bit-widths of a quantised EfficientNet under the MicroNet metric.

    python train.py --dataset DIR --bits_trainable --iter_train
"""

import sys

from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.runtime import prepare_tensorflow
from scripts.trainer import experiment, export, flags, loop, setup, validation
from scripts.trainer.best import best_path


def parse(argv):
  """Flags of a training run."""
  parser = ArgumentParser(
      'Trains the ranges and bit-widths of a quantised EfficientNet together with its weights.')
  flags.add_data_flags(parser, 25, 'the original recipe\'s')
  flags.add_model_flags(parser)
  flags.add_training_flags(parser)
  group = parser.add_argument_group('training')
  group.add_argument('-c', '--weight_const', action='store_true',
                     help='train ranges and precision only; kernels and biases stay as they are')
  group.add_argument('--train_images', type=int, default=0, metavar='N',
                     help='train on every k-th image, N in all (0: all)')
  group.add_argument('--aug', action='store_true',
                     help='augment training images: random crop and flip (else central crops)')
  flags.add_teacher_flags(group)
  group.add_argument('--tfs', action='store_true',
                     help='first report the float network and the quantised one as it starts'
                          ' on the validation images')
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
  wanted = read_experiment(args)
  folders = experiment.output_folders(args.output_dir)
  network = setup.load_network(wanted.model, wanted.data, training=True)
  if args.export_inference_graph:
    export.export_inference_graph(network, wanted.model, folders['logs'])
    if not args.export_training_graph:
      return None
  if args.validation:
    _validate(wanted, network, args.tfs)
    return None
  with experiment.prepared(wanted, network, folders) as run:
    if args.export_training_graph:
      export.export_training_graph(run.session, run.graph, folders['logs'])
      return None
    loop.check_float(run, args.teacher_path)
    if args.tfs:
      loop.report_start(run)
    _say_what_trains(wanted.config, network)
    result = loop.train(run)
    print('last checkpoint: %s' % result.path)
    print('best checkpoint: %s' % best_path(folders['best_ckpt']))
  return None


def _validate(wanted, network, with_float):
  teacher = setup.load_teacher(wanted.teacher_path, wanted.teacher,
                               network.spec.classes) if with_float else None
  validation.print_report(
      validation.validate_network(network, teacher, wanted.data, wanted.model))


def read_experiment(args):
  """The checked `Experiment` of parsed flags."""
  if args.keep < 1:
    raise UserError('--keep %d: must be 1 or more' % args.keep)
  needs_data = (args.eval_initial_thresholds or args.export_training_graph
                or not args.export_inference_graph)
  return experiment.Experiment(
      flags.train_config(args), flags.data_options(args, needs_data), flags.model_options(args),
      args.teacher_path, args.tea_model, not args.weight_const, args.keep, vars(args))


def _say_what_trains(config, network):
  """Tells the user when flags and network make a part of the loss idle."""
  if not network.spec.precision.learns_bits:
    print('precision is fixed: beta has no effect (--bits_trainable learns it)')
  elif config.finetune:
    print('fine-tuning: precision stays as it is')


if __name__ == '__main__':
  sys.exit(main())
