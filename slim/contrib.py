"""The only import of tensorflow.contrib, which TensorFlow 2 lacks: TF-Slim through one door.

`slim` is `tensorflow.contrib.slim` or the module `layers`, which computes the same.
"""

from scripts.stack import HAS_CONTRIB

if HAS_CONTRIB:
  from tensorflow.contrib import slim
  # Behind quantize.experimental_create_training_graph, which has no parameter for what
  # `quantization.contrib_rewrite` does between its two steps.
  from tensorflow.contrib.quantize.python import common as quantize_common  # noqa: F401
  from tensorflow.contrib.quantize.python import (  # noqa: F401
      fold_batch_norms, quant_ops, quantize)
else:
  import layers as slim  # noqa: F401
