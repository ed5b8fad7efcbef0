"""Cohorts of patients around a clinical event."""
