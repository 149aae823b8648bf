"""Fused ops in C++ for what TensorFlow's own ops do in many passes over memory."""
