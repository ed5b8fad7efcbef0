"""claim_transformers."""
