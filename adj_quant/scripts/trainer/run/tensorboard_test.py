"""The log that TensorBoard reads."""

import os

import numpy as np
import tensorflow.compat.v1 as tf

from scripts.effnetb0 import architecture as arch
from scripts.effnetb0.nodes import Precision
from scripts.effnetb0.student import ModelSpec, quantised_nodes
from scripts.testing.network import CLASSES, TINY
from scripts.trainer import bit_report
from scripts.trainer.run import tensorboard


def test_tensorboard_log(tmp_path, monkeypatch):
  monkeypatch.setitem(arch.ARCHITECTURES, TINY.name, TINY)
  spec = ModelSpec(TINY, CLASSES, Precision(learnt_weights=True))
  values = [np.full([n.channels], 2 if n.name == 'Conv/weights' else n.bits)
            for n in quantised_nodes(spec)]
  actual = bit_report.cost_report(np.concatenate(values), spec, 32)
  summaries = tensorboard.Summaries(str(tmp_path / 'logs'))
  summaries.scalars(10, {'loss/total': 1.5, 'learning_rate': 3e-6})
  summaries.bits(20, actual)
  summaries.close()
  path, = os.listdir(str(tmp_path / 'logs'))
  events = list(tf.train.summary_iterator(str(tmp_path / 'logs' / path)))
  values = {(event.step, v.tag): v for event in events for v in event.summary.value}
  assert set(values) == {(10, 'loss/total'), (10, 'learning_rate'), (20, 'bits/weights'),
                         (20, 'bits/activations')}
  assert values[10, 'loss/total'].simple_value == 1.5
  histogram = values[20, 'bits/weights'].histo
  channels = sum(layer.outputs for layer in arch.layers(TINY, 32, CLASSES))
  assert list(histogram.bucket_limit) == [i + 0.5 for i in range(9)]
  assert list(histogram.bucket) == [0, 0, 8, 0, 0, 0, 0, 0, channels - 8]
  assert (histogram.min, histogram.max, histogram.num) == (2, 8, channels)
  assert histogram.sum == 2 * 8 + 8 * (channels - 8)
  assert histogram.sum_squares == 4 * 8 + 64 * (channels - 8)
