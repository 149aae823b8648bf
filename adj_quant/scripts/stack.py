"""Which TensorFlow this is: 1.13.1, or a current one. What differs between them is decided here.

The code is written in the names of `tensorflow.compat.v1`, which both have.
"""

import tensorflow.compat.v1 as tf

# tensorflow.contrib (TF-Slim, the rewrite for quantisation) ended with TensorFlow 1.
HAS_CONTRIB = tf.version.VERSION.startswith('1.')
# TensorFloat-32 (products of matrices with 10 bits of mantissa on a GPU), and XLA for single ops.
HAS_TF32 = HAS_XLA_SCOPES = not HAS_CONTRIB

# Whether tf.sigmoid and tf.reduce_mean have the bits of the fused ops, which compute on every stack
# what TensorFlow 1.13.1 does. A current tf.sigmoid differs by up to 2**-22, four units in the last
# place just below 1; a mean differs by the order in which its values are added up.
HAS_BITS_OF_FUSED_OPS = HAS_CONTRIB


def allow_tf32(allowed):
  """Lets float32 products of matrices on a GPU run in TensorFloat-32, which is TensorFlow's default
  where there is TensorFloat-32, or not.
  """
  if HAS_TF32:
    tf.config.experimental.enable_tensor_float_32_execution(allowed)


def xla_scope():
  """A scope whose ops XLA compiles, gradients included; only where `HAS_XLA_SCOPES`."""
  return tf.xla.experimental.jit_scope()
