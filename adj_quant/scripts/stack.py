"""Which TensorFlow this is: 1.13.1, or a current one. What differs between them is decided here.

The code is written in the names of `tensorflow.compat.v1`, which both have.
"""

import tensorflow.compat.v1 as tf

# tensorflow.contrib (TF-Slim, the rewrite for quantisation) ended with TensorFlow 1.
HAS_CONTRIB = tf.version.VERSION.startswith('1.')
