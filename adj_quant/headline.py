"""Compresses ImageNet's network to the original's metric with few photos: `make headline`, or

    python headline.py --dataset DIR --work_dir ../build/headline
"""

import math
import os
import sys
from typing import NamedTuple

import dataset_utils
from demo import identify
from scripts.demo import processes, runner
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_writable, read_json
from scripts.headline import plan
from scripts.paths import BUILD
from scripts.reporting.results import accuracy_part, describe_difference
from scripts.runtime import prepare_tensorflow
from scripts.trainer.config import Steps, TrainConfig


class Job(NamedTuple):
  """What stages work on."""
  dataset: str
  work: str
  source: str  # Identifies the records.
  images: int  # For training.

  def decay_over(self, epochs):
    """Decay a step with which a learning rate falls to `Recipe.lr_end` of it in `epochs`."""
    recipe = plan.Recipe()
    steps = Steps.of(self.images, TrainConfig(batch_size=recipe.batch_size)).epoch * epochs
    return -math.log(recipe.lr_end) / steps


def add_common_flags(parser, name):
  """Flags for data and results; `name` is that of the folder in build/."""
  parser.add_argument('-d', '--dataset', metavar='DIR', required=True,
                      help='folder with TFRecords train-* and validation-*, ImageNet\'s classes')
  parser.add_argument('--work_dir', default=os.path.join(BUILD, name),
                      metavar='DIR', help='holds all that is made (build/%s)' % name)
  parser.add_argument('--images_dir', metavar='DIR', help='folder for pictures (in --work_dir)')


def parse(argv):
  """Flags of the recipe."""
  recipe = plan.Recipe()
  parser = ArgumentParser(
      'Trains ImageNet\'s EfficientNet-B0 from float weights to the published metric %g on the '
      'training photos of a folder of records, and evaluates it once on its validation photos. '
      'What is done is not done again; an interrupted run goes on with the same command.'
      % plan.METRIC)
  add_common_flags(parser, 'headline')
  parser.add_argument('--epochs', type=int, default=recipe.epochs, metavar='E',
                      help='epochs of training (%(default)s)')
  parser.add_argument('--finetune_epochs', type=int, default=recipe.finetune_epochs,
                      metavar='E', help='epochs at a low rate after them, averaged (%(default)s)')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Runs what is not done yet, prints the result."""
  prepare_tensorflow()
  args = parse(argv)
  job = prepare(args, ('epochs', 'finetune_epochs'), 1)
  recipe = plan.Recipe(epochs=args.epochs, finetune_epochs=args.finetune_epochs)
  images_dir = args.images_dir and os.path.abspath(args.images_dir)
  run(job, plan.stages(job.work, job.dataset, recipe, job.decay_over(args.epochs), images_dir))
  report(os.path.join(job.work, 'evaluation', 'result.json'))


def prepare(args, lengths, unit):
  """The checked `Job` of parsed flags, of which those named `lengths` are multiples of `unit`."""
  for flag in lengths:
    value = getattr(args, flag)
    if not value >= unit or value % unit:  # Infinity and NaN have no remainder that is 0.
      raise UserError('--%s %g: must be a multiple of %g' % (flag, value, unit))
  dataset = os.path.abspath(args.dataset)
  source = identify(dataset)
  dataset_utils.find_split(dataset, 'validation')
  images = dataset_utils.find_split(dataset, 'train').count
  check_writable(args.work_dir)
  return Job(dataset, os.path.abspath(args.work_dir), source, images)


def run(job, stages, branches=()):
  """Runs those of the `demo.plan.Stage`s that are not done.

  Args:
    job: `Job`.
    stages: list, each of which depends on those before it.
    branches: such lists that depend on `stages` but not on each other.
  """
  runner.end_on_sigterm()
  with runner.sole_user(job.work):
    processes.preload()
    total = len(stages) + sum(map(len, branches))
    stage_runner = runner.Runner(job.work, job.source, total)
    for stage in stages:
      stage_runner.run(stage)
    for branch in branches:
      stage_runner.run_branch(branch)


def report(path):
  """Prints what eval.py wrote to `path` of the compressed network and of the float one."""
  found = read_json(path, 'evaluation')
  print('float %.2f %% (%d of %d), compressed %.2f %% (%d of %d), metric %.6f (official %.6f), '
        'mean bits: weights %.2f, activations %.2f' % (
            found['float_top1'], found['float_correct'], found['images'], found['top1'],
            found['correct'], found['images'], found['published_metric'],
            found['official_metric'], found['mean_weight_bits'], found['mean_act_bits']))
  print('compressed to float: %s' % describe_difference(
      accuracy_part(found), accuracy_part(found, 'float_')))
  print('result: %s' % path)


if __name__ == '__main__':
  sys.exit(main())
