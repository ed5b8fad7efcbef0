"""Models and scores to compare with."""
