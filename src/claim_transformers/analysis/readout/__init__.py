"""Readouts: an outcome off a pretrained head, a patient vector, or a probe on it."""
