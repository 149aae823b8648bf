"""Writes the graph of a network for inference, without the values of its variables.

    python export_inference_graph.py --checkpoint_path=CKPT --output_file=GRAPH.pb
"""

import os
import sys
from typing import NamedTuple

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..')
  sys.path[0:1] = [os.path.normpath(os.path.join(ROOT, part)) for part in ('slim', 'adj_quant')]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

from command_line import CommandLine
from imagenet import IMAGENET, dataset_info
from nets.float_layers import FloatLayers
from nets.mobilenet.efficientnet_b0 import ARCHITECTURES
from nets.nets_factory import get_network
from quantization.scheme import evaluation_layers
from scripts.checkpoint_paths import find_checkpoint
from scripts.errors import UserError, exits_with_status
from scripts.files import check_file, write_new_file
from training.model_file import read_model

INPUT = 'input'
DESCRIPTION = '''\
Writes the graph of a network in evaluation mode, without the values of its variables. Input: \
"input", float32 [N, S, S, 3] in RGB 0..255. Output: "efficientnet_b0/Predictions/Reshape_1", the \
probability of each class [N, K]. freeze_graph.py adds the values of a checkpoint.
Options not given come from the model.json beside --checkpoint_path or from the data set.'''


class GraphOptions(NamedTuple):
  """All that decides a graph."""
  model_name: str
  num_classes: int
  image_size: int  # Pixels a side.
  quantize: bool
  batch_size: int  # None: any.


def _command_line():
  line = CommandLine(__file__, DESCRIPTION)
  line.string('output_file', None, 'binary GraphDef to write')
  line.string('checkpoint_path', None, 'checkpoint, or its folder, that the graph is for')
  line.choice('model_name', None, sorted(ARCHITECTURES),
              'network (without a checkpoint: efficientnet_b0)')
  line.boolean('quantize', None, 'with the fake-quantisation nodes of quantisation-aware training '
                                 '(default without a checkpoint: no)')
  line.integer('image_size', None, "side of the images in pixels (without a checkpoint: the "
                                   "network's)", least=1)
  line.integer('num_classes', None, 'outputs of the classifier (without a checkpoint: those of the '
                                    'data set)', least=2)
  line.string('dataset_dir', None, 'without a checkpoint: folder of TFRecords of the data set '
                                   '(default: ImageNet, 1000 classes)')
  line.integer('batch_size', None, 'images per batch, fixed in the graph (default: any number)',
               least=1)
  line.boolean('overwrite', False, 'replace another graph at --output_file')
  return line


def graph_options(flags):
  """`GraphOptions` of the flags, of the checkpoint's model.json and of the data set, in that order.

  Raises:
    UserError: a flag contradicts the model.json.
  """
  if flags.checkpoint_path and flags.dataset_dir:
    raise UserError('--dataset_dir: the model.json beside --checkpoint_path gives the number of '
                    'classes; leave one of the two flags out')
  options = _defaults(flags)
  given = {name: getattr(flags, name) for name in options._fields
           if getattr(flags, name) is not None}
  for name in ('model_name', 'num_classes'):
    if flags.checkpoint_path and given.get(name, getattr(options, name)) != getattr(options, name):
      raise UserError('--%s=%s: the checkpoints at %s have %s'
                      % (name, given[name], flags.checkpoint_path, getattr(options, name)))
  if flags.checkpoint_path and given.get('quantize') and not options.quantize:
    raise UserError('--quantize: the checkpoints at %s are of a float network, without ranges to '
                    'quantise with' % flags.checkpoint_path)
  return options._replace(**given)


def _defaults(flags):
  """`GraphOptions` as far as they are not given by flags."""
  if not flags.checkpoint_path:
    network = get_network(flags.model_name or 'efficientnet_b0')
    info = dataset_info(flags.dataset_dir) if flags.dataset_dir else IMAGENET
    return GraphOptions(network.name, info.classes, network.architecture.image_size, False, None)
  # A folder may hold a model.json before it has a checkpoint, or name one elsewhere.
  stored = read_model(flags.checkpoint_path) or read_model(find_checkpoint(flags.checkpoint_path))
  if not stored:
    raise UserError('there is no model.json beside --checkpoint_path=%s: leave that out and give '
                    '--model_name, --num_classes, --image_size' % flags.checkpoint_path)
  model, _ = stored
  return GraphOptions(model.model_name, model.num_classes, model.image_size, model.quantized, None)


def build_graph(options):
  """The network from placeholder to predictions, and nothing else.

  Args:
    options: `GraphOptions`.

  Returns:
    tf.GraphDef, and the name of its output node.
  """
  network = get_network(options.model_name)
  size = options.image_size
  with tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [options.batch_size, size, size, 3], INPUT)
    layers = evaluation_layers() if options.quantize else FloatLayers()
    _, end_points = network.build(images, options.num_classes, is_training=False, layers=layers)
    output = end_points['Predictions'].op.name
    layers.finish(graph)
    return tf.graph_util.extract_sub_graph(graph.as_graph_def(), [output]), output


@exits_with_status
def main(argv=None):
  """Builds and writes."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  if not flags.output_file:
    raise UserError('--output_file is needed: the GraphDef to write')
  check_file(flags.output_file)
  options = graph_options(flags)
  graph, output = build_graph(options)
  # The same graph gives the same bytes, so that making it again replaces nothing.
  write_new_file(flags.output_file, graph.SerializeToString(deterministic=True), flags.overwrite)
  print('%s%s: %s [%s, %d, %d, 3] -> %s [%d classes], %d nodes -> %s'
        % (options.model_name, ', quantised' if options.quantize else '', INPUT,
           options.batch_size or 'N', options.image_size, options.image_size, output,
           options.num_classes, len(graph.node), flags.output_file))


if __name__ == '__main__':
  sys.exit(main())
