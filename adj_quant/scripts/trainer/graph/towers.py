"""Towers: copies of student and teacher, each on a device, with one set of variables.

A batch is cut into as many parts as there are towers. The loss is the mean of the towers' losses,
and so is its gradient, which is that of one network on the whole batch as far as the loss is a mean
over images; the variances in `losses.feature_distance` are those of a tower's images.
"""

import tensorflow.compat.v1 as tf


def build(images, labels, devices, network):
  """Builds a network on each device.

  Args:
    images: float32 [N, S, S, 3].
    labels: int32 [N].
    devices: one a tower, as `tf.device` takes them; None: where TensorFlow likes.
    network: function of a tower's images and labels.

  Returns:
    List of what it gives.
  """
  count = len(devices)
  built = []
  for index, (part, own, device) in enumerate(zip(_parts(images, count), _parts(labels, count),
                                                  devices)):
    # The names of a single tower are the network's own.
    with tf.device(device), tf.name_scope('tower_%d' % index if count > 1 else None):
      built.append(network(part, own))
  return built


def _parts(batch, count):
  """A tensor [N, ...] in `count` parts of N // count or one image more, in the order of images."""
  if count == 1:
    return [batch]
  images = tf.shape(batch)[0]
  return [batch[i * images // count:(i + 1) * images // count] for i in range(count)]


def joined(tensors):
  """One tensor [N, ...] of the towers' parts."""
  return tensors[0] if len(tensors) == 1 else tf.concat(tensors, 0)


def mean(tensors):
  """The mean of tensors of one shape."""
  return tensors[0] if len(tensors) == 1 else tf.add_n(tensors) / len(tensors)


def mean_gradients(losses, devices, variables):
  """The gradient of the mean of the towers' losses.

  Args:
    losses: float32 [] of each tower.
    devices: of the towers, as `tf.device` takes them.
    variables: list.

  Returns:
    List of tensors, one a variable.

  Raises:
    ValueError: a variable has no gradient.
  """
  by_tower = []
  for loss, device in zip(losses, devices):
    with tf.device(device):
      by_tower.append(tf.gradients(loss, variables, colocate_gradients_with_ops=len(losses) > 1))
  missing = [v.op.name for v, g in zip(variables, by_tower[0]) if g is None]
  if missing:
    raise ValueError('no gradient reaches %s' % ', '.join(missing))
  return [mean(gradients) for gradients in zip(*by_tower)]
