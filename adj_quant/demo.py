"""Runs every stage of the method on a small data set: `make demo`, or

    python demo.py --work_dir ../build/demo [--dataset DIR] [--quick]
"""

import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import dataset_utils
from imagenet import IMAGENET
from scripts.demo import outcome, plan
from scripts.errors import ArgumentParser, UserError, exits_with_status
from scripts.files import check_writable
from scripts.paths import FASHION_MNIST_SUBSET
from scripts.pipeline import processes, runner


def parse(argv):
  """Flags of a demonstration."""
  parser = ArgumentParser(
      'Runs every stage of the method: float training from the ImageNet weights, '
      'quantisation-aware training, freezing, training of ranges and bit-widths, averaging, '
      'evaluation, report. Completed stages are skipped; an interrupted run resumes.')
  parser.add_argument('--work_dir', required=True, metavar='DIR',
                      help='folder for all output: results.json and report.html of the last '
                           'run, and a folder per kind of run')
  parser.add_argument('--images_dir', metavar='DIR',
                      help='folder for the pictures of the bits (work_dir)')
  parser.add_argument('--dataset', default='', metavar='DIR',
                      help='your TFRecords train-* and validation-* (empty: the Fashion-MNIST '
                           'subset of this repository)')
  parser.add_argument('--image_size', type=int, metavar='PIXELS',
                      help='side of the square images in pixels (32 for the subset, else 224)')
  parser.add_argument('--quick', action='store_true',
                      help='smoke test: a few steps on a few images')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Runs the remaining stages; prints and writes the results."""
  prepare_tensorflow()
  args = parse(argv)
  dataset = args.dataset and os.path.abspath(args.dataset)
  image_size = (224 if dataset else 32) if args.image_size is None else args.image_size
  if image_size < 32:
    raise UserError('--image_size %d: must be 32 or more' % image_size)
  images = dataset or FASHION_MNIST_SUBSET
  work = os.path.join(os.path.abspath(args.work_dir), '%s_%s_%dpx' % (
      'quick' if args.quick else 'full', os.path.basename(images), image_size))
  if dataset and (dataset + os.sep).startswith(work + os.sep):
    raise UserError('--dataset %s is a folder of the demonstration itself: copy the records'
                    % dataset)
  source = runner.identify_files(images)
  check_writable(work)
  with runner.sole_user(work):
    _run(args, work, dataset, image_size, source)


def _run(args, work, dataset, image_size, source):
  """Runs the remaining stages in the folder `work`."""
  processes.preload()
  recipe = plan.fit(plan.QUICK if args.quick else plan.FULL, image_size)
  first = plan.check_stage(work, dataset) if dataset else plan.data_stage(work)
  stages = runner.Runner(work, source, plan.STAGES)
  stages.run(first)
  data = describe(dataset or os.path.join(work, first.name), image_size, recipe)
  for stage in plan.stages(work, data, recipe):
    stages.run(stage)
  outcome.finish(work, os.path.abspath(args.work_dir), args.images_dir or work, stages.seconds)


def describe(folder, image_size, recipe):
  """The `plan.Data` of the records in `folder`."""
  split = dataset_utils.find_split(folder, 'train', recipe.train_images)
  dataset_utils.find_split(folder, 'validation')
  if split.count < recipe.batch_size:
    raise UserError('%s has %d training images, the demonstration needs %d or more'
                    % (folder, split.count, recipe.batch_size))
  records = dataset_utils.find_split(folder, 'train').count
  return plan.Data(
      folder=folder, records=records, images=split.count, classes=split.info.classes,
      keeps_head=split.info == IMAGENET, image_size=image_size)


if __name__ == '__main__':
  sys.exit(main())
