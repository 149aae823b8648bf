"""Quantisation for the TensorFlow at hand.

    layers = scheme.training_layers()
    logits, _ = efficientnet_b0(images, classes, True, layers=layers)
    layers.finish(tf.get_default_graph())
"""

from quantization.fake_quantization import FakeQuantization
from scripts.stack import HAS_CONTRIB

if HAS_CONTRIB:
  from quantization.contrib_rewrite import ContribRewrite as Scheme
else:
  Scheme = FakeQuantization


def training_layers(quant_delay=0, freeze_batch_norm_delay=None, scheme=Scheme):
  """Layers of one quantised network in training mode.

  Call their `finish(graph)` once the network is built, for one tower, before gradients are made.

  Args:
    quant_delay: global step that is the first to compute with quantised values.
    freeze_batch_norm_delay: global step that is the first to use the moving statistics of batch
      norm instead of the batch's, and to leave them as they are; None: never.
    scheme: `ContribRewrite` or `FakeQuantization`.
  """
  return scheme(True, quant_delay, freeze_batch_norm_delay)


def evaluation_layers(scheme=Scheme):
  """Layers of one quantised network in evaluation mode; call their `finish(graph)` as well.

  Its variables are among those of the network in training, under the same names.
  """
  return scheme(False, 0, None)
