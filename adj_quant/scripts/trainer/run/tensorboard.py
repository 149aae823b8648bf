"""TensorBoard log of a run, written without a node in the graph."""

from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf


class Summaries:
  """TensorBoard log of a run, written without a node in the graph."""

  def __init__(self, folder):
    self._writer = tf.summary.FileWriter(folder)

  def scalars(self, step, values):
    """Logs dict tag -> number."""
    values_of_tags = [tf.Summary.Value(tag=tag, simple_value=float(v)) for tag, v in values.items()]
    self._writer.add_summary(tf.Summary(value=values_of_tags), step)

  def bits(self, step, report):
    """Logs histograms of the bits of all channels of weights and of activations."""
    weights = np.concatenate([b.weight for b in report.bits.values()])
    acts = np.concatenate([b.act for b in report.bits.values() if b.act is not None])
    histograms = [tf.Summary.Value(tag='bits/' + tag, histo=_histogram(values))
                  for tag, values in (('weights', weights), ('activations', acts))]
    self._writer.add_summary(tf.Summary(value=histograms), step)
    self._writer.flush()

  def close(self):
    """Writes what is left."""
    self._writer.close()


def _histogram(values: Any):
  """A bucket for each whole number of bits."""
  counts = np.bincount(values)
  proto = tf.HistogramProto(min=values.min(), max=values.max(), num=len(values),
                            sum=values.sum(), sum_squares=np.square(values).sum())
  proto.bucket_limit.extend(np.arange(len(counts)) + 0.5)
  proto.bucket.extend(counts)
  return proto
