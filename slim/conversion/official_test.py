"""Names in official checkpoints, and that nothing in one is passed over in silence."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from conversion import official
from nets.mobilenet.efficientnet_b0 import efficientnet_b0
from scripts.effnetb0.architecture import EFFICIENTNET_B0, layers
from scripts.effnetb0.slim_names import bias_names, kernel_name
from scripts.errors import UserError
from scripts.testing.network import TINY
from testing.chain import write_arrays

# Official convolution, its batch norm (else it has a bias), our scope, official shape of the
# kernel: written down by hand for the tiny network.
TABLE = '''
stem/conv2d                stem/tpu_batch_normalization       Conv                      3,3,3,8
blocks_0/depthwise_conv2d  blocks_0/tpu_batch_normalization   expanded_conv/depthwise   3,3,8,1
blocks_0/se/conv2d         -                                  expanded_conv/se_1        1,1,8,2
blocks_0/se/conv2d_1       -                                  expanded_conv/se_2        1,1,2,8
blocks_0/conv2d            blocks_0/tpu_batch_normalization_1 expanded_conv/project     1,1,8,4
blocks_1/conv2d            blocks_1/tpu_batch_normalization   expanded_conv_1/expand    1,1,4,8
blocks_1/depthwise_conv2d  blocks_1/tpu_batch_normalization_1 expanded_conv_1/depthwise 3,3,8,1
blocks_1/se/conv2d         -                                  expanded_conv_1/se_1      1,1,8,1
blocks_1/se/conv2d_1       -                                  expanded_conv_1/se_2      1,1,1,8
blocks_1/conv2d_1          blocks_1/tpu_batch_normalization_2 expanded_conv_1/project   1,1,8,6
blocks_2/conv2d            blocks_2/tpu_batch_normalization   expanded_conv_2/expand    1,1,6,12
blocks_2/depthwise_conv2d  blocks_2/tpu_batch_normalization_1 expanded_conv_2/depthwise 3,3,12,1
blocks_2/se/conv2d         -                                  expanded_conv_2/se_1      1,1,12,1
blocks_2/se/conv2d_1       -                                  expanded_conv_2/se_2      1,1,1,12
blocks_2/conv2d_1          blocks_2/tpu_batch_normalization_2 expanded_conv_2/project   1,1,12,6
head/conv2d                head/tpu_batch_normalization       Conv_1                    1,1,6,16
head/dense                 -                                  Logits/Conv2d_1c_1x1      16,4
'''


def made_up():
  """Dict official name -> array, and dict official name -> name of ours."""
  random, arrays, ours = np.random.RandomState(0), {}, {}

  def add(name, our_name, shape):
    arrays['tiny/' + name] = random.uniform(0.5, 2, shape).astype(np.float32)
    ours['tiny/' + name] = 'efficientnet_b0/' + our_name

  for line in TABLE.split('\n')[1:-1]:
    convolution, norm, scope, shape = line.split()
    shape = [int(size) for size in shape.split(',')]
    depthwise = 'depthwise' in convolution
    outputs = shape[2] if depthwise else shape[-1]
    prefix = 'depthwise_' if depthwise else ''
    add('%s/%skernel' % (convolution, prefix), '%s/%sweights' % (scope, prefix), shape)
    if norm == '-':
      add(convolution + '/bias', scope + '/biases', [outputs])
    else:
      for part in ('gamma', 'beta', 'moving_mean', 'moving_variance'):
        add('%s/%s' % (norm, part), '%s/BatchNorm/%s' % (scope, part), [outputs])
  return arrays, ours


def read(folder, arrays):
  """`Official` of a checkpoint with the arrays."""
  write_arrays(folder / 'model.ckpt', arrays)
  return official.read_official(str(folder / 'model.ckpt'), TINY, 'tiny')


def refusal(folder, arrays):
  with pytest.raises(UserError) as error:
    read(folder, arrays)
  return str(error.value)


def test_every_value_comes_under_our_name(tmp_path):
  arrays, ours = made_up()
  actual = read(tmp_path, arrays)
  assert actual.classes == 4 and actual.averages == 0 and not actual.unused
  assert set(actual.values) == set(ours.values()) and len(ours) == len(arrays)
  for name, value in arrays.items():
    np.testing.assert_array_equal(actual.values[ours[name]].ravel(), value.ravel())
  assert actual.values['efficientnet_b0/Logits/Conv2d_1c_1x1/weights'].shape == (1, 1, 16, 4)


def test_averages_are_preferred_and_the_rest_is_explained(tmp_path):
  arrays, ours = made_up()
  name = 'tiny/blocks_1/conv2d_1/kernel'
  more = dict(arrays, global_step=np.int64(7))
  more[name + '/ExponentialMovingAverage'] = arrays[name] + 1
  more[name + '/RMSProp'] = more[name + '/RMSProp_1'] = arrays[name]
  actual = read(tmp_path, more)
  np.testing.assert_array_equal(actual.values[ours[name]], arrays[name] + 1)
  assert actual.averages == 1
  assert actual.unused == {'counters of the training': ['global_step'],
                           'values beside their moving averages': [name],
                           'slots of the optimiser': [name + '/RMSProp', name + '/RMSProp_1']}


@pytest.mark.parametrize('name, value, message', [
    ('tiny/blocks_2/conv2d/kernel', None, 'has no tiny/blocks_2/conv2d/kernel (1 of the '),
    ('tiny/blocks_3/conv2d/kernel', np.zeros([1, 1, 6, 12], np.float32),
     'variable tiny/blocks_3/conv2d/kernel is unknown'),
    ('tiny/blocks_3/conv2d/kernel/RMSProp', np.zeros([1], np.float32), 'RMSProp is unknown'),
    ('tiny/head/conv2d/kernel', np.zeros([1, 1, 16, 6], np.float32),
     'tiny/head/conv2d/kernel has the shape [1, 1, 16, 6], layer Conv_1 of tiny needs '
     '[1, 1, 6, 16]')])
def test_refusals(tmp_path, name, value, message):
  arrays, _ = made_up()
  arrays[name] = value
  assert message in refusal(tmp_path, {n: v for n, v in arrays.items() if v is not None})


def test_names_of_b0():
  names = official.official_names(EFFICIENTNET_B0, official.official_scope('efficientnet_b0'))
  assert len(names) == len(set(names.values())) == 311
  table = layers(EFFICIENTNET_B0, 224, 1)
  assert set(names) == {name for layer in table
                        for name in [kernel_name(layer)] + bias_names(layer)}
  for ours, expected in (
      ('expanded_conv/project/weights', 'blocks_0/conv2d/kernel'),
      ('expanded_conv/depthwise/BatchNorm/gamma', 'blocks_0/tpu_batch_normalization/gamma'),
      ('expanded_conv_15/project/BatchNorm/beta', 'blocks_15/tpu_batch_normalization_2/beta'),
      ('expanded_conv_15/se_2/biases', 'blocks_15/se/conv2d_1/bias'),
      ('expanded_conv_7/depthwise/depthwise_weights',
       'blocks_7/depthwise_conv2d/depthwise_kernel'),
      ('Logits/Conv2d_1c_1x1/weights', 'head/dense/kernel')):
    assert names['efficientnet_b0/' + ours] == 'efficientnet-b0/' + expected


@pytest.mark.full
def test_a_checkpoint_of_b0_fills_our_network(tmp_path):
  with tf.Graph().as_default():
    efficientnet_b0(tf.zeros([1, 32, 32, 3]))
    shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
  names = official.official_names(EFFICIENTNET_B0, 'efficientnet-b0')
  arrays = {names[ours]: np.zeros(shape, np.float32) for ours, shape in shapes.items()}
  arrays['efficientnet-b0/head/dense/kernel'] = np.zeros([1280, 1000], np.float32)
  write_arrays(tmp_path / 'model.ckpt', arrays)
  actual = official.read_official(str(tmp_path / 'model.ckpt'), EFFICIENTNET_B0, 'efficientnet-b0')
  assert {name: list(value.shape) for name, value in actual.values.items()} == shapes
  assert actual.classes == 1000 and not actual.unused
