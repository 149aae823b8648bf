"""How TF-Slim names the variables of an EfficientNet, and how a batch norm folds into a bias.

A convolution with batch norm becomes kernel * gamma / sqrt(variance + EPSILON) with the bias
beta - mean * gamma / sqrt(variance + EPSILON) (Jacob et al., "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference", 2018, section 3.2).
"""

import numpy as np

from scripts.effnetb0.weights import LayerWeights

EPSILON = 1e-3
SCOPE = 'efficientnet_b0'
NORM_PARTS = ('gamma', 'beta', 'moving_mean', 'moving_variance')


def variable_scope(layer):
  """Scope of a layer's variables in TF-Slim, below the network's: 'expanded_conv/depthwise'."""
  if layer.name == 'output':
    return 'Logits/Conv2d_1c_1x1'
  return layer.file_name.replace('/dws', '/depthwise')


def has_batch_norm(layer):
  """False for a layer that has a bias: those of squeeze-excite and the classifier."""
  return layer.kind != 'classifier' and not layer.name.endswith(('/se_1', '/se_2'))


def kernel_name(layer):
  """Name of a layer's kernel in TF-Slim."""
  part = 'depthwise_weights' if layer.kind == 'depthwise' else 'weights'
  return '%s/%s/%s' % (SCOPE, variable_scope(layer), part)


def bias_names(layer):
  """Names of what stands for a layer's bias in TF-Slim: the NORM_PARTS, or one bias."""
  parts = ['BatchNorm/' + part for part in NORM_PARTS] if has_batch_norm(layer) else ['biases']
  return ['%s/%s/%s' % (SCOPE, variable_scope(layer), part) for part in parts]


def fold_batch_norm(kernel, gamma, beta, mean, variance, channel_axis):
  """`LayerWeights` of a convolution followed by a batch norm.

  Args:
    kernel: float32 HWIO, or [k, k, C, 1] with channel_axis 2.
    gamma, beta, mean, variance: float32 [C].
    channel_axis: 3 or 2.
  """
  scale = np.float64(gamma) / np.sqrt(np.float64(variance) + EPSILON)
  along = scale[:, np.newaxis] if channel_axis == 2 else scale
  return LayerWeights(np.float32(kernel * along), np.float32(beta - mean * scale))
