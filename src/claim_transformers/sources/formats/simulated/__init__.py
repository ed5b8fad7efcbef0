"""The format simulated."""
