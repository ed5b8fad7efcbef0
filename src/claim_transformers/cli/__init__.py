"""The command line: from raw claims to a report. What `examples/run_*.py` show, commands run."""

from claim_transformers.cli.app import app, main

__all__ = ["app", "main"]
