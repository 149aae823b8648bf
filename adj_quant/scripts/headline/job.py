"""What the recipe and the comparison share: flags, checks of the inputs, running the stages."""

import math
import os
from typing import NamedTuple

import dataset_utils
from scripts.errors import UserError
from scripts.files import check_writable
from scripts.headline import plan
from scripts.paths import BUILD
from scripts.pipeline import processes, runner
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
    steps = Steps.of(self.images, recipe.batch_size, TrainConfig().mini_epochs).epoch * epochs
    return -math.log(recipe.lr_end) / steps


def add_common_flags(parser, name):
  """Flags for data and results; `name` is that of the folder in build/."""
  parser.add_argument('-d', '--dataset', metavar='DIR', required=True,
                      help='folder with TFRecords train-* and validation-*, ImageNet\'s classes')
  parser.add_argument('--work_dir', default=os.path.join(BUILD, name),
                      metavar='DIR', help='folder for all output (build/%s)' % name)
  parser.add_argument('--images_dir', metavar='DIR', help='folder for the pictures (in --work_dir)')


def prepare(args, lengths, unit):
  """The checked `Job` of parsed flags, of which those named `lengths` are multiples of `unit`."""
  for flag in lengths:
    value = getattr(args, flag)
    if not value >= unit or value % unit:  # Infinity and NaN have no remainder that is 0.
      raise UserError('--%s %g: must be a multiple of %g' % (flag, value, unit))
  dataset = os.path.abspath(args.dataset)
  source = runner.identify_files(dataset)
  dataset_utils.find_split(dataset, 'validation')
  images = dataset_utils.find_split(dataset, 'train').count
  check_writable(args.work_dir)
  return Job(dataset, os.path.abspath(args.work_dir), source, images)


def run(job, stages, branches=()):
  """Runs the `stages.Stage`s that are not complete.

  Args:
    job: `Job`.
    stages: list, each of which depends on those before it.
    branches: such lists that depend on `stages` but not on each other.
  """
  with runner.sole_user(job.work):
    processes.preload()
    total = len(stages) + sum(map(len, branches))
    stage_runner = runner.Runner(job.work, job.source, total)
    for stage in stages:
      stage_runner.run(stage)
    for branch in branches:
      stage_runner.run_branch(branch)
