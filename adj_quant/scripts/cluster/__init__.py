"""Towers of one process and processes of a cluster, for all training and evaluation."""
