"""The page of a run: who was in, how well each model predicts, for whom it is wrong, and why it predicts."""
