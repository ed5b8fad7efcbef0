"""The command `consolidate`: loads of a staging area to canonical tables."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import Overwrite, new_app

app = new_app()


@app.command()
def consolidate(
    staging: Annotated[Path, typer.Argument(help="Staging area that 'stage' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make, as 'ingest' makes it, and provenance beside.")],
    max_quarantine_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a load in quarantine above which it fails.")
    ] = 0.05,
    max_reason_share: Annotated[float, typer.Option(min=0, max=1, help="The same for a single reason.")] = 0.01,
    layouts: Annotated[Path | None, typer.Option(help="Folder of layout files with which cms-rif was staged.")] = None,
    county_crosswalk: Annotated[
        Path | None, typer.Option(help="CSV of ssacounty and fipscounty; for cms-rif and synpuf.")
    ] = None,
    keep_denied: Annotated[bool, typer.Option("--keep-denied", help="Keep denied claims; for cms-rif.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Make canonical tables of all valid loads, with the load and the rule behind every row."""
    from claim_transformers.sources.deliveries.consolidation import consolidate as run
    from claim_transformers.sources.deliveries.staging_area import Staging

    of_rif = {"layouts": layouts, "keep_denied": keep_denied or None}
    options = {"cms-rif": {name: value for name, value in of_rif.items() if value is not None}}
    with Staging(staging, read_only=True) as area:
        if county_crosswalk is not None:
            for source in {load.source for load in area.loads() if load.is_valid}:
                options.setdefault(source, {})["county_crosswalk"] = county_crosswalk
        summary = run(
            area,
            out,
            overwrite=overwrite,
            max_quarantine_share=max_quarantine_share,
            max_reason_share=max_reason_share,
            options={source: given for source, given in options.items() if given},
        )
    typer.echo(str(summary))
