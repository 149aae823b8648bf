"""The benchmark: how long training and evaluation take beside the float network."""
