"""The command `simulate`: claims with known causes."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from claim_transformers.cli.options import Overwrite, console, new_app

app = new_app()


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    population: Annotated[
        str, typer.Option(help="'pediatric', or 'medicare' with its seven claim types.")
    ] = "pediatric",
    patients: Annotated[int, typer.Option(min=1, help="Patients to simulate.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.")] = 0,
    start: Annotated[
        str | None, typer.Option(help="First day of the claims, ISO (2010-01-01; medicare 2008-01-01).")
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Last day of the claims, ISO (2014-12-31; medicare 2012-12-31).")
    ] = None,
    institution: Annotated[str | None, typer.Option(help="'a', or 'b' with a shifted code mix; pediatric.")] = None,
    dirt: Annotated[bool, typer.Option("--dirt", help="Plant the dirt that real claims have; pediatric.")] = False,
    planted_bias: Annotated[
        float | None, typer.Option(min=0, max=1, help="Strength of a bias against a subgroup; medicare.")
    ] = None,
    biased_subgroup: Annotated[
        str | None, typer.Option(help="That subgroup, such as 'race=black' (default) or 'dual'; medicare.")
    ] = None,
    planted_drift: Annotated[float | None, typer.Option(min=0, max=1, help="Strength of a drift; medicare.")] = None,
    drift_year: Annotated[int | None, typer.Option(help="First year of the drift (the last one); medicare.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make claims with known causes, and the true risk of every patient beside them."""
    from claim_transformers.simulation import simulate as simulate_pediatric
    from claim_transformers.simulation.medicare import PlantedBias, PlantedDrift, simulate_medicare

    given: dict[str, Any] = {"patients": patients, "seed": seed, "start": start, "end": end, "overwrite": overwrite}
    pediatric = {"institution": institution, "dirt": "typical" if dirt else None}
    medicare = {
        "planted_bias": planted_bias, "biased_subgroup": biased_subgroup, "planted_drift": planted_drift,
        "drift_year": drift_year,
    }  # fmt: skip
    if population not in ("pediatric", "medicare"):
        raise ValueError(f"expected a population 'pediatric' or 'medicare', found {population!r}")
    foreign = medicare if population == "pediatric" else pediatric
    if strange := [name for name, value in foreign.items() if value is not None]:
        raise ValueError(f"expected no option of another population with {population!r}, found {', '.join(strange)}")
    for strength_of, detail in (("planted_bias", "biased_subgroup"), ("planted_drift", "drift_year")):
        if medicare[detail] is not None and medicare[strength_of] is None:
            options = [f"--{name.replace('_', '-')}" for name in (strength_of, detail)]
            raise ValueError(f"expected {options[0]}, a strength from 0 to 1, with {options[1]}, found none")
    if population == "pediatric":
        given |= pediatric
    else:
        subgroup = biased_subgroup or PlantedBias().subgroup
        strength = planted_bias or 0.0
        given["planted_bias"] = PlantedBias(subgroup, unrecorded=strength, hidden=strength)
        given["planted_drift"] = planted_drift
        if drift_year is not None:
            given["planted_drift"] = PlantedDrift(drift_year, planted_drift or 0.0)
    given = {name: value for name, value in given.items() if value is not None}
    run: Any = simulate_pediatric if population == "pediatric" else simulate_medicare
    summary = run(out, progress=True, **given)
    _print_simulation(summary)


def _print_simulation(summary: Any) -> None:
    """Rows of every file of a simulation."""
    table = Table(title=f"{summary.patients:,} simulated patients in {summary.path}")
    table.add_column("what")
    table.add_column("rows", justify="right")
    counts = {
        "claim lines": summary.claim_lines,
        "pharmacy claims": summary.rx_claims,
        "eligibility spans": summary.eligibility_spans,
        "true risks": summary.true_risks,
        **{f"dirt: {kind}": rows for kind, rows in getattr(summary, "dirt", {}).items()},
    }
    for what, rows in counts.items():
        table.add_row(what, f"{rows:,}")
    console.print(table)
