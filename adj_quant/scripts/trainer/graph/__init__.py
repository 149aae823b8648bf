"""The graph of a training step: both networks, losses, metric, optimisers."""
