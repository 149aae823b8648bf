"""EfficientNet-B0: architecture, weights, network function, quantisers."""
