"""Mechanics that both simulated populations share: calendar, random streams, codes, tables and their publication."""
