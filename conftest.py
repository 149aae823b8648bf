"""Tests run TensorFlow as the scripts do: graph mode."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
