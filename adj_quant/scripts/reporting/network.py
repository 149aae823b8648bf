"""A quantised network layer by layer: size, bits and cost, from its quant_info.json."""

from typing import NamedTuple, Optional

import numpy as np

from scripts import cost
from scripts.effnetb0.architecture import ARCHITECTURES, layers
from scripts.effnetb0.nodes import FLOAT, MAX_BITS, MIN_BITS

KINDS = ('stem', 'expand', 'dws', 'se', 'project', 'head', 'classifier')
_ENDS = {'Conv': 'stem', 'Conv_1': 'head', 'output': 'classifier'}


class LayerReport(NamedTuple):
  """A layer with weights, and the tensor that is read behind it."""
  name: str
  kind: str  # One of KINDS.
  params: int  # Weights without the bias.
  macs: int  # Multiply-accumulates for one image.
  weight: np.ndarray  # Bits, int [out]: 2 to 8, or 32.
  act: Optional[np.ndarray]  # int [out]; None for the classifier.
  published: cost.Parts
  official: cost.Parts


class NetworkReport(NamedTuple):
  """A network and all its layers, in the order of computation."""
  architecture: str
  image_size: int  # Pixels a side.
  classes: int
  layers: tuple  # Of `LayerReport`.
  published: cost.Parts
  official: cost.Parts
  mean: cost.MeanBits
  part_labels: cost.Parts  # What each part of a count is called.


def network_report(info):
  """The `NetworkReport` of a `quant_info.QuantInfo`."""
  bits, settings = info
  architecture = ARCHITECTURES[settings.architecture]
  counted = (bits, settings, architecture)
  published, official = cost.published_by_layer(*counted), cost.official_by_layer(*counted)
  classes = len(bits['output'].weight)
  reports = [LayerReport(
      name=layer.name, kind=kind_of(layer.name), params=layer.params, macs=layer.macs,
      weight=bits[layer.name].weight, act=bits[layer.name].act, published=published[layer.name],
      official=official[layer.name])
             for layer in layers(architecture, settings.image_size, classes)]
  return NetworkReport(
      architecture=architecture.name, image_size=settings.image_size, classes=classes,
      layers=tuple(reports), published=cost.published_parts(*counted),
      official=cost.official_parts(*counted), mean=cost.mean_bits(*counted),
      part_labels=cost.part_labels(architecture))


def kind_of(name):
  """The kind, one of KINDS, of the layer called `name`."""
  part = name.rpartition('/')[2]
  return _ENDS.get(name) or ('se' if part.startswith('se_') else part)


def bit_counts(bits):
  """int [8]: how many of the channels `bits` (int [C]) have 2, 3, ..., 8 bits, and 32."""
  return np.array([np.count_nonzero(bits == value)
                   for value in tuple(range(MIN_BITS, MAX_BITS + 1)) + (FLOAT,)])
