"""The command `simulate`: claims with known causes, of children or of Medicare."""

from pathlib import Path
from typing import Annotated, Any

import typer

from claim_transformers.cli.options import Overwrite, console, new_app

app = new_app(no_args_is_help=True)

_Out = Annotated[Path, typer.Argument(help="Folder to make.")]
_Patients = Annotated[int, typer.Option(min=1, help="Patients to simulate.")]
_Seed = Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.")]
_Start = Annotated[str, typer.Option(help="First day of the claims, ISO.")]
_End = Annotated[str, typer.Option(help="Last day of the claims, ISO.")]
_Icd10From = Annotated[
    str | None,
    typer.Option(help="Claims that end on this day or later are in ICD-10; 'always' or 'never' for all of them."),
]
_Version = Annotated[int | None, typer.Option("--simulation-version", help="Version, byte for byte (the newest).")]


@app.callback()
def simulate() -> None:
    """Make claims with known causes, and the true risk of every patient beside them."""


@app.command()
def pediatric(
    out: _Out,
    patients: _Patients = 10_000,
    seed: _Seed = 0,
    start: _Start = "2010-01-01",
    end: _End = "2014-12-31",
    institution: Annotated[str, typer.Option(help="'a', or 'b' with a shifted code mix.")] = "a",
    dirt: Annotated[bool, typer.Option("--dirt", help="Plant the dirt that real claims have.")] = False,
    icd10_from: _Icd10From = None,
    version: _Version = None,
    overwrite: Overwrite = False,
) -> None:
    """Children: chronic conditions, asthma, mood disorders and acute illness."""
    from claim_transformers.simulation import simulate

    summary = simulate(
        out,
        patients=patients,
        seed=seed,
        start=start,
        end=end,
        institution=institution,
        dirt="typical" if dirt else None,
        icd10_from=icd10_from,
        simulation_version=version,
        overwrite=overwrite,
        progress=True,
    )
    _print_rows(summary, {f"dirt: {kind}": rows for kind, rows in summary.dirt.items()})


@app.command()
def medicare(
    out: _Out,
    patients: _Patients = 10_000,
    seed: _Seed = 0,
    start: _Start = "2008-01-01",
    end: _End = "2012-12-31",
    planted_bias: Annotated[
        float | None, typer.Option(min=0, max=1, help="Strength of a bias against a subgroup.")
    ] = None,
    biased_subgroup: Annotated[
        str | None, typer.Option(help="That subgroup, such as 'race=black' (default) or 'dual'.")
    ] = None,
    planted_drift: Annotated[float | None, typer.Option(min=0, max=1, help="Strength of a drift.")] = None,
    drift_year: Annotated[int | None, typer.Option(help="First year of the drift (the last one).")] = None,
    icd10_from: _Icd10From = None,
    version: _Version = None,
    overwrite: Overwrite = False,
) -> None:
    """Medicare: all seven claim types and drugs, and readmissions after stays."""
    from claim_transformers.simulation.medicare import PlantedBias, PlantedDrift, simulate_medicare

    _need_strength("--planted-bias", planted_bias, "--biased-subgroup", biased_subgroup)
    _need_strength("--planted-drift", planted_drift, "--drift-year", drift_year)
    strength = planted_bias or 0.0
    drift: Any = planted_drift or 0.0
    if drift_year is not None:
        drift = PlantedDrift(drift_year, drift)
    summary = simulate_medicare(
        out,
        patients=patients,
        seed=seed,
        start=start,
        end=end,
        planted_bias=PlantedBias(biased_subgroup or PlantedBias().subgroup, unrecorded=strength, hidden=strength),
        planted_drift=drift,
        icd10_from=icd10_from,
        simulation_version=version,
        overwrite=overwrite,
        progress=True,
    )
    _print_rows(summary)


def _need_strength(option: str, strength: float | None, detail: str, value: object) -> None:
    """Refuse a detail of something that is not planted."""
    if value is not None and strength is None:
        raise typer.BadParameter(f"expected {option}, a strength from 0 to 1, with {detail}, found none")


def _print_rows(summary: Any, more: dict[str, int] | None = None) -> None:
    """Rows of every file of a simulation."""
    from rich.table import Table

    table = Table(title=f"{summary.patients:,} simulated patients in {summary.path}")
    table.add_column("what")
    table.add_column("rows", justify="right")
    counts = {
        "claim lines": summary.claim_lines,
        "pharmacy claims": summary.rx_claims,
        "eligibility spans": summary.eligibility_spans,
        "true risks": summary.true_risks,
        **(more or {}),
    }
    for what, rows in counts.items():
        table.add_row(what, f"{rows:,}")
    console.print(table)
