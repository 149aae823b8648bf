"""Compresses EfficientNet-B0 to the original's metric with few photos: `make headline`, or

    python headline.py --dataset DIR --work_dir ../build/headline
"""

import os
import sys

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from scripts.errors import ArgumentParser, exits_with_status
from scripts.files import read_json
from scripts.headline import plan
from scripts.headline.job import add_common_flags, prepare, run
from scripts.reporting.results import accuracy_part, describe_difference


def parse(argv):
  """Flags of the recipe."""
  recipe = plan.Recipe()
  parser = ArgumentParser(
      'Compresses EfficientNet-B0 from float weights to the published metric %g on the training '
      'photos of a folder of ImageNet records, and evaluates it once on the validation photos. '
      'Completed stages are skipped; an interrupted run resumes with the same command.'
      % plan.METRIC)
  add_common_flags(parser, 'headline')
  parser.add_argument('--epochs', type=int, default=recipe.epochs, metavar='E',
                      help='epochs of training (%(default)s)')
  parser.add_argument('--finetune_epochs', type=int, default=recipe.finetune_epochs,
                      metavar='E', help='epochs of fine-tuning, averaged (%(default)s)')
  return parser.parse_args(argv)


@exits_with_status
def main(argv=None):
  """Runs the remaining stages, prints the result."""
  prepare_tensorflow()
  args = parse(argv)
  job = prepare(args, ('epochs', 'finetune_epochs'), 1)
  recipe = plan.Recipe(epochs=args.epochs, finetune_epochs=args.finetune_epochs)
  images_dir = args.images_dir and os.path.abspath(args.images_dir)
  run(job, plan.stages(job.work, job.dataset, recipe, job.decay_over(args.epochs), images_dir))
  report(os.path.join(job.work, 'evaluation', 'result.json'))


def report(path):
  """Prints what eval.py wrote to `path` of the compressed network and of the float one."""
  result = read_json(path, 'evaluation')
  print('float %.2f %% (%d of %d), compressed %.2f %% (%d of %d), metric %.6f (official %.6f), '
        'mean bits: weights %.2f, activations %.2f' % (
            result['float_top1'], result['float_correct'], result['images'], result['top1'],
            result['correct'], result['images'], result['published_metric'],
            result['official_metric'], result['mean_weight_bits'], result['mean_act_bits']))
  print('compressed to float: %s' % describe_difference(
      accuracy_part(result), accuracy_part(result, 'float_')))
  print('result: %s' % path)


if __name__ == '__main__':
  sys.exit(main())
