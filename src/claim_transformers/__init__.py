"""Transformers for health-insurance claims."""
