"""The benchmark: speed of training and evaluation relative to the float network."""
