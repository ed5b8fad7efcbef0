"""The record: canonical tables, quality checks and quarantine, stays, visits and patient sequences. No torch."""
