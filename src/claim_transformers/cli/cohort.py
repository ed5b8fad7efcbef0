"""The commands `cohort event` and `cohort readmission`: labelled examples of claims."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from claim_transformers.cli.options import Engine, Overwrite, RawCounts, as_date, console, new_app, open_tasks, size

if TYPE_CHECKING:
    from claim_transformers.claims.counties import CountyFeatures
    from claim_transformers.cohorts import Cohort
    from claim_transformers.cohorts.readmission.patient_codes import CountyBins

app = new_app(
    no_args_is_help=True, help="Select, label and split examples; print how many fell out at each step, and draw it."
)

# Stands here, because reading the names would import the cohorts; a test compares them.
_EVENT_HELP = (
    "asthma_exacerbation, hospital_admission, next_diagnoses, next_year_cost, suicide_attempt, or a YAML file."
)
_Claims = Annotated[Path, typer.Argument(help="Folder that 'ingest' wrote.")]
_Out = Annotated[Path, typer.Argument(help="Folder to make: a DatasetDict with a 'label' column.")]


@app.command()
def event(
    definition: Annotated[str, typer.Argument(help=_EVENT_HELP)],
    claims: _Claims,
    out: _Out,
    cases: Annotated[
        str | None, typer.Option(help="Most cases to keep, or 'all'; the definition's by default.")
    ] = None,
    controls_per_case: Annotated[str | None, typer.Option(help="Controls to draw per case, or 'all'.")] = None,
    patients: Annotated[
        str | None, typer.Option(help="Most patients to keep, or 'all', where diagnoses or amounts are predicted.")
    ] = None,
    index_date: Annotated[
        list[str] | None, typer.Option(help="Another index date than the definition's, ISO; may repeat.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed draws other controls and other splits.")] = None,
    engine: Engine = "duckdb",
    overwrite: Overwrite = False,
    raw_counts: RawCounts = False,
) -> None:
    """One example per patient, labelled by an event, by the diagnoses or by the cost that follow the index date."""
    from claim_transformers.claims.small_cells import show_count
    from claim_transformers.cohorts import build_cohort, check_out, load_definition

    check_out(out, overwrite=overwrite)
    given = {"cases": cases, "controls_per_case": controls_per_case, "patients": patients}
    changes: dict[str, Any] = {
        field: size(text, field, float if field == "controls_per_case" else int)
        for field, text in given.items()
        if text is not None
    }
    if seed is not None:
        changes["seed"] = seed
    wanted = load_definition(definition, "event").with_sampling(**changes)
    if index_date:
        wanted = wanted.with_index_dates(index_date)
    built = build_cohort(wanted, claims, tasks=open_tasks(engine))
    built.save(out, overwrite=overwrite, raw_counts=raw_counts)
    _print_attrition(built, "patients", raw_counts=raw_counts)
    if built.visits_hidden is None:
        console.print("No paid dates: every visit before the index date is seen, paid or not.")
    else:
        hidden = show_count(built.visits_hidden, raw=raw_counts)
        console.print(f"{hidden} visits were not paid by the index date and are hidden.")
    _print_open(show_count(built.visits_open, raw=raw_counts), "visits")
    if built.visits_without_amount is not None:
        without = show_count(built.visits_without_amount, raw=raw_counts)
        console.print(f"{without} visits of the horizon have no amount and add nothing to it.")
    if built.label_names:
        console.print(f"{len(built.label_names)} categories in the label.")
    _print_chart(out)


@app.command()
def readmission(
    claims: _Claims,
    out: _Out,
    definition: Annotated[
        str, typer.Option(help="YAML file with a definition; what other options say wins over it.")
    ] = "readmission",
    rule: Annotated[str | None, typer.Option(help="plain (default), stays or unplanned.")] = None,
    look_back_days: Annotated[
        int | None, typer.Option(min=0, help="Days before the admission that are seen (90).")
    ] = None,
    test_from: Annotated[
        str | None, typer.Option(help="Test on discharges from this day on, ISO; train on earlier ones.")
    ] = None,
    see_unpaid: Annotated[
        bool, typer.Option("--see-unpaid", help="See claims that were not paid by the index date.")
    ] = False,
    hide_disposition: Annotated[
        bool, typer.Option("--hide-disposition", help="Leave the discharge disposition out.")
    ] = False,
    county_features: Annotated[
        list[Path] | None, typer.Option(help="CSV or parquet file of county measures; may repeat.")
    ] = None,
    county_bins_of: Annotated[
        str | None, typer.Option(help="Cohort or checkpoint whose bins of county measures are used.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed draws other splits.")] = None,
    engine: Engine = "duckdb",
    overwrite: Overwrite = False,
    raw_counts: RawCounts = False,
) -> None:
    """One example per discharge from hospital, labelled by the next admission within 30 days."""
    from claim_transformers.claims.small_cells import show_count
    from claim_transformers.cohorts import build_cohort, check_out, load_definition

    check_out(out, overwrite=overwrite)
    given: dict[str, Any] = {
        "rule": rule,
        "look_back_days": look_back_days,
        "test_from": None if test_from is None else as_date(test_from, "--test-from"),
        "split": None if test_from is None else "time",
        "hide_unpaid": False if see_unpaid else None,
        "disposition": False if hide_disposition else None,
        "seed": seed,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    wanted = replace(load_definition(definition, "readmission"), **changes)
    counties = _read_counties(county_features or [], county_bins_of)
    built = build_cohort(wanted, claims, counties=counties, tasks=open_tasks(engine))
    built.save(out, overwrite=overwrite, raw_counts=raw_counts)
    _print_attrition(built, "stays", raw_counts=raw_counts)
    for line in _sentences(built.shown_facts(raw_counts=raw_counts)):
        console.print(line)
    _print_open(show_count(built.visits_open, raw=raw_counts), "claims")
    _print_chart(out)


def _read_counties(paths: Sequence[Path], bins_of: str | None) -> "CountyFeatures | CountyBins | None":
    """Measures of all files, with the bins of another cohort or a checkpoint if asked."""
    if not paths:
        if bins_of is not None:
            raise ValueError("expected --county-features with --county-bins-of, found none: bins need measures")
        return None
    from claim_transformers.claims.counties import read_county_features

    counties = read_county_features(paths[0])
    for path in paths[1:]:
        counties = counties.join(read_county_features(path))
    if bins_of is None:
        return counties
    from claim_transformers import resolve_checkpoint
    from claim_transformers.cohorts.readmission.patient_codes import CountyBins, load_county_bins

    return CountyBins.reuse(counties, load_county_bins(resolve_checkpoint(bins_of)))


# ---- Printing ----


def _print_attrition(built: "Cohort", unit: str, *, raw_counts: bool) -> None:
    """Who fell out at each step."""
    from claim_transformers.cohorts import attrition_table

    table = Table(title=built.definition.title)
    table.add_column("step")
    for column in (unit, "removed"):
        table.add_column(column, justify="right")
    for row in attrition_table(built, raw_counts=raw_counts):
        table.add_row(*row)
    console.print(table)


def _print_open(number: str, unit: str) -> None:
    console.print(f"{number} {unit} had not ended by the index date: stays show their admission, others nothing.")


def _print_chart(out: Path) -> None:
    console.print(f"[bold]{out / 'flow_chart.svg'}[/bold] draws the table", soft_wrap=True)


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    """What the attrition table of a readmission cohort does not have, in words."""
    from claim_transformers.claims.small_cells import show

    cases, stays = show(facts["readmissions"]), show(facts["index_stays"])
    rate = "" if facts["readmission_rate"] is None else f": {100 * facts['readmission_rate']:.2f} %"
    lines = [f"{cases} of {stays} index stays were readmitted{rate}."]
    for name, sentence in {
        "transfer_labels": "{} of these are transfers (is_transfer_label): report AUC without them as well.",
        "overlapping_next_stays": "{} next claims overlap the index claim and are labelled 0.",
        "planned_next_stays": "{} next stays are planned and are labelled 0.",
        "windows_not_observed": "{} windows were not observed to their end and are labelled as the paper does.",
    }.items():
        if facts[name]:
            lines.append(sentence.format(show(facts[name])))
    if facts["claims_hidden"] is None:
        lines.append("No paid date hides a claim: every claim that ended by the discharge is seen, paid or not.")
    else:
        lines.append(f"{show(facts['claims_hidden'])} claims were not paid by the index date and are hidden.")
    counties = facts.get("counties")
    if counties is not None:
        lines.append(
            f"{show(counties['county unknown'])} stays have no known county, "
            f"{show(counties['county without measures'])} are of one without measures; readmission.json counts what "
            "single measures lack."
        )
    return lines
