"""Cohorts of hospital stays and whether a readmission follows."""
