"""One script per table or figure."""
