"""EfficientNet in TF-Slim, from the same table of architectures as in adj_quant.

    python efficientnet_b0.py --output model_info.json --image_size 224 --num_classes 1000

As a script it builds the network, counts parameters and operations of the convolutions it finds in
the graph, compares them with the table's and writes model_info.json.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
2019.
"""

import collections
import itertools
import os
import sys

if __name__ == '__main__':  # Run as a script; whoever imports this module sets the path himself.
  sys.path[0:1] = [os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..', *part))
                   for part in ([], ['..', 'adj_quant'])]

from scripts.runtime import prepare_tensorflow  # Before TensorFlow is imported.

import tensorflow.compat.v1 as tf

from command_line import CommandLine
from contrib import slim
from nets import counting
from nets.float_layers import FloatLayers
from nets.mobilenet import conv_blocks
from scripts.effnetb0.architecture import EFFICIENTNET_B0, EFFICIENTNET_B1, EFFICIENTNET_LITE0
from scripts.effnetb0.network_quantizers import swish
from scripts.errors import exits_with_status
from scripts.files import check_file, write_new_file

ROOT = os.path.normpath(os.path.join(os.path.abspath(__file__), '..', '..', '..', '..'))
# By the names of the flag --model_name.
ARCHITECTURES = {'efficientnet_b0': EFFICIENTNET_B0, 'efficientnet_b1': EFFICIENTNET_B1,
                 'efficientnet_lite0': EFFICIENTNET_LITE0}
SCOPE = 'efficientnet_b0'  # Of the variables of the whole family: the chain to adj_quant reads it.
MODEL_INFO = os.path.join(ROOT, 'adj_quant', 'model_info.json')
_ACTIVATIONS = {'swish': swish, 'relu6': tf.nn.relu6}
_SEEDS = 1000  # More than any network has random ops.


def efficientnet_b0(images, num_classes=1000, is_training=False, architecture=EFFICIENTNET_B0,
                    scope=SCOPE, dropout=0.2, drop_connect=0.2, batch_norm_decay=0.99,
                    weight_decay=0.0, reuse=None, seed=0, layers=FloatLayers()):
  """Logits of an EfficientNet.

  Args:
    images: float32 [N, S, S, 3], RGB 0..255; N may be unknown.
    num_classes: K.
    is_training: True: batch norm by the batch's statistics (run the UPDATE_OPS with the training
      step), dropout, drop-connect.
    architecture: an `Architecture`; the name of this function is its default.
    scope: of all variables.
    dropout: probability of dropping a feature before the classifier, 0 <= p < 1.
    drop_connect: probability that a block of the network's end with a skip is dropped for an
      image; it rises linearly from 0 at the first block.
    batch_norm_decay: of the moving averages.
    weight_decay: L2 on kernels, in the collection REGULARIZATION_LOSSES.
    reuse: True: the variables exist.
    seed: whole number; networks of different seeds share no random op.
    layers: what the network is made of, see `quantization.scheme`.

  Returns:
    logits float32 [N, K] and an ordered dict of end points: 'Conv', 'expanded_conv/depthwise',
    ..., 'expanded_conv', ..., 'Conv_1', 'global_pool', 'Logits', 'Predictions' (softmax [N, K]).
  """
  options = conv_blocks.Options(is_training, _ACTIVATIONS[architecture.activation],
                                batch_norm_decay, weight_decay, itertools.count(_SEEDS * seed),
                                layers)
  end_points = collections.OrderedDict()
  with tf.variable_scope(scope, reuse=reuse):
    mean, std = (tf.constant(v, tf.float32) for v in (architecture.mean, architecture.std))
    x = end_points['Conv'] = conv_blocks.convolution(
        (images - mean) / std, architecture.stem, 3, options, 'Conv', options.activation, 2)
    for index, block in enumerate(architecture.blocks):
      x, block_points = conv_blocks.inverted_bottleneck(
          x, block, architecture.squeezed(block), options,
          drop_connect * index / len(architecture.blocks), block_scope(index))
      end_points.update(block_points)
    x = end_points['Conv_1'] = conv_blocks.convolution(
        x, architecture.head, 1, options, 'Conv_1', options.activation)
    x = end_points['global_pool'] = conv_blocks.pool(x, options, 'global_pool')
    logits = end_points['Logits'] = _logits(x, num_classes, dropout, options)
    end_points['Predictions'] = slim.softmax(logits, scope='Predictions')
  return logits, end_points


def block_scope(index):
  """Scope of a block; the first one has no number."""
  return 'expanded_conv_%d' % index if index else 'expanded_conv'


def _logits(x, num_classes, dropout, options):
  """[N, 1, 1, C] -> [N, num_classes]."""
  with tf.variable_scope('Logits'):
    x = conv_blocks.dropout(x, dropout, options, 'dropout')
    x = conv_blocks.classifier(x, num_classes, options, 'Conv2d_1c_1x1')
    return tf.squeeze(x, [1, 2], name='SpatialSqueeze')


def _command_line():
  line = CommandLine(__file__, 'Counts the parameters and operations of a network in its graph and '
                               'writes model_info.json for adj_quant.')
  line.string('output', MODEL_INFO, 'file to write')
  line.choice('model_name', 'efficientnet_b0', sorted(ARCHITECTURES), 'network')
  line.integer('image_size', 224, 'side of the images in pixels', least=1)
  line.integer('num_classes', 1000, 'outputs of the classifier', least=1)
  line.boolean('overwrite', False, 'replace an --output of other counts')
  return line


@exits_with_status
def main(argv=None):
  """Builds, counts, compares and writes."""
  prepare_tensorflow()
  flags, _ = _command_line().parse(sys.argv[1:] if argv is None else argv)
  check_file(flags.output)
  architecture = ARCHITECTURES[flags.model_name]
  with tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [1, flags.image_size, flags.image_size, 3])
    efficientnet_b0(images, flags.num_classes, architecture=architecture)
    counts = counting.count_layers(graph, SCOPE)
    trained = sum(v.shape.num_elements() for v in tf.trainable_variables())
  info = counting.checked_model_info(counts, architecture, flags.image_size, flags.num_classes)
  write_new_file(flags.output, counting.model_info_text(info).encode('utf-8'), flags.overwrite)
  print('%s at %d px, %d classes: %d convolutions, %d parameters (%d with batch norm folded), '
        '%d multiply-accumulates -> %s'
        % (flags.model_name, flags.image_size, flags.num_classes, len(counts), trained,
           sum(layer.params + layer.outputs for layer in counts.values()),
           sum(layer.macs for layer in counts.values()), flags.output))


if __name__ == '__main__':
  sys.exit(main())
