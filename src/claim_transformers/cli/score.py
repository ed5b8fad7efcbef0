"""The command `score`: a risk for every member who is enrolled at a date."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import Engine, Overwrite, RawCounts, as_date, new_app, open_tasks

app = new_app()


class _Precision(StrEnum):
    """How the weights are computed with."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@app.command()
def score(
    checkpoint: Annotated[str, typer.Argument(help="Name or folder of a checkpoint.")],
    claims: Annotated[Path, typer.Argument(help="Folder that 'ingest' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make, of parquet files.")],
    at: Annotated[str, typer.Option(help="The date, ISO; nothing of that day or later is seen.")],
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Score those too who are not enrolled at the date.")
    ] = False,
    look_back_days: Annotated[
        int | None, typer.Option(min=1, help="Days before the date whose enrolment is counted (365).")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Labels of each member, where there are many (10).")] = None,
    precision: Annotated[
        _Precision, typer.Option(help="bfloat16 is faster where the processor has it, and rounds.")
    ] = _Precision.AUTO,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Positions of a batch at most (8192).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads, all cores if not given.")] = None,
    engine: Engine = "duckdb",
    overwrite: Overwrite = False,
    raw_counts: RawCounts = False,
) -> None:
    """Score every member who is enrolled at a date by what was known then; a run that was killed goes on."""
    from claim_transformers.training import score_claims

    day = as_date(at, "--at")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    given = {"look_back_days": look_back_days, "top_k": top_k, "batch_tokens": batch_tokens}
    options = {name: value for name, value in given.items() if value is not None}
    summary = score_claims(
        checkpoint,
        claims,
        out,
        at=day,
        overwrite=overwrite,
        progress=True,
        raw_counts=raw_counts,
        threads=threads,
        tasks=open_tasks(engine),
        everyone=everyone,
        precision=precision.value,
        **options,
    )
    typer.echo(summary.to_text(raw=raw_counts))
