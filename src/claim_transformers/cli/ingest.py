"""The command `ingest`: raw claims to canonical tables."""

from pathlib import Path
from typing import Annotated, Any

import typer

from claim_transformers.cli.options import Overwrite, as_date, new_app

app = new_app()


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="Raw format: cms-rif, synpuf, tuva, meds, mimic3 or simulated.")],
    path: Annotated[
        Path | None, typer.Argument(help="Folder of raw files; for synpuf, '-' downloads the sample from CMS.")
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder to make.")] = None,
    max_quarantine_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of a file in quarantine above which it fails (0.05).")
    ] = None,
    max_reason_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="The same for a single reason (0.01).")
    ] = None,
    extract_date: Annotated[
        str | None, typer.Option(help="Day of the extract, ISO; later services go to quarantine. Not for meds.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="What separates columns; for tuva.")] = None,
    layouts: Annotated[
        Path | None, typer.Option(help="Folder of layout files of another version; for cms-rif.")
    ] = None,
    county_crosswalk: Annotated[
        Path | None, typer.Option(help="CSV of ssacounty and fipscounty; for cms-rif and synpuf.")
    ] = None,
    keep_denied: Annotated[bool, typer.Option("--keep-denied", help="Keep denied claims; for cms-rif.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Read raw claims into canonical tables, patient timelines and a quality report."""
    from claim_transformers.sources.pipeline.ingest import ingest as run

    if path is None or out is None:
        raise ValueError("expected SOURCE, PATH and OUT; see claim-transformers ingest --help")
    given = {
        "max_quarantine_share": max_quarantine_share,
        "max_reason_share": max_reason_share,
        "extract_date": None if extract_date is None else as_date(extract_date, "--extract-date"),
        "delimiter": delimiter,
        "layouts": layouts,
        "county_crosswalk": county_crosswalk,
        "keep_denied": keep_denied or None,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    summary = run(source, None if str(path) == "-" else path, out, overwrite=overwrite, progress=True, **options)
    typer.echo(str(summary))
