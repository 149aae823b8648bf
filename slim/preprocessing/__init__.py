"""From encoded images to batches that a network trains on."""
