"""Networks, rows and logs of small reports, for tests."""

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0.architecture import layers
from scripts.quant_info import LayerBits, QuantInfo, Settings
from scripts.reporting.network import network_report
from scripts.testing.network import CLASSES, TINY, known


def tiny_info(weight=None, act=None, seed=0, architecture=TINY, classes=CLASSES):
  """A `QuantInfo` with the bits `weight` and `act` everywhere, or random ones of 2 to 8."""
  random = np.random.RandomState(seed)

  def bits(value, channels):
    return random.randint(2, 9, channels) if value is None else np.full(channels, value)

  return QuantInfo(
      {layer.name: LayerBits(bits(weight, layer.outputs),
                             None if layer.name == 'output' else bits(act, layer.outputs))
       for layer in layers(architecture, architecture.image_size, classes)},
      Settings(architecture.name, architecture.image_size))


def tiny_report(*args, **options):
  """The `NetworkReport` of what `tiny_info` makes of the arguments."""
  with known():
    return network_report(tiny_info(*args, **options))


def row(model, correct, bits=(3.0, 5.0), **changed):
  """A row of results over 1000 images; without `bits` that of a float network."""
  values = {'model': model, 'top1': correct / 10.0, 'correct': correct, 'images': 1000,
            'mean_weight_bits': bits and bits[0], 'mean_act_bits': bits and bits[1],
            'published_metric': bits and 0.181013, 'official_metric': bits and 0.496866}
  values.update(changed)
  return values


def hits(correct, images=1000):
  """The hits of a network that is correct on the first `correct` images."""
  return '1' * correct + '0' * (images - correct)


def write_events(folder, scalars, suffix=''):
  """Writes an event file: dict tag -> {step: value}."""
  writer = tf.summary.FileWriter(str(folder), filename_suffix=suffix)
  for tag, values in scalars.items():
    for step, value in values.items():
      writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value)]), step)
  writer.close()
