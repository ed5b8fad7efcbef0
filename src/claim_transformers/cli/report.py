"""The command `report`: the page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import RawCounts, console, new_app

app = new_app()


@app.command()
def report(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run: cohort/, models/<name>/, and claims/ and pretrained/ if there.")
    ],
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Claims to risk",
    model: Annotated[
        str | None, typer.Option(help="Model to look at closely; the best checkpoint on validation if not given.")
    ] = None,
    reasons: Annotated[int, typer.Option(min=0, help="Patients whose predictions are explained and averaged.")] = 200,
    raw_counts: RawCounts = False,
) -> None:
    """Write RUN/report.html: who is in, models, threshold, lift, calibration, subgroups, drift and reasons."""
    from claim_transformers.analysis import write_report

    comparison = write_report(run, title=title, model=model, reasons=reasons, raw_counts=raw_counts)
    console.print(comparison.to_rich())
    console.print(f"[bold]{run / 'report.html'}[/bold] opens in any browser, offline", soft_wrap=True)
