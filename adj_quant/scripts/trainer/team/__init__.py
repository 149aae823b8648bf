"""How the workers of a run or an evaluation work together: chief, workers, and what they tell."""
