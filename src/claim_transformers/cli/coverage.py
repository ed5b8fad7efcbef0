"""The command `coverage`: how much of the codes of ingested claims a checkpoint knows."""

import json
from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import RawCounts, new_app

app = new_app()


@app.command()
def coverage(
    checkpoint: Annotated[str, typer.Argument(help="Name or folder of a checkpoint.")],
    claims: Annotated[Path, typer.Argument(help="Folder that 'ingest' wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with counts by level.")] = False,
    raw_counts: RawCounts = False,
) -> None:
    """Print, by code system, the share of codes that are known as they are, by parent, by category, and not at all."""
    from claim_transformers.training import coverage as run

    found = run(checkpoint, claims)
    if as_json:
        typer.echo(json.dumps(found.to_dict(raw=raw_counts), indent=1, allow_nan=False))
    else:
        typer.echo(found.to_table(raw=raw_counts))
