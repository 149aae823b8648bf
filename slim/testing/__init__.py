"""For tests only: tiny runs, checkpoints and servers of TF-Slim's half."""
