"""Evaluates a checkpoint of train_image_classifier.py: counted top-1 and top-5.

    python eval_image_classifier.py --checkpoint_path=RUN --dataset_dir=DIR
"""

import json
import os
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  HERE = os.path.dirname(os.path.abspath(__file__))
  sys.path[0:1] = [HERE, os.path.join(os.path.dirname(HERE), 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

from command_line import CommandLine
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from scripts.errors import UserError, exits_with_status
from scripts.files import check_result, check_writable, read_json, write_file
from training.evaluation import EvalOptions, evaluate_checkpoint

_DESCRIPTION = """\
Evaluates a checkpoint once on every image of a split and prints the accuracy with its counts.

The model.json beside the checkpoint describes the network, its quantisation and moving averages. \
The flags about these are for checkpoints without it, and for comparisons."""


def command_line():
  """`CommandLine` of this script."""
  line = CommandLine(__file__, _DESCRIPTION)
  line.section('checkpoint')
  line.string('checkpoint_path', None, 'checkpoint, one of its files, or a folder (its latest)')
  line.choice('model_name', None, sorted(ARCHITECTURES), 'network')
  line.integer('num_classes', None, 'outputs of the head', least=2)
  line.boolean('quantize', None, 'evaluate with fake-quantisation nodes; --noquantize: its '
               'weights in the float network')
  line.boolean('moving_average', None, 'use the moving averages of the weights (default: if the '
               'checkpoint has them); --nomoving_average: the weights of the last step')
  line.section('data')
  line.string('dataset_dir', None, 'folder with TFRecords <split>-*')
  line.string('dataset_name', None, 'imagenet, fashion_mnist or image_folder (default: that of the '
              'folder)')
  line.string('dataset_split_name', 'validation', 'split to evaluate')
  line.integer('labels_offset', None, 'subtracted from a record\'s label (default: follows from '
               'head and records); a wrong one is refused; required if the training had another')
  line.integer('eval_image_size', None, 'side of the images in pixels (default: that of the '
               'training)', least=1)
  line.integer('batch_size', 100, 'images per step; the last one may have fewer', least=1)
  line.integer('max_num_images', 0, 'evaluate this many images, spread evenly over the set; 0: all',
               least=0)
  line.integer('num_preprocessing_threads', 4, 'images decoded in parallel', least=1)
  line.section('output')
  line.string('eval_dir', None, 'folder for a point in TensorBoard')
  line.string('json_out', None, 'file to write the results to')
  line.boolean('overwrite', False, 'replace a file of another kind at --json_out')
  line.boolean('allow_growth', False, 'allocate GPU memory as it is needed')
  return line


def parse(argv):
  """Flags; raises UserError for values out of range."""
  line = command_line()
  flags, _ = line.parse(argv)
  for name in ('checkpoint_path', 'dataset_dir'):
    if not getattr(flags, name):
      raise UserError('--%s is needed' % name)
  return flags


@exits_with_status
def main(argv=None):
  """Evaluates, prints, writes what is asked for."""
  prepare_tensorflow()
  flags = parse(sys.argv[1:] if argv is None else argv)
  if flags.json_out:
    check_result(flags.json_out, read_result, flags.overwrite)
  if flags.eval_dir:
    check_writable(flags.eval_dir)
  evaluation = evaluate_checkpoint(EvalOptions(*[getattr(flags, f) for f in EvalOptions._fields]))
  print('%s, %s%s' % (os.path.basename(evaluation.path),
                      'quantised' if evaluation.quantized else 'float',
                      ', moving averages' if evaluation.averages else ''))
  print('step %d: %s' % (evaluation.step, evaluation.accuracy))
  if evaluation.hint:
    print(evaluation.hint)
  numbers = {'top1': evaluation.accuracy.top1, 'top5': evaluation.accuracy.top5}
  if flags.eval_dir:
    _write_point(flags.eval_dir, evaluation.step, numbers)
  if flags.json_out:
    numbers.update(evaluation.accuracy._asdict(), step=evaluation.step, checkpoint=evaluation.path,
                   quantized=evaluation.quantized)
    write_file(flags.json_out, json.dumps(numbers, indent=1) + '\n')


def read_result(path):
  """The numbers that --json_out gave; raises UserError where the file holds something else."""
  content = read_json(path, 'result of an evaluation')
  if 'checkpoint' not in content or 'top1' not in content:
    raise UserError('%s is not a result of an evaluation' % path)
  return content


def _write_point(folder, step, values):
  """Adds the numbers to a TensorBoard log."""
  summary = tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value)
                              for tag, value in values.items()])
  with tf.summary.FileWriter(folder) as writer:
    writer.add_summary(summary, step)


if __name__ == '__main__':
  sys.exit(main())
