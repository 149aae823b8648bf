"""Library of adjustable quantization: the network, its quantisers and its training."""
