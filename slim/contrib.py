"""The only import of tensorflow.contrib: TF-Slim and the parts of the quantisation rewrite.

TensorFlow 2 has no contrib; who moves this code finds here all that needs another home.
"""

from tensorflow.contrib import slim  # noqa: F401
# Behind quantize.experimental_create_training_graph, which has no parameter for what `quantization`
# does between its two steps.
from tensorflow.contrib.quantize.python import common as quantize_common  # noqa: F401
from tensorflow.contrib.quantize.python import fold_batch_norms, quant_ops, quantize  # noqa: F401
