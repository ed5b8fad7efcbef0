"""Thresholds, calibration, subgroups and drift."""
