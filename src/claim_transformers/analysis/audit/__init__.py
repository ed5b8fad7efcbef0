"""Audits before a model is used: threshold, calibration, subgroups and drift."""
