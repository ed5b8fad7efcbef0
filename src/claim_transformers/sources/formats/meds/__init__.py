"""The format meds."""
