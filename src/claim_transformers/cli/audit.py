"""The command `audit`: calibration, threshold, lift, subgroups and drift of one model of a run."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import Overwrite, RawCounts, console, new_app

app = new_app()


@app.command()
def audit(
    model: Annotated[Path, typer.Argument(help="Folder that 'finetune' wrote, with its predictions.")],
    cohort: Annotated[Path, typer.Argument(help="Folder that 'cohort' wrote, of the same examples.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: each table as Markdown, CSV and JSON.")],
    replicates: Annotated[int, typer.Option(min=2, help="Bootstrap replicates, over patients.")] = 1000,
    overwrite: Overwrite = False,
    raw_counts: RawCounts = False,
) -> None:
    """Audit a model by what it predicted for the test split: whom it finds, and for whom it is wrong."""
    from claim_transformers.analysis import audit_model
    from claim_transformers.claims.files import publish_folder
    from claim_transformers.codes.errors import ClaimDataError

    def refuse(found: Path) -> None:
        is_ours = overwrite and (found / "bands.md").is_file()
        if found.exists() and not is_ours and not (found.is_dir() and not any(found.iterdir())):
            raise ClaimDataError(
                "E_EXISTS", f"expected a new folder, found an existing {found.name!r}; choose another or --overwrite"
            )

    with publish_folder(out, check=refuse) as folder:
        found = audit_model(model, cohort, raw_counts=raw_counts, replicates=replicates)
        found.save(folder)
    for name in ("bands", "thresholds", "subgroups"):
        if name in found.tables:
            typer.echo(found.tables[name].to_markdown())
    for what, why in found.missing.items():
        typer.echo(f"Not measured: {what}, because {why}.")
    console.print(f"[bold]{out}[/bold] holds {', '.join(found.tables) or 'no table'}", soft_wrap=True)
