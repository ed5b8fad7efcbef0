"""One folder per raw format."""
