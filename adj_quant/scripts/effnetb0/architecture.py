"""The table of the EfficientNet family, from which networks are built, counted and quantised.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
2019, table 1 (B0) and section 3.3 (compound scaling). Block 0 is called `expanded_conv` in weight
files and `expanded_conv_0` everywhere else.
"""

import math
from typing import NamedTuple, Optional, Tuple

CLASSIFIER = 'output'  # The layer's name.


class Block(NamedTuple):
  """An inverted bottleneck: expand 1x1, depthwise kernel x kernel, squeeze-excite, project 1x1."""
  expansion: int
  kernel: int
  stride: int
  inputs: int
  outputs: int

  @property
  def expanded(self):
    """Channels between expand and project."""
    return self.inputs * self.expansion

  @property
  def has_skip(self):
    """True when the block's input is added to its output."""
    return self.stride == 1 and self.inputs == self.outputs


class Architecture(NamedTuple):
  """An EfficientNet: everything about its function except weights and number of classes."""
  name: str
  image_size: int
  stem: int
  blocks: Tuple[Block, ...]
  head: int
  se_ratio: Optional[float] = 0.25  # Of the block's input channels; None: no squeeze-excite.
  activation: str = 'swish'  # 'swish' or 'relu6'.
  mean: Tuple[float, ...] = (123.675, 116.28, 103.53)  # Subtracted from RGB 0..255,
  std: Tuple[float, ...] = (58.395, 57.12, 57.375)  # which is then divided by this.

  def squeezed(self, block):
    """Channels of the squeeze-excite bottleneck of `block`; 0 where there is none."""
    return max(1, int(block.inputs * self.se_ratio)) if self.se_ratio else 0


class Layer(NamedTuple):
  """A convolution or the classifier, with what the cost and the weight files need to know of it."""
  name: str  # As in thresholds and quant_info: 'Conv', 'expanded_conv_3/expand', 'output'.
  kind: str  # 'conv', 'depthwise' or 'classifier'.
  kernel: int
  inputs: int
  outputs: int
  pixels: int  # Output pixels: height * width.
  reads: str  # Layer whose `act` bits describe the tensor it reads; 'image' for the stem.
  nonlinearity: Optional[str]  # Of its output: 'swish', 'relu6', 'sigmoid' or None.

  @property
  def weights_shape(self):
    """HWIO; [k, k, C, 1] for a depthwise kernel; 1x1 for the classifier."""
    if self.kind == 'depthwise':
      return (self.kernel, self.kernel, self.outputs, 1)
    return (self.kernel, self.kernel, self.inputs, self.outputs)

  @property
  def params(self):
    """Number of weights, without the bias."""
    height, width, inputs, outputs = self.weights_shape
    return height * width * inputs * outputs

  @property
  def macs(self):
    """Multiply-accumulates for one image."""
    return self.params * self.pixels

  @property
  def channel_axis(self):
    """Axis of the output channel in the kernel."""
    return 2 if self.kind == 'depthwise' else 3

  @property
  def file_name(self):
    """The layer's key in a weights file."""
    return self.name.replace('expanded_conv_0/', 'expanded_conv/')


# (expansion, kernel, stride, inputs, outputs, repeats) of B0, before scaling.
_B0_STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


def round_channels(channels, width, divisor=8):
  """Scales `channels` by `width` to a multiple of `divisor`, never losing more than 10 %."""
  scaled = channels * width
  rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
  return rounded + divisor if rounded < 0.9 * scaled else rounded


def efficientnet(name, width, depth, image_size, fix_ends=False, **options):
  """The member of the family with the given scaling.

  Args:
    name: what the architecture is called in flags and files.
    width, depth: factors on channels and on repeats of a stage.
    image_size: pixels a side the network was trained at.
    fix_ends: keep stem, head and the repeats of the first and last stage (the Lite variants).
    **options: other fields of `Architecture`.
  """
  blocks = []
  for index, (expansion, kernel, stride, inputs, outputs, repeats) in enumerate(_B0_STAGES):
    at_end = index in (0, len(_B0_STAGES) - 1)
    repeats = repeats if fix_ends and at_end else int(math.ceil(depth * repeats))
    inputs = 32 if fix_ends and index == 0 else round_channels(inputs, width)
    outputs = round_channels(outputs, width)
    blocks.append(Block(expansion, kernel, stride, inputs, outputs))
    blocks.extend([Block(expansion, kernel, 1, outputs, outputs)] * (repeats - 1))
  stem, head = (32, 1280) if fix_ends else (round_channels(32, width), round_channels(1280, width))
  return Architecture(name, image_size, stem, tuple(blocks), head, **options)


EFFICIENTNET_B0 = efficientnet('eff_b0', 1.0, 1.0, 224)
EFFICIENTNET_B1 = efficientnet('eff_b1', 1.0, 1.1, 240)
EFFICIENTNET_LITE0 = efficientnet('eff_lite0', 1.0, 1.0, 224, fix_ends=True, se_ratio=None,
                                  activation='relu6', mean=(127.0,) * 3, std=(128.0,) * 3)
ARCHITECTURES = {a.name: a for a in (EFFICIENTNET_B0, EFFICIENTNET_B1, EFFICIENTNET_LITE0)}


def block_name(index):
  """Name of block `index` in thresholds and quant_info."""
  return 'expanded_conv_%d' % index


def feature_layers(architecture):
  """Layers whose end points stand for the network at every depth: stem, blocks, pooled head."""
  blocks = [block_name(index) + '/project' for index in range(len(architecture.blocks))]
  return ['Conv'] + blocks + ['Conv_1']


def layers(architecture, image_size, classes):
  """Every layer with weights, in the order of computation.

  Args:
    architecture: an `Architecture`.
    image_size: pixels a side; SAME padding, so a stride of 2 gives ceil(size / 2).
    classes: outputs of the classifier.

  Returns:
    List of `Layer`: 82 for B0 with squeeze-excite.
  """
  size, act = -(-image_size // 2), architecture.activation
  table = [Layer('Conv', 'conv', 3, 3, architecture.stem, size * size, 'image', act)]
  reads = 'Conv'
  for index, block in enumerate(architecture.blocks):
    name, inner = block_name(index), block.expanded
    if block.expansion != 1:
      table.append(Layer(name + '/expand', 'conv', 1, block.inputs, inner, size * size, reads,
                         act))
      reads = name + '/expand'
    size = -(-size // block.stride)
    table.append(Layer(name + '/dws', 'depthwise', block.kernel, inner, inner, size * size, reads,
                       act))
    reads = name + '/dws'
    squeezed = architecture.squeezed(block)
    if squeezed:
      table.append(Layer(name + '/se_1', 'conv', 1, inner, squeezed, 1, name + '/dws', act))
      table.append(Layer(name + '/se_2', 'conv', 1, squeezed, inner, 1, name + '/se_1',
                         'sigmoid'))
      reads = name + '/se_2'
    table.append(Layer(name + '/project', 'conv', 1, inner, block.outputs, size * size, reads,
                       None))
    reads = name + '/project'
  last = architecture.blocks[-1].outputs
  table.append(Layer('Conv_1', 'conv', 1, last, architecture.head, size * size, reads, act))
  table.append(Layer(CLASSIFIER, 'classifier', 1, architecture.head, classes, 1, 'Conv_1', None))
  return table
