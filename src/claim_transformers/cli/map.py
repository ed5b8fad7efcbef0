"""The command `map`: a proposal for a mapping, from the names, types and forms of a site's own tables."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import new_app

app = new_app()


@app.command(name="map")
def propose(
    inputs: Annotated[list[str], typer.Argument(help="Files, one pattern such as 'claims_*.csv' for each table.")],
    out: Annotated[Path | None, typer.Option(help="File to write instead of printing.")] = None,
    database: Annotated[str | None, typer.Option(help="URL of a database; INPUTS are its tables then.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of each table to look at (20,000).")] = None,
) -> None:
    """Propose a mapping of your own tables: columns, formats and systems, with DECIDE where a person has to."""
    from claim_transformers.claims.files import write_file
    from claim_transformers.codes.errors import ClaimDataError
    from claim_transformers.sources.formats.tables.proposal import propose_mapping

    if out is not None and out.exists():
        raise ClaimDataError("E_EXISTS", f"expected no file at {out}, found one: a person may have decided there")
    folder = Path() if out is None else out.absolute().parent
    text = propose_mapping(inputs, database=database, folder=folder, **({} if rows is None else {"rows": rows}))
    if out is None:
        sys.stdout.write(text)
    else:
        write_file(out, text)
        times = sum("DECIDE" in line.partition("#")[0] for line in text.splitlines())
        typer.echo(f"{times} times DECIDE in {out}: read it, decide, then ingest tables {out} OUT")
