"""The format mimic3."""
