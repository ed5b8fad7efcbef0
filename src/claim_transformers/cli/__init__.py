"""The command line: from raw claims to labelled examples. Training stays in `examples/run_*.py`."""

from claim_transformers.cli.app import app, main

__all__ = ["app", "main"]
