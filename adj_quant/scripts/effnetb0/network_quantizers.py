"""The quantisers of a network: float, TensorFlow's ops on grids, those in XLA, and fused ops.

A quantiser has the nodes of a network (`image`, `weights`, `bias`, `swish_input`, `activation`) and
what lies between convolutions, made of those nodes (`activate`, `activate_and_pool`, `scale`,
`depthwise`). `FusedQuantizer` computes each of the latter in one pass over memory.

Shape letters: N images, H and W pixels, C channels.
"""

import tensorflow.compat.v1 as tf

from scripts import stack
from scripts.effnetb0.quantizers import Grid, fake_quantize


def swish(x):
  """x * sigmoid(x), of ordinary ops: the gradient of tf.nn.swish runs as a slow function call."""
  return x * tf.sigmoid(x)


FUNCTIONS = {'identity': lambda x: x, 'relu6': tf.nn.relu6, 'swish': swish, 'sigmoid': tf.sigmoid}


class FloatQuantizer:
  """Quantises nothing: the float32 network."""

  def image(self, x):
    """The image as it is."""
    return x

  def weights(self, x, name, channel_axis):
    """The kernel as it is."""
    del name, channel_axis
    return x

  def bias(self, x, name):
    """The bias as it is."""
    del name
    return x

  swish_input = bias
  activation = bias

  def observe(self, x, name):
    """Called with tensors that have a name in threshold files but are not quantised."""

  def add_bias(self, x, bias):
    """[N, H, W, C] plus bias [C]."""
    return tf.nn.bias_add(x, bias)

  def activate(self, x, bias, function, in_node=None, out_node=None, skip=None, sum_node=None):
    """function(x + bias) + skip, its input and the result quantised.

    Args:
      x: float32 [N, H, W, C], the sums of a convolution.
      bias: [C], quantised.
      function: key of FUNCTIONS; 'identity' where there is a skip.
      in_node: name of the node in front of the function, None for none.
      out_node: name of the node of the result, None for none.
      skip: [N, H, W, C] or None.
      sum_node: with a skip, name of what is not quantised before it is added.
    """
    x = self.add_bias(x, bias)
    if in_node:
      x = self.swish_input(x, in_node)
    x = FUNCTIONS[function](x)
    if skip is not None:
      self.observe(x, sum_node)
      x = x + skip
    return self.activation(x, out_node) if out_node else x

  def activate_and_pool(self, x, bias, function, in_node=None, keep=True):
    """`activate` without a node of the result, and its mean over the pixels.

    Returns:
      [N, H, W, C], or None with keep=False, and [N, 1, 1, C].
    """
    x = self.activate(x, bias, function, in_node)
    return x if keep else None, tf.reduce_mean(x, [1, 2], keepdims=True)

  def scale(self, x, gate, out_node):
    """[N, H, W, C] times gate [N, 1, 1, C], quantised."""
    return self.activation(x * gate, out_node)

  def depthwise(self, x, kernel, stride):
    """Depthwise convolution with SAME padding: x [N, H, W, C], kernel [k, k, C, 1]."""
    return tf.nn.depthwise_conv2d_native(x, kernel, [1, stride, stride, 1], 'SAME')


class GridQuantizer(FloatQuantizer):
  """Quantises every node of the network onto a given grid, in TensorFlow's ops.

  Args:
    grids: dict node name -> Grid, or None for a node that stays float. A name that is not in it
      is an error: nothing is left in float by a misspelling.
    image_grid: Grid of the image, None to leave it in float.
    is_training: False where no gradient is wanted.
  """

  def __init__(self, grids, image_grid, is_training=True):
    self.grids = grids
    self.image_grid = image_grid
    self.is_training = is_training
    self.used = set()

  def image(self, x):
    """The normalised image [N, S, S, 3], at 8 bits."""
    return self._quantize(x, self.image_grid)

  def bias(self, x, name):
    """Tensor [..., C] onto the grid of the node `name`."""
    return self._quantize(x, self._grid(name))

  swish_input = bias
  activation = bias

  def weights(self, x, name, channel_axis):
    """Kernel whose channels lie on `channel_axis`: 3 for HWIO, 2 for [k, k, C, 1]."""
    channel_grid = self._grid(name)
    if channel_grid is not None and channel_axis == 2:
      channel_grid = Grid(*[tf.expand_dims(part, -1) for part in channel_grid])
    return self._quantize(x, channel_grid)

  def add_bias(self, x, bias):
    """See `FloatQuantizer.add_bias`: a sum whose gradient takes a fraction of that op's."""
    return x + bias

  def _quantize(self, x, channel_grid):
    return x if channel_grid is None else fake_quantize(x, channel_grid, self.is_training)

  def _grid(self, name):
    self.used.add(name)
    return self.grids[name]


class XlaQuantizer(GridQuantizer):
  """The same in ops that XLA compiles: a kernel for all that lies between two convolutions."""

  def _quantize(self, x, channel_grid):
    with stack.xla_scope():
      return super(XlaQuantizer, self)._quantize(x, channel_grid)

  def activate(self, *args, **options):
    """See `FloatQuantizer.activate`."""
    with stack.xla_scope():
      return super(XlaQuantizer, self).activate(*args, **options)

  def scale(self, *args):
    """See `FloatQuantizer.scale`."""
    with stack.xla_scope():
      return super(XlaQuantizer, self).scale(*args)


class FusedQuantizer(GridQuantizer):
  """The same results from fused ops (CPU only), with the bits of TensorFlow 1.13.1's ops.

  Args:
    ops: the module `scripts.ops.fused`.
    grids: dict node name -> float32 [3, C], rows as the fields of `Grid`; None for a node that
      stays float, and for kernels and biases, which come quantised (`fused.quantize_pieces`).
    image_grid: [3, 3] or None.
  """

  def __init__(self, ops, grids, image_grid):
    super(FusedQuantizer, self).__init__(grids, image_grid)
    self._ops = ops

  def _quantize(self, x, channel_grid):
    return x if channel_grid is None else self._ops.activate(x, out_grid=channel_grid)

  def activate(self, x, bias, function, in_node=None, out_node=None, skip=None, sum_node=None):
    """See `FloatQuantizer.activate`."""
    return self._ops.activate(x, bias, in_node and self._grid(in_node), function, skip,
                              out_node and self._grid(out_node))

  def activate_and_pool(self, x, bias, function, in_node=None, keep=True):
    """See `FloatQuantizer.activate_and_pool`."""
    return self._ops.activate_and_pool(x, bias, in_node and self._grid(in_node), function,
                                       keep)

  def scale(self, x, gate, out_node):
    """See `FloatQuantizer.scale`."""
    return self._ops.scale(x, gate, self._grid(out_node))

  def depthwise(self, x, kernel, stride):
    """See `FloatQuantizer.depthwise`."""
    return self._ops.depthwise(x, kernel, stride)
