"""Deliveries of raw files kept side by side, and their consolidation."""
