"""The way of weights into checkpoints of slim."""
