"""The one door to tensorflow.contrib: TF-Slim and the quantisation rewrite.

TensorFlow 2 has no contrib; who moves this code finds here all that needs another home.
"""

from tensorflow.contrib import quantize, slim  # noqa: F401
