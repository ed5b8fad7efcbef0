"""Scores of patients at a date: who is scored, batches of equal lengths, what a head says, and folders of any size."""
