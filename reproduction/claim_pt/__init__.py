"""Claim-PT (Zeng, Lin, Liu): every table and figure."""
