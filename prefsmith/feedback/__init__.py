"""Where comparisons come from."""
