"""Steps that run once, splits, tables with intervals, and what else both papers share."""
