"""Training of slim's networks: one process, several towers, or a cluster."""
