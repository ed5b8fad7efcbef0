"""The format synpuf."""
