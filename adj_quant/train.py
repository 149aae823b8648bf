"""Trains ranges and bit-widths of a quantised EfficientNet under the MicroNet metric.

    python train.py --dataset DIR --bits_trainable --iter_train
"""

import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts import paths, stack
from scripts.cluster.placement import check_towers, place
from scripts.cluster.plan import Cluster, Deployment, plan_cluster
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.ops.choice import choose
from scripts.trainer import evaluation, export, flags, loading
from scripts.trainer.run import experiment, loop, processes, progress, resume
from scripts.trainer.run.best import best_path
from scripts.trainer.team import members


def parse(argv):
  """Flags of a training run."""
  parser = ArgumentParser(
      'Trains the ranges and bit-widths of a quantised EfficientNet together with its weights.')
  flags.add_data_flags(parser, 25, 'the original recipe\'s')
  flags.add_model_flags(parser)
  flags.add_training_flags(parser)
  group = parser.add_argument_group('training')
  group.add_argument('-c', '--weight_const', action='store_true',
                     help='train ranges and precision only; kernels and biases are constants')
  flags.add_training_data_flags(group)
  flags.add_teacher_flags(group)
  group.add_argument('--tfs', action='store_true',
                     help='first report the accuracy of the float network and of the quantised '
                          'one before training')
  group.add_argument('--validation', action='store_true', help='only evaluate, train nothing')
  group = parser.add_argument_group('output')
  group.add_argument('--output_dir', default=paths.ADJ_QUANT, metavar='DIR',
                     help='folder for weights/, best_ckpt/ and logs/ (that of this script)')
  group.add_argument('--keep', type=int, default=5, metavar='N',
                     help='checkpoints of this run kept besides the best (%(default)s)')
  group.add_argument('--save_steps', type=int, default=0, metavar='N',
                     help='also save the state of the run every N steps within a mini-epoch '
                          '(%(default)s: only at its end)')
  group.add_argument('--restart', action='store_true',
                     help='start over instead of resuming an unfinished run; checkpoints are kept')
  group.add_argument('--export_training_graph', action='store_true',
                     help='write the training graph with its values to logs/training_graph.meta '
                          'and stop')
  group.add_argument('--export_inference_graph', action='store_true',
                     help='write the frozen network to logs/inference_graph.pb and stop')
  flags.add_deployment_flags(parser, 'compute')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Prepares a run, checks the float network, trains."""
  prepare_tensorflow()
  args = parse(argv)
  deploy = flags.deployment(args)
  cluster = plan_cluster(deploy)
  if cluster.job == 'ps':
    return members.serve_variables(cluster)
  check_towers(deploy, args.allow_growth)
  wanted = read_experiment(args, deploy, cluster)
  stack.allow_tf32(bool(args.tf32))
  if cluster.servers:
    return _take_part(wanted, args, cluster)
  folders = experiment.output_folders(args.output_dir)
  if not (args.validation or args.export_inference_graph or args.export_training_graph):
    with resume.locked(folders['weights']):
      _train(wanted, folders, args)
    return None
  network = loading.load_network(wanted.model, wanted.data, training=True)
  if args.export_inference_graph:
    export.export_inference_graph(network, wanted.model, folders['logs'])
  if args.export_training_graph:
    with experiment.prepared(wanted, network, folders) as run:
      export.export_training_graph(run.session, run.graph, folders['logs'])
  elif args.validation and not args.export_inference_graph:
    _validate(wanted, network, args.tfs)
  return None


def _take_part(wanted, args, cluster):
  """Runs a worker of a cluster, the chief or another; returns the status of the process."""
  if args.validation or args.export_inference_graph or args.export_training_graph:
    raise UserError('--validation and exports are for one process: leave out --ps_hosts')
  with members.joined(cluster, args.worker_timeout) as member:
    wanted = wanted._replace(processes=wanted.processes._replace(target=member.target))
    if not cluster.is_chief:
      config = resume.configuration(vars(args), wanted.model, experiment.replicas(wanted))
      return processes.work(wanted, config, member)
    folders = experiment.output_folders(args.output_dir)
    with resume.locked(folders['weights']), member.leading():
      return _train(wanted, folders, args, member)


def _train(wanted, folders, args, member=None):
  """Starts a run, or resumes the one in the folders unless it is complete."""
  config = resume.configuration(vars(args), wanted.model, experiment.replicas(wanted))
  state = resume.find_state(folders, config, args.restart)
  if state and state.finished:
    print('this run is complete (--restart starts over)')
    return _say_where(folders, state)
  network = loading.load_network(wanted.model, wanted.data, training=True) if state is None else (
      loading.described_network(state.model))
  team = member and processes.lead(wanted, config, network, member)
  with experiment.prepared(wanted, network, folders, team) as run:
    if state is None:
      accuracy = progress.check_start(run, args.teacher_path)
      if args.tfs:
        progress.report_start(run)
      state = loop.first_state(run, config, accuracy)
    else:
      loop.announce(run, state)
    _say_what_trains(wanted.config, network)
    state = loop.train(run, state)
  return _say_where(folders, state)


def _say_where(folders, state):
  print('last checkpoint: %s' % os.path.join(folders['weights'], state.last))
  print('best checkpoint: %s' % best_path(folders['best_ckpt']))


def _validate(wanted, network, with_float):
  teacher = loading.load_teacher(wanted.teacher_path, wanted.teacher,
                                 network.spec.classes) if with_float else None
  evaluation.print_report(
      evaluation.validate_network(network, teacher, wanted.data, wanted.model, wanted.processes))


def read_experiment(args, deploy=Deployment(), cluster=Cluster()):
  """The checked `Experiment` of parsed flags, and of a process among others."""
  for flag, least in (('keep', 1), ('save_steps', 0)):
    flags.need_whole(args, flag, least)
  for flag in ('lr_relative', 'freeze_classifier', 'freeze_kernels'):
    if args.weight_const and getattr(args, flag):
      raise UserError('--%s cannot be used with --weight_const: no weight is trained' % flag)
  # The state of a run tells it, for the last bits of a value depend on it.
  args.quantizer_impl = choose(args.quantizer_impl, allow_growth=args.allow_growth)
  measures = args.eval_initial_thresholds or args.gptq or args.start_metric is not None
  needs_data = measures or args.export_training_graph or not args.export_inference_graph
  return experiment.Experiment(
      config=flags.train_config(args), data=flags.training_data_options(args, needs_data),
      model=flags.model_options(args), teacher_path=args.teacher_path, teacher=args.tea_model,
      train_weights=not args.weight_const, keep=args.keep, save_steps=args.save_steps,
      flags=vars(args), processes=members.Processes(
          cluster=cluster, placement=place(deploy, cluster), timeout=args.worker_timeout))


def _say_what_trains(config, network):
  """Tells the user when flags and network make a part of the loss idle."""
  if not network.spec.precision.learns_bits:
    print('precision is fixed: beta has no effect (--bits_trainable learns it)')
  elif config.finetune:
    print('fine-tuning: precision stays as it is')


if __name__ == '__main__':
  sys.exit(main())
