"""Which TensorFlow this is: 1.13.1, or a current one. What differs between them is decided here.

The code is written in the names of `tensorflow.compat.v1`, which both have.
"""

import tensorflow.compat.v1 as tf

# tensorflow.contrib (TF-Slim, the rewrite for quantisation) ended with TensorFlow 1.
HAS_CONTRIB = tf.version.VERSION.startswith('1.')

# Whether tf.sigmoid and tf.reduce_mean have the bits of the fused ops, which compute on every stack
# what TensorFlow 1.13.1 does. A current tf.sigmoid differs by up to 2**-22, four units in the last
# place just below 1; a mean differs by the order in which its values are added up.
HAS_BITS_OF_FUSED_OPS = HAS_CONTRIB
