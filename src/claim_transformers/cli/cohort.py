"""The command `cohort`: labelled patients of claims."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from claim_transformers.cli.options import Overwrite, as_date, console, new_app, size

app = new_app()

# Stands here, because reading the names would import the cohorts; a test compares them.
COHORT_HELP = (
    "readmission, asthma_exacerbation, hospital_admission, next_diagnoses, suicide_attempt, or a YAML file with a "
    "definition."
)


@app.command()
def cohort(
    name: Annotated[str, typer.Argument(help=COHORT_HELP)],
    claims: Annotated[Path, typer.Argument(help="Folder that 'ingest' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: a DatasetDict with a 'label' column.")],
    cases: Annotated[
        str | None, typer.Option(help="Most cases to keep, or 'all'; the definition's by default.")
    ] = None,
    controls_per_case: Annotated[str | None, typer.Option(help="Controls to draw per case, or 'all'.")] = None,
    patients: Annotated[
        str | None, typer.Option(help="Most patients to keep, or 'all', where diagnoses are predicted.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed draws other controls and other splits.")] = None,
    rule: Annotated[str | None, typer.Option(help="For readmission: plain (default), stays or unplanned.")] = None,
    look_back_days: Annotated[
        int | None, typer.Option(min=0, help="For readmission: days before the admission that are seen (90).")
    ] = None,
    test_from: Annotated[
        str | None, typer.Option(help="For readmission: test on discharges from this day on, ISO; train on earlier.")
    ] = None,
    see_unpaid: Annotated[
        bool, typer.Option("--see-unpaid", help="For readmission: see claims that were not paid by the index date.")
    ] = False,
    hide_disposition: Annotated[
        bool, typer.Option("--hide-disposition", help="For readmission: leave the discharge disposition out.")
    ] = False,
    county_features: Annotated[
        list[Path] | None, typer.Option(help="For readmission: CSV or parquet file of county measures; may repeat.")
    ] = None,
    county_bins_of: Annotated[
        str | None, typer.Option(help="For readmission: cohort or checkpoint whose bins of county measures are used.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Select patients, label them and split them; print how many fell out at each step, and draw it."""
    from claim_transformers.cli.readmission import READMISSION, check_options, run_readmission
    from claim_transformers.cohorts import build_cohort, check_out, load_definition

    sizes = {"cases": cases, "controls_per_case": controls_per_case, "patients": patients}
    of_stays: dict[str, Any] = {"rule": rule, "look_back_days": look_back_days, "see_unpaid": see_unpaid}
    of_stays |= {"hide_disposition": hide_disposition, "county_features": county_features or []}
    of_stays["county_bins_of"] = county_bins_of
    check_options(name, sizes if name == READMISSION else {**of_stays, "test_from": test_from})
    if name == READMISSION:
        since = None if test_from is None else as_date(test_from, "--test-from")
        run_readmission(claims, out, test_from=since, seed=seed, overwrite=overwrite, **of_stays)
        return
    check_out(out, overwrite=overwrite)
    changes: dict[str, Any] = {
        field: size(text, field, float if field == "controls_per_case" else int)
        for field, text in sizes.items()
        if text is not None
    }
    if seed is not None:
        changes["seed"] = seed
    built = build_cohort(load_definition(name).with_sampling(**changes), claims)
    built.save(out, overwrite=overwrite)
    _print_cohort(built, out)


def _print_cohort(built: Any, out: Path) -> None:
    """Who fell out at each step, what is hidden, and where the chart is."""
    from claim_transformers.cohorts import attrition_table

    table = Table(title=built.definition.title)
    for column, justify in (("step", "left"), ("patients", "right"), ("removed", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in attrition_table(built):
        table.add_row(*row)
    console.print(table)
    if built.visits_hidden is None:
        console.print("No paid dates: every visit before the index date is seen, paid or not.")
    else:
        console.print(f"{built.visits_hidden:,} visits were not paid by the index date and are hidden.")
    if built.label_names:
        console.print(f"{len(built.label_names)} categories in the label.")
    console.print(f"[bold]{out / 'flow_chart.svg'}[/bold] draws the table", soft_wrap=True)
