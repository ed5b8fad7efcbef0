"""Commands of `claim-transformers`.

Each command joins rooms and prints a summary; what it does lives in the rooms. Rooms are imported inside the commands,
so that none waits for an engine that it does not need. All of them wait for torch and transformers: importing the
package makes the Auto classes know its models, and they cannot be told of a class that is not imported.
"""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(
    name="claim-transformers",
    help="Raw insurance claims in, pretrained and fine-tuned transformers out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console()

# Stands here, because reading the names would import the cohorts; a test compares them.
COHORT_HELP = (
    "readmission, asthma_exacerbation, hospital_admission, next_diagnoses, suicide_attempt, or a YAML file with a "
    "definition."
)
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")]


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


@app.command()
def ingest(
    source: Annotated[str, typer.Argument(help="Raw format: cms-rif, synpuf, tuva, meds, mimic3 or simulated.")],
    path: Annotated[
        Path | None, typer.Argument(help="Folder of raw files; for synpuf, '-' downloads the sample from CMS.")
    ] = None,
    out: Annotated[Path | None, typer.Argument(help="Folder to make.")] = None,
    max_quarantine_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of a file in quarantine above which it fails (0.05).")
    ] = None,
    max_reason_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="The same for a single reason (0.01).")
    ] = None,
    extract_date: Annotated[
        str | None, typer.Option(help="Day of the extract, ISO; later services go to quarantine. Not for meds.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="What separates columns; for tuva.")] = None,
    layouts: Annotated[
        Path | None, typer.Option(help="Folder of layout files of another version; for cms-rif.")
    ] = None,
    county_crosswalk: Annotated[
        Path | None, typer.Option(help="CSV of ssacounty and fipscounty; for cms-rif and synpuf.")
    ] = None,
    keep_denied: Annotated[bool, typer.Option("--keep-denied", help="Keep denied claims; for cms-rif.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Read raw claims into canonical tables, patient timelines and a quality report."""
    from claim_transformers.sources.pipeline.ingest import ingest as run

    if path is None or out is None:
        raise ValueError("expected SOURCE, PATH and OUT; see claim-transformers ingest --help")
    given = {
        "max_quarantine_share": max_quarantine_share,
        "max_reason_share": max_reason_share,
        "extract_date": None if extract_date is None else _date(extract_date),
        "delimiter": delimiter,
        "layouts": layouts,
        "county_crosswalk": county_crosswalk,
        "keep_denied": keep_denied or None,
    }
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    summary = run(source, None if str(path) == "-" else path, out, overwrite=overwrite, progress=True, **options)
    typer.echo(str(summary))


@app.command()
def stage(
    source: Annotated[str, typer.Argument(help="Raw format: cms-rif or synpuf.")],
    path: Annotated[Path, typer.Argument(help="File or folder of raw files.")],
    staging: Annotated[Path, typer.Argument(help="Staging area: a DuckDB file, made if it is not there.")],
    layouts: Annotated[Path | None, typer.Option(help="Folder of layout files, for cms-rif.")] = None,
    corrects: Annotated[
        bool | None,
        typer.Option(
            "--corrects/--adds",
            help="Each file supersedes the load of its name, or none does. Without it the claims tell: a file that "
            "repeats most of a load corrects it.",
            show_default=False,
        ),
    ] = None,
    corrects_load: Annotated[
        list[int] | None, typer.Option(help="Number of a load that these files supersede; may repeat.")
    ] = None,
) -> None:
    """Load raw files as they are into a staging area; the same file twice is refused."""
    from claim_transformers.cli.deliveries import run_stage

    if corrects is not None and corrects_load:
        raise ValueError("expected --corrects, --adds or --corrects-load, found two of them")
    run_stage(source, path, staging, console=console, layouts=layouts, corrects=corrects_load or corrects)


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
        since = None if test_from is None else _date(test_from, "--test-from")
        run_readmission(claims, out, console=console, test_from=since, seed=seed, overwrite=overwrite, **of_stays)
        return
    check_out(out, overwrite=overwrite)
    changes: dict[str, Any] = {
        field: _size(text, field, float if field == "controls_per_case" else int)
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


@app.command()
def sequences(
    cohort: Annotated[Path, typer.Argument(help="Folder that 'cohort readmission' wrote.")],
    out: Annotated[Path, typer.Argument(help="Folder to make: the same examples in the words of the encoder.")],
    depth: Annotated[str | None, typer.Option(help="code, category or chapter (default).")] = None,
    depth_of: Annotated[
        list[str] | None, typer.Option(help="Another depth for a system, such as NDC=code; may repeat.")
    ] = None,
    hide: Annotated[
        list[str] | None, typer.Option(help="sex, race, county or disposition: left out of the examples; may repeat.")
    ] = None,
    number_bins: Annotated[
        int | None, typer.Option(min=0, help="Bins of amounts and lengths of stay; 0 for none (10).")
    ] = None,
    form_of: Annotated[
        str | None, typer.Option(help="Sequences or a checkpoint whose depths and bins are used; --hide adds to it.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Roll the codes of a readmission cohort up, write numbers as tokens, and print the vocabulary."""
    from claim_transformers.cli.readmission import run_sequences

    run_sequences(
        cohort,
        out,
        console=console,
        depth=depth,
        depth_of=depth_of or [],
        hide=hide or [],
        number_bins=number_bins,
        form_of=form_of,
        overwrite=overwrite,
    )


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, as examples/demo.sh lays it out.")],
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "Claims to risk",
) -> None:
    """Write RUN/report.html: attrition, learning curves, ROC, calibration, embedding map and the table of models."""
    from claim_transformers.analysis.views.report import write_report

    comparison = write_report(run, title=title)
    console.print(comparison.to_rich())
    console.print(f"[bold]{run / 'report.html'}[/bold] opens in any browser, offline")


@app.command(name="install-checkpoint")
def install_checkpoint(
    name: Annotated[str, typer.Argument(help="Name of a checkpoint that ships with the package.")],
) -> None:
    """Make a shipped checkpoint known to every Auto class, also offline, by placing it in the Hub's cache."""
    from claim_transformers.hub import install_checkpoint as run

    console.print(f"{name} is in {run(name)}")


def _size(text: str, field: str, kind: type) -> Any:
    """A number of an option, or none for 'all'."""
    if text == "all":
        return None
    try:
        return kind(text)
    except ValueError as error:
        option = "--" + field.replace("_", "-")
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"expected {what} or 'all' as {option}, found another text") from error


def _date(text: str, option: str = "--extract-date") -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"expected an ISO date, such as 2012-12-31, as {option}, found another text") from error


def main() -> None:
    """Runs the command line; bad input ends with one line on standard error and exit status 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
