"""The command `explain`: why a classifier predicts what it does for a few patients."""

from pathlib import Path
from typing import Annotated

import typer

from claim_transformers.cli.options import Overwrite, as_date, console, new_app

app = new_app()


@app.command()
def explain(
    checkpoint: Annotated[str, typer.Argument(help="Name or folder of a fine-tuned classifier.")],
    claims: Annotated[Path, typer.Argument(help="Folder that 'ingest' or 'cohort' wrote.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to make: one row per code, visit and fact of a patient.")],
    patient_file: Annotated[Path, typer.Option(help="Text file of patient ids, one a line.")],
    at: Annotated[
        str | None, typer.Option(help="Index date, ISO: what was known then is read. Not for a cohort.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Label to explain, by name; needed for more than two.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Gradients at the patient alone: they do not add up.")] = False,
    steps: Annotated[
        int, typer.Option(min=1, help="Steps of the integral; doubled up to 16 times where needed.")
    ] = 16,
    top: Annotated[int, typer.Option(min=1, help="Codes and visits to print of a single patient.")] = 10,
    overwrite: Overwrite = False,
) -> None:
    """Write signed contributions of codes, visits, age and sex that add up to the prediction of each patient."""
    from claim_transformers.analysis import explain_patients
    from claim_transformers.analysis.explanation.reason_files import (
        load_classifier,
        read_ids,
        read_patients,
        reasons_table,
        write_reasons,
    )
    from claim_transformers.claims.small_cells import show_count, show_part_of
    from claim_transformers.models.claim import ClaimTokenizer
    from claim_transformers.models.claim.names_claim import resolve_checkpoint
    from claim_transformers.training.scoring.calibration import read_calibration

    ids = read_ids(patient_file)
    patients = read_patients(claims, ids, None if at is None else as_date(at, "--at"))
    tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
    found = explain_patients(
        load_classifier(checkpoint),
        tokenizer,
        patients,
        target=target,
        method="gradient" if fast else "integrated",
        steps=steps,
        most_steps=16 * steps,
        calibration=read_calibration(resolve_checkpoint(checkpoint)),
    )
    write_reasons(out, reasons_table(found, patients), overwrite=overwrite)
    if len(found) == 1:
        typer.echo(found[0].to_table(top))
    known = len(patients["patient_id"].unique())
    console.print(
        f"{show_count(len(found))} predictions explained; patients found: "
        f"{'all' if known == len(ids) else f'not all, {show_part_of(known, len(ids))}'}"
    )
    console.print(f"[bold]{out}[/bold] holds codes of patients: keep it where the claims are", soft_wrap=True)
