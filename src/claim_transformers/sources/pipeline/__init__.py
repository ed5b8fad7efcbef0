"""From raw rows to published tables, the same way for every format."""
