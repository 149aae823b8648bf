"""The layers that a float network is made of."""

from contrib import slim


class FloatLayers:
  """TF-Slim's layers. Quantised networks are made of others, see `quantization.scheme`."""

  ranges = ()  # Variables that quantisation adds.
  conv2d = staticmethod(slim.conv2d)
  separable_conv2d = staticmethod(slim.separable_conv2d)

  def result(self, x, name):
    """A product, sum or mean of the network that is no layer's, as others are to read it.

    Args:
      x: any tensor.
      name: of what quantises it, below the current scope.
    """
    del name
    return x

  def finish(self, graph):
    """Ends the building of a network; a list of `quantization.coverage.Convolution`."""
    del graph
    return []
