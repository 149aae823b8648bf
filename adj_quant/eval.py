"""Evaluates a quantised EfficientNet: accuracy, both metrics, bits of every channel.

    python eval.py --dataset DIR --ckpt_path best_ckpt/ckpt_metric_0.182997 --tfs
"""

import json
import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts import paths, stack
from scripts.cluster.placement import check_towers, place
from scripts.cluster.plan import plan_cluster
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_result, write_file
from scripts.quant_info import read_quant_info, write_quant_info
from scripts.trainer import evaluation, flags, loading
from scripts.trainer.run import resume
from scripts.trainer.run.processes import check_same
from scripts.trainer.team import members
from scripts.trainer.team.work import Lead

QUANT_INFO = os.path.join(paths.ADJ_QUANT, 'quant_info.json')


def parse(argv):
  """Flags of an evaluation."""
  parser = ArgumentParser(
      'Evaluates a quantised EfficientNet: a checkpoint, or without --ckpt_path the untrained '
      'network at the precision of the flags.')
  flags.add_data_flags(parser, 50, 'the original recipe\'s')
  flags.add_model_flags(parser)
  group = parser.add_argument_group('evaluation')
  group.add_argument('--tfs', action='store_true',
                     help='report the float network on the same images as well')
  flags.add_teacher_flags(group)
  group.add_argument('--quant_info', default=QUANT_INFO, metavar='FILE',
                     help='where the bits of every channel are written (quant_info.json)')
  group.add_argument('--json_out', metavar='FILE', help='write the results as JSON')
  flags.add_deployment_flags(parser, 'evaluate a slice of the images each')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Evaluates once, prints, writes quant_info.json."""
  prepare_tensorflow()
  args = parse(argv)
  data_options, options = flags.data_options(args), flags.model_options(args)
  stack.allow_tf32(bool(args.tf32))
  check_result(args.quant_info, read_quant_info, args.overwrite or args.quant_info == QUANT_INFO)
  if args.json_out:
    check_result(args.json_out, evaluation.read_result, args.overwrite)
  if args.json_out and os.path.realpath(args.json_out) == os.path.realpath(args.quant_info):
    raise UserError('--json_out and --quant_info name one file, %s: choose two' % args.json_out)
  deploy = flags.deployment(args)
  cluster = plan_cluster(deploy)
  if cluster.job == 'ps':
    return members.serve_variables(cluster)
  check_towers(deploy, args.allow_growth)
  processes = members.Processes(cluster, place(deploy, cluster), args.worker_timeout)
  if not cluster.servers:
    return _evaluate(args, data_options, options, processes)
  with members.joined(cluster, args.worker_timeout) as member:
    processes = processes._replace(target=member.target)
    if not cluster.is_chief:
      return _follow(args, data_options, options, processes, member)
    with member.leading():
      return _evaluate(args, data_options, options, processes, member)


def _evaluate(args, data_options, options, processes, member=None):
  """Evaluates alone or as the chief of a cluster, prints, writes."""
  network = loading.load_network(options, data_options)
  team = None
  if member:
    token = member.publish(_configuration(args, options), loading.describe_network(network))
    team = Lead(processes.cluster, token, processes.timeout)
  report = evaluation.validate_network(network, _teacher(args, network), data_options, options,
                                       processes, team)
  write_quant_info(args.quant_info, report.cost.bits, report.cost.settings)
  evaluation.print_report(report)
  print('bits of every channel -> %s' % args.quant_info)
  if args.json_out:
    write_file(args.json_out, json.dumps(evaluation.as_json(report), indent=1) + '\n')


def _follow(args, data_options, options, processes, member):
  """Evaluates what the chief leaves to this worker; returns the status of the process."""
  notice = member.receive(processes.timeout)
  check_same(notice.config, _configuration(args, options))
  network = loading.described_network(notice.model)
  status = evaluation.follow_chief(network, _teacher(args, network), data_options, options,
                                   processes, notice.token)
  member.leave()
  return status


def _teacher(args, network):
  return loading.load_teacher(args.teacher_path, args.tea_model,
                              network.spec.classes) if args.tfs else None


def _configuration(args, options):
  """What chief and workers must agree on."""
  config = resume.configuration(vars(args), options)
  config['flags']['tfs'] = args.tfs
  return config


if __name__ == '__main__':
  sys.exit(main())
