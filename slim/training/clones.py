"""Towers: copies of one network with shared variables and averaged gradients."""

from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

from scripts.errors import UserError


class Towers(NamedTuple):
  """What a loss is made of."""
  losses: list  # float32 [] of each tower, the mean over its images.
  devices: list
  updates: list  # Of the moving statistics of batch norm, of the first tower.
  regularization: Any  # float32 [], of the shared variables.
  loss: Any  # float32 []: mean over the images of all towers, and the regularisation.


def build_towers(images, labels, devices, build):
  """Builds one tower a device; image j of a batch goes to tower j % T, as it would in a cluster.

  Args:
    images: float32 [T * N, S, S, 3] of T towers.
    labels: int32 [T * N].
    devices: T devices, as `tf.device` takes them.
    build: function (images [N, S, S, 3], labels [N], tower's number) -> loss []; from the second
      tower on it must use the variables of the first.

  Returns:
    `Towers`.
  """
  losses, updates, regularization = [], [], []
  for index, (part, device) in enumerate(zip(_parts(images, labels, len(devices)), devices)):
    # The names of a single tower are the network's own.
    with tf.device(device), tf.name_scope('clone_%d' % index if len(devices) > 1 else None):
      losses.append(build(part[0], part[1], index))
      if index == 0:
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        regularization = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        regularization = tf.add_n(regularization) if regularization else tf.constant(0.0)
  with tf.device(devices[0]):
    loss = tf.add_n(losses) / len(losses) + regularization
  return Towers(losses, list(devices), updates, regularization, loss)


def _parts(images, labels, towers):
  if towers == 1:
    return [(images, labels)]
  return [(images[i::towers], labels[i::towers]) for i in range(towers)]


def gradients(towers, optimizer, variables):
  """Gradients of `Towers.loss`, each tower's on its own device.

  Args:
    towers: `Towers`.
    optimizer: a `tf.train.Optimizer`.
    variables: list of the variables to train.

  Returns:
    List of (gradient, variable). Other gradients may read a variable after its own one is there,
    so let none change before there are all.

  Raises:
    UserError: a variable has no gradient.
  """
  by_clone = []
  for index, (loss, device) in enumerate(zip(towers.losses, towers.devices)):
    with tf.device(device):
      part = loss / len(towers.losses) + (towers.regularization if index == 0 else 0.0)
      # Gates between single gradients would be a sixth of the graph.
      by_clone.append(optimizer.compute_gradients(
          part, variables, gate_gradients=tf.train.Optimizer.GATE_NONE,
          colocate_gradients_with_ops=len(towers.losses) > 1))
  summed = []
  for pairs in zip(*by_clone):
    parts, variable = [gradient for gradient, _ in pairs], pairs[0][1]
    if any(part is None for part in parts):
      raise UserError('the loss does not depend on %s: leave it out of --trainable_scopes'
                      % variable.op.name)
    summed.append((tf.add_n(parts) if len(parts) > 1 else parts[0], variable))
  return summed
