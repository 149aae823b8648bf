"""Conversion of weights into slim checkpoints."""
