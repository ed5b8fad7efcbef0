"""The command `report`: the page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import RawCounts, console, new_app

app = new_app()


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, as examples/demo.sh lays it out.")],
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Claims to risk",
    raw_counts: RawCounts = False,
) -> None:
    """Write RUN/report.html: attrition, learning curves, ROC, calibration, embedding map and the table of models."""
    from claim_transformers.analysis.views.report import write_report

    comparison = write_report(run, title=title, raw_counts=raw_counts)
    console.print(comparison.to_rich())
    console.print(f"[bold]{run / 'report.html'}[/bold] opens in any browser, offline")
