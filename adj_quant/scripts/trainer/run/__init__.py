"""A run: its loop, schedule, state, checkpoints and faults."""
