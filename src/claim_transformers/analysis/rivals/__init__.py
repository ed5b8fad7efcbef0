"""Rivals of a transformer: regression and boosting on counts, clinical scores, and the simulated truth."""
