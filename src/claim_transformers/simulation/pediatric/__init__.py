"""A simulated pediatric Medicaid population."""
