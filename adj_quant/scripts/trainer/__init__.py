"""Training and evaluation: losses, schedules, sessions, checkpoints."""
