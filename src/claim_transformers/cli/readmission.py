"""The commands `cohort readmission` and `sequences`: options to a definition or a form, and results to a summary."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

READMISSION = "readmission"


def check_options(name: str, given: Mapping[str, Any]) -> None:
    """Refuse options that the cohort asked for does not have.

    Args:
        name (`str`): Name of the cohort.
        given (`Mapping[str, Any]`): Options by name, those of another kind of cohort; false or empty if not given.

    Raises:
        ValueError: If one is given.

    Examples:
        >>> check_options("readmission", {"cases": None})
        >>> check_options("asthma_exacerbation", {"rule": "stays"})
        Traceback (most recent call last):
            ...
        ValueError: expected no --rule for the cohort 'asthma_exacerbation', found it; see claim-transformers ...
    """
    wrong = [f"--{option.replace('_', '-')}" for option, value in given.items() if value]
    if wrong:
        raise ValueError(
            f"expected no {', '.join(wrong)} for the cohort {name!r}, found it; see claim-transformers cohort --help"
        )


def run_readmission(
    claims: Path,
    out: Path,
    *,
    console: Console,
    rule: str | None,
    look_back_days: int | None,
    test_from: dt.date | None,
    see_unpaid: bool,
    hide_disposition: bool,
    county_features: Sequence[Path],
    seed: int | None,
    overwrite: bool,
) -> None:
    """Build a readmission cohort, save it and print what came out.

    Args:
        claims (`Path`): Folder that `ingest` wrote.
        out (`Path`): Folder to make.
        console (`Console`): Where to print.
        rule (`str`, *optional*): `"plain"`, `"stays"` or `"unplanned"`.
        look_back_days (`int`, *optional*): Days before the admission that are seen.
        test_from (`datetime.date`, *optional*): First discharge of the test split; a split by patient without it.
        see_unpaid (`bool`): Whether claims not yet paid are seen.
        hide_disposition (`bool`): Whether the disposition of the index stay is left out.
        county_features (`Sequence[Path]`): Files of county measures.
        seed (`int`, *optional*): Salt of the split.
        overwrite (`bool`): Whether a cohort at `out` may be replaced.

    Raises:
        ValueError: If an option does not fit.
        ClaimDataError: As `build_readmission_cohort` and `Cohort.save`.
    """
    from claim_transformers.claims.counties import read_county_features
    from claim_transformers.cohorts import attrition_table, check_out
    from claim_transformers.cohorts.readmission import build_readmission_cohort
    from claim_transformers.cohorts.readmission_definition import BY_TIME, ReadmissionDefinition

    check_out(out, overwrite=overwrite)
    given: dict[str, Any] = {"rule": rule, "look_back_days": look_back_days, "test_from": test_from, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    if test_from is not None:
        options["split"] = BY_TIME
    definition = ReadmissionDefinition(hide_unpaid=not see_unpaid, disposition=not hide_disposition, **options)
    counties = None
    for path in county_features:
        features = read_county_features(path)
        counties = features if counties is None else counties.join(features)
    built = build_readmission_cohort(definition, claims, counties=counties)
    built.save(out, overwrite=overwrite)

    table = Table(title=definition.title)
    for column, justify in (("step", "left"), ("stays", "right"), ("removed", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in attrition_table(built):
        table.add_row(*row)
    console.print(table)
    for line in _sentences(built.facts):
        console.print(line)
    console.print(f"[bold]{out / 'flow_chart.svg'}[/bold] draws the table", soft_wrap=True)


def run_sequences(
    cohort: Path,
    out: Path,
    *,
    console: Console,
    depth: str,
    depth_of: Sequence[str],
    hide: Sequence[str],
    number_bins: int,
    form_of: str | None,
    overwrite: bool,
) -> None:
    """Write a readmission cohort as sequences and print their vocabulary.

    Args:
        cohort (`Path`): Folder of a readmission cohort.
        out (`Path`): Folder to make.
        console (`Console`): Where to print.
        depth (`str`): `"code"`, `"category"` or `"chapter"`.
        depth_of (`Sequence[str]`): `SYSTEM=depth` of single systems.
        hide (`Sequence[str]`): What is left out.
        number_bins (`int`): Bins of numbers; 0 for none.
        form_of (`str`, *optional*): Sequences or a checkpoint whose form is used.
        overwrite (`bool`): Whether sequences at `out` may be replaced.

    Raises:
        ValueError: If an option does not fit, or the folder is no readmission cohort.
    """
    from claim_transformers import resolve_checkpoint
    from claim_transformers.cohorts.sequence_vocabulary import vocabulary_rows
    from claim_transformers.cohorts.sequences import SequenceForm, read_splits, write_sequences

    wrong = [entry for entry in depth_of if entry.count("=") != 1]
    if wrong:
        raise ValueError(f"expected SYSTEM=depth as --depth-of, such as NDC=code, found {wrong[0]!r}")
    depths = dict(entry.split("=") for entry in depth_of)
    if form_of is None:
        form = SequenceForm(depth, depths, hide=hide)
    else:
        # A form is used as it is: one without bins learns none, or its tokens would not be those of the checkpoint.
        form, number_bins = SequenceForm.load(resolve_checkpoint(form_of)), 0
    written = write_sequences(cohort, out, form, num_bins=number_bins, overwrite=overwrite)

    table = Table(title=f"Tokens at the depth of {written.depth}: those that 11 training patients hold")
    for column, justify in (("system", "left"), ("different", "right"), ("kept", "right"), ("of test codes", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in vocabulary_rows(read_splits(out)):
        covered = "-" if row["covered"] is None else f"{100 * row['covered']:.2f} %"
        table.add_row(row["system"], f"{row['different']:,}", f"{row['kept']:,}", covered)
    console.print(table)


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    rate = 100 * facts["readmission_rate"]
    lines = [f"{facts['readmissions']:,} of {facts['index_stays']:,} index stays were readmitted: {rate:.2f} %."]
    for name, sentence in {
        "transfer_labels": "{:,} of these are transfers (is_transfer_label): report AUC without them as well.",
        "overlapping_next_stays": "{:,} next claims overlap the index claim and are labelled 0.",
        "planned_next_stays": "{:,} next stays are planned and are labelled 0.",
        "windows_not_observed": "{:,} windows were not observed to their end and are labelled as the paper does.",
    }.items():
        if facts[name]:
            lines.append(sentence.format(facts[name]))
    if facts["claims_hidden"] is None:
        lines.append("No paid date hides a claim: every claim that ended by the discharge is seen, paid or not.")
    else:
        lines.append(f"{facts['claims_hidden']:,} claims were not paid by the index date and are hidden.")
    counties = facts.get("counties")
    if counties is not None:
        lines.append(
            f"{counties['county unknown']:,} stays have no known county, {counties['county without measures']:,} one "
            "without measures; readmission.json counts what single measures lack."
        )
    return lines
