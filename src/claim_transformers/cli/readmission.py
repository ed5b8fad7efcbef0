"""The command `cohort readmission`: options to a definition, and results to a summary."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from claim_transformers.cli.options import console

if TYPE_CHECKING:
    from claim_transformers.claims.counties import CountyFeatures
    from claim_transformers.cohorts.readmission.patient_codes import CountyBins

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
    rule: str | None,
    look_back_days: int | None,
    test_from: dt.date | None,
    see_unpaid: bool,
    hide_disposition: bool,
    county_features: Sequence[Path],
    county_bins_of: str | None,
    seed: int | None,
    overwrite: bool,
) -> None:
    """Build a readmission cohort, save it and print what came out.

    Args:
        claims (`Path`): Folder that `ingest` wrote.
        out (`Path`): Folder to make.
        rule (`str`, *optional*): `"plain"`, `"stays"` or `"unplanned"`.
        look_back_days (`int`, *optional*): Days before the admission that are seen.
        test_from (`datetime.date`, *optional*): First discharge of the test split; a split by patient without it.
        see_unpaid (`bool`): Whether claims not yet paid are seen.
        hide_disposition (`bool`): Whether the disposition of the index stay is left out.
        county_features (`Sequence[Path]`): Files of county measures.
        county_bins_of (`str`, *optional*): Cohort or checkpoint whose bins of these measures are used.
        seed (`int`, *optional*): Salt of the split.
        overwrite (`bool`): Whether a cohort at `out` may be replaced.

    Raises:
        ValueError: If an option does not fit.
        ClaimDataError: As `build_readmission_cohort` and `Cohort.save`.
    """
    from claim_transformers.cohorts import attrition_table, check_out
    from claim_transformers.cohorts.readmission.building import build_readmission_cohort
    from claim_transformers.cohorts.readmission.definition import BY_TIME, ReadmissionDefinition

    check_out(out, overwrite=overwrite)
    given: dict[str, Any] = {"rule": rule, "look_back_days": look_back_days, "test_from": test_from, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    if test_from is not None:
        options["split"] = BY_TIME
    definition = ReadmissionDefinition(hide_unpaid=not see_unpaid, disposition=not hide_disposition, **options)
    counties = _read_counties(county_features, county_bins_of)
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


def _read_counties(paths: Sequence[Path], bins_of: str | None) -> "CountyFeatures | CountyBins | None":
    """Measures of all files, with the bins of another cohort or a checkpoint if asked."""
    from claim_transformers import resolve_checkpoint
    from claim_transformers.claims.counties import read_county_features
    from claim_transformers.cohorts.readmission.patient_codes import CountyBins, load_county_bins

    if bins_of is not None and not paths:
        raise ValueError("expected --county-features with --county-bins-of, found none: bins need measures")
    counties = None
    for path in paths:
        features = read_county_features(path)
        counties = features if counties is None else counties.join(features)
    if counties is None or bins_of is None:
        return counties
    return CountyBins.reuse(counties, load_county_bins(resolve_checkpoint(bins_of)))


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
