"""Cost of noise in each channel for the output of a float network, by Fisher information.

Source: Theis et al., "Faster gaze prediction with dense networks and Fisher pruning", 2018, section
2 (the approximation); labels are drawn from the network's own predictions, so that its expectation
is the second derivative of the divergence between the predictions without and with noise.
"""

import collections

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0.network_quantizers import FloatQuantizer


class Probe(FloatQuantizer):
  """A float network's quantiser that notes every tensor it is shown, with its channel axis."""

  def __init__(self):
    self.tensors = collections.OrderedDict()  # Node -> (tensor, channel axis).

  def weights(self, x, name, channel_axis):
    """Notes the kernel under `name`."""
    # The gradient for the identity is that of the kernel as the network sees it.
    self.tensors[name] = tf.identity(x), channel_axis
    return self.tensors[name][0]

  def activation(self, x, name):
    """Notes x [..., C] under `name`."""
    self.tensors[name] = tf.identity(x), x.shape.ndims - 1
    return self.tensors[name][0]


def squared_gradients(logits, probe, seed):
  """Sums over a batch for the Fisher information of the nodes of a `Probe`.

  Kernels are the same for all images: the gradient is summed over the batch before it is squared.

  Args:
    logits: float32 [N, K].
    probe: the `Probe` that the network was built with.
    seed: whole number, of the drawn labels.

  Returns:
    Dict node -> float32 [C]: squares, in nats over the squared unit of the tensor.
  """
  drawn = tf.stop_gradient(tf.random.categorical(logits, 1, seed=seed)[:, 0])
  loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=drawn, logits=logits))
  names = list(probe.tensors)
  gradients = tf.gradients(loss, [probe.tensors[name][0] for name in names])
  squares = {}
  for name, gradient in zip(names, gradients):
    _, channel_axis = probe.tensors[name]
    axes = [a for a in range(gradient.shape.ndims) if a != channel_axis]
    squares[name] = tf.reduce_sum(tf.square(gradient), axes)
  return squares


def expected_loss(squares, images, widths):
  """What uniform noise of one step costs where the step is the whole width of a range.

  Args:
    squares: dict node -> sums of `squared_gradients` over all batches, [C].
    images: their number.
    widths: dict node -> width of the range [C].

  Returns:
    Dict node -> [C], in nats an image; at b bits the cost is that over (2**b - 1)**2.
  """
  return {name: total.astype(np.float64) / images * np.square(widths[name], dtype=np.float64) / 24.0
          for name, total in squares.items()}
