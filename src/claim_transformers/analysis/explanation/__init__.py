"""Reasons for a prediction: how much each code, visit and fact of a patient added to it."""
