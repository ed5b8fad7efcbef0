"""The commands `cohort readmission` and `sequences`: options to a definition or a form, and results to a summary."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

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
    console: Console,
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
        console (`Console`): Where to print.
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


def run_sequences(
    cohort: Path,
    out: Path,
    *,
    console: Console,
    depth: str | None,
    depth_of: Sequence[str],
    hide: Sequence[str],
    number_bins: int | None,
    form_of: str | None,
    overwrite: bool,
) -> None:
    """Write a readmission cohort as sequences and print their vocabulary.

    Args:
        cohort (`Path`): Folder of a readmission cohort.
        out (`Path`): Folder to make.
        console (`Console`): Where to print.
        depth (`str`, *optional*): `"code"`, `"category"` or `"chapter"`.
        depth_of (`Sequence[str]`): `SYSTEM=depth` of single systems.
        hide (`Sequence[str]`): What is left out, with a form in addition to what it hides.
        number_bins (`int`, *optional*): Bins of numbers; 0 for none.
        form_of (`str`, *optional*): Sequences or a checkpoint whose form is used, in place of depths and bins.
        overwrite (`bool`): Whether sequences at `out` may be replaced.

    Raises:
        ValueError: If an option does not fit, or the folder is no readmission cohort.
        ClaimDataError: As `write_sequences`.
    """
    from claim_transformers import resolve_checkpoint
    from claim_transformers.claims.number_bins import DEFAULT_BINS
    from claim_transformers.codes.roll_up import CHAPTER
    from claim_transformers.cohorts.readmission.patient_codes import differ_in_county_bins
    from claim_transformers.cohorts.readmission.sequences import COUNTY, SequenceForm, write_sequences

    if form_of is None:
        form = SequenceForm(CHAPTER if depth is None else depth, _depths(depth_of), hide=hide)
        num_bins = DEFAULT_BINS if number_bins is None else number_bins
    else:
        given = {"--depth": depth is not None, "--depth-of": bool(depth_of), "--number-bins": number_bins is not None}
        if both := [option for option, is_given in given.items() if is_given]:
            raise ValueError(f"expected no {', '.join(both)} with --form-of, whose form has its own, found it")
        form = SequenceForm.load(resolve_checkpoint(form_of))
        # What is hidden is absent, which changes no token; a form without bins learns none, or its tokens would not be
        # those of the checkpoint.
        form, num_bins = replace(form, hide=(*form.hide, *hide)), 0
    written = write_sequences(cohort, out, form, num_bins=num_bins, overwrite=overwrite)
    checkpoint = None if form_of is None else _tokenizer_folder(resolve_checkpoint(form_of))
    if checkpoint is None:
        _print_vocabulary(out, written.depth, console)
        return
    _print_known(out, checkpoint, console)
    if COUNTY not in written.hide and differ_in_county_bins(out, checkpoint):
        console.print(
            f"[bold]Warning:[/bold] the COUNTY/ tokens of these sequences have other bins than those of "
            f"{checkpoint.name}: build the cohort with --county-bins-of {form_of}.",
            soft_wrap=True,
        )


def _depths(depth_of: Sequence[str]) -> dict[str, str]:
    wrong = [entry for entry in depth_of if entry.count("=") != 1]
    if wrong:
        raise ValueError(f"expected SYSTEM=depth as --depth-of, such as NDC=code, found {wrong[0]!r}")
    return dict(entry.split("=") for entry in depth_of)


def _print_vocabulary(out: Path, depth: str, console: Console) -> None:
    """The vocabulary that a tokenizer of the training split would have, and what it would cover."""
    from claim_transformers.cohorts.readmission.sequence_vocabulary import vocabulary_rows
    from claim_transformers.cohorts.readmission.sequences import read_splits

    table = Table(title=f"Tokens at the depth of {depth}: those that 11 training patients hold")
    for column, justify in (("system", "left"), ("different", "right"), ("kept", "right"), ("of test codes", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in vocabulary_rows(read_splits(out)):
        covered = "-" if row["covered"] is None else f"{100 * row['covered']:.2f} %"
        table.add_row(row["system"], f"{row['different']:,}", f"{row['kept']:,}", covered)
    console.print(table)


def _tokenizer_folder(folder: str) -> Path | None:
    """The folder if it holds a tokenizer; sequences have a form alone."""
    return Path(folder) if Path(folder, "tokenizer_config.json").is_file() else None


def _print_known(out: Path, checkpoint: Path, console: Console) -> None:
    """How much of the test split the tokenizer of a checkpoint knows, and a warning where that is little."""
    from claim_transformers import ClaimTokenizer
    from claim_transformers.cohorts.readmission.sequence_vocabulary import known_rows
    from claim_transformers.cohorts.readmission.sequences import read_splits

    vocabulary = ClaimTokenizer.from_pretrained(checkpoint).vocabulary
    rows = known_rows(read_splits(out)["test"], lambda code: vocabulary.resolve(code)[1] not in ("system", "unknown"))
    table = Table(title=f"Codes of the test split that the tokenizer of {checkpoint.name} knows")
    for column, justify in (("system", "left"), ("codes", "right"), ("known", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        known = "-" if row["known"] is None else f"{100 * row['known']:.2f} %"
        table.add_row(row["system"], f"{row['codes']:,}", known)
    console.print(table)
    # A code of no group is unknown to every tokenizer.
    little = [
        row["system"] for row in rows if row["known"] is not None and row["known"] < 0.5 and row["system"] != "UNK"
    ]
    if little:
        console.print(
            f"[bold]Warning:[/bold] {checkpoint.name} knows less than half of the codes of {', '.join(little)}: it "
            "was pretrained on others, and these are one unknown word to it. Pretrain one on claims like these: "
            "docs/readmission.md.",
            soft_wrap=True,
        )


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
