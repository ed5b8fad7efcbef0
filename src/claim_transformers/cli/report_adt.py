"""The command `report-adt`: stays of an ADT feed, scored at their discharge."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import Overwrite, RawCounts, new_app

app = new_app()


@app.command()
def report_adt(
    feed: Annotated[Path, typer.Argument(help="File of HL7 v2 ADT messages, or a folder of such files.")],
    claims: Annotated[Path, typer.Argument(help="Folder that 'ingest' wrote.")],
    checkpoint: Annotated[str, typer.Argument(help="Name or folder of a fine-tuned classifier of one outcome.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: stays.parquet, quarantine.parquet, report.html.")],
    id_type: Annotated[
        str | None, typer.Option(help="Type (PID-3.5) of the identifier that the claims have; the first if not given.")
    ] = None,
    overwrite: Overwrite = False,
    raw_counts: RawCounts = False,
) -> None:
    """Score stays of a hospital's ADT feed at discharge: by risk, by facility, and who could not be assessed."""
    try:
        from claim_transformers.serving.adt_report import report_adt as write
    except ModuleNotFoundError as error:
        raise ValueError(
            f"expected the extra 'serve' (pip install 'claim-transformers[serve]'), found no {error.name}"
        ) from error
    summary = write(feed, claims, checkpoint, out, id_type=id_type, overwrite=overwrite, raw_counts=raw_counts)
    typer.echo(str(summary))
