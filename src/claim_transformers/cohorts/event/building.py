"""Event cohorts from an ingested folder: selection part by part, sampling, labels of categories, the leak check."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.claims.engine import connect, engine_errors, fetch, view_table
from claim_transformers.claims.known import STAY_TYPES
from claim_transformers.claims.last_day import last_day_of, last_enrollment_day_of
from claim_transformers.claims.patient_files import schema_of
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.small_cells import show_count
from claim_transformers.claims.spark import SparkTasks
from claim_transformers.claims.stays import interim_bills
from claim_transformers.claims.store import IngestedFolder, open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.attrition import AttritionStep, describe_steps
from claim_transformers.cohorts.claim_dates import count_unknown_codes
from claim_transformers.cohorts.cohort import Cohort, split_examples
from claim_transformers.cohorts.event.definition import EventDefinition
from claim_transformers.cohorts.event.diagnoses import label_diagnoses
from claim_transformers.cohorts.event.sampling import draw_rows
from claim_transformers.cohorts.event.selection import (
    CENSORED,
    HIDDEN,
    OPEN,
    UNPRICED,
    SelectionCounts,
    select,
    step_names,
)
from claim_transformers.cohorts.leaks import refuse_leaks
from claim_transformers.cohorts.timelines import Timelines, patient_files

_logger = logging.getLogger(__name__)
_ROWS_BEFORE_THINNING = 20_000
_DICTIONARY_COLUMNS = {
    "visit_type": "visit_type.list.element",
    **{name: f"{name}.list.element.list.element" for name in ("codes", "principal_codes", "admitting_codes")},
}


def build_event_cohort(definition: EventDefinition, claims: str | Path, tasks: SparkTasks | None = None) -> Cohort:
    """Build the cohort of an event, see [`build_cohort`].

    Reads one row group at a time, so memory follows the examples that are kept. Where fewer cases or controls exist
    than asked for, all of them are used and a warning is logged.
    """
    last_day = _check_windows(definition, open_folder(claims))
    drawn, counts, hides = _select_and_draw(Path(claims), definition, last_day, tasks)
    steps = _selection_steps(definition, counts)
    if not drawn.num_rows:
        lost = describe_steps(steps)
        raise ClaimDataError(
            "E_EMPTY_COHORT",
            f"expected at least one patient in {definition.name!r}, found ({lost}); change the dates or criteria of "
            "the definition where the numbers fall to 0",
        )
    finish = _finish_diagnoses if definition.predicts_diagnoses else _finish_event
    finish = finish if definition.outcome is None else _finish_amounts
    examples, last_steps, names = finish(drawn, steps[-1], definition)
    hidden = int(pc.sum(examples[HIDDEN]).as_py()) if hides else None
    cohort = Cohort(
        definition,
        examples.drop_columns([HIDDEN, OPEN, *([] if definition.outcome is None else [UNPRICED])]),
        (*steps, *last_steps),
        _sampled_share(examples, counts.pairs, definition),
        hidden,
        int(pc.sum(examples[OPEN]).as_py()),
        names,
        visits_without_amount=None if definition.outcome is None else int(pc.sum(examples[UNPRICED]).as_py()),
    )
    hides_unpaid = definition.hide_unpaid
    refuse_leaks(
        cohort.splits(), count_unknown_codes([cohort.examples], claims, hides_unpaid=hides_unpaid, tasks=tasks)
    )
    return cohort


def _check_windows(definition: EventDefinition, folder: IngestedFolder) -> int:
    """Give the last day that windows may reach; refuse fixed dates if all reach further, warn of single ones."""
    last_day, last_enrollment_day = last_day_of(folder), last_enrollment_day_of(folder)
    days = definition.index_days if definition.index.rule == "fixed_date" else []
    ends = [day + definition.label.horizon_days - 1 for day in days]
    beyond, unseen = (sum(end > last for end in ends) for last in (last_enrollment_day, last_day))
    found = f"of {len(days)} index dates of {definition.name!r} have a horizon that reaches beyond the last"
    if beyond and beyond == len(days):
        raise ClaimDataError(
            "E_DATA_END",
            f"{beyond} {found} day of the data (last_day in quality_report.json) and of enrolment: take an earlier "
            "date, a shorter horizon or more claims",
        )
    if beyond:
        _logger.warning("%d %s day of the data and of enrolment: EVERYBODY IS CENSORED THERE", beyond, found)
    elif unseen:
        _logger.warning(
            "%d %s service (last_day in quality_report.json): WHO HAS NO EVENT IS TAKEN AS OBSERVED WHILE ENROLLED. "
            "If the data end there, ingest with the day of the extract (--extract-date)",
            unseen,
            found,
        )
    return last_enrollment_day


@dataclass(frozen=True)
class _SelectFile:
    """Selection of the examples in a file of patients, thinned by what would be drawn of them alone."""

    definition: EventDefinition
    last_day: int
    bills: pa.Table | None
    sends: bool = False

    def __call__(self, path: Path) -> tuple[list[pa.Table], list[SelectionCounts], bool]:
        parts: list[pa.Table] = []
        counts: list[SelectionCounts] = []
        hides, limit = False, _ROWS_BEFORE_THINNING
        for table in _patient_groups(path):
            timelines = Timelines(
                table,
                hide_unpaid=self.definition.hide_unpaid,
                enrolment=self.definition.enrolment,
                interim_bills=self.bills,
            )
            part, counts_of_part = select(timelines, self.definition, self.last_day)
            parts.append(part)
            counts.append(counts_of_part)
            hides |= timelines.hides_unpaid
            parts, limit = _thin(parts, self.definition, limit)
        # What travels to another machine is no more than it needs.
        return _thin(parts, self.definition, 0)[0] if self.sends else parts, counts, hides


def _interim_bills(definition: EventDefinition, claims: Path) -> pa.Table | None:
    """Interim bills of the stays that are an outcome; none where no stay is asked for or the folder has no claims."""
    types = [name for name in STAY_TYPES if name in definition.label.visit_types]
    files = open_folder(claims).table_files("claim_line")
    if not types or not files or definition.index.rule != "fixed_date":
        return None
    connection = connect()
    with engine_errors("looking for interim bills"):
        return fetch(connection, interim_bills(view_table(connection, "lines", files, SCHEMAS["claim_line"]), types))


def _select_and_draw(
    claims: Path, definition: EventDefinition, last_day: int, tasks: SparkTasks | None
) -> tuple[pa.Table, SelectionCounts, bool]:
    """The examples drawn from all row groups, the counts of everybody, and whether unpaid visits could be hidden."""
    parts: list[pa.Table] = []
    counts: list[SelectionCounts] = []
    hides, limit = False, _ROWS_BEFORE_THINNING
    select_file = _SelectFile(definition, last_day, _interim_bills(definition, claims), sends=tasks is not None)
    for more, counts_of_file, hides_unpaid in (map if tasks is None else tasks.run)(
        select_file, patient_files(claims)
    ):
        parts += more
        counts += counts_of_file
        hides |= hides_unpaid
        parts, limit = _thin(parts, definition, limit)
    columns = ([each.eligible, each.left, each.pairs, each.censored, each.without_span] for each in counts)
    sums = (np.sum(column, axis=0) for column in zip(*columns, strict=True))
    return _draw(parts, definition).sort_by("patient_id"), SelectionCounts(*sums), hides


def _thin(parts: list[pa.Table], definition: EventDefinition, limit: int) -> tuple[list[pa.Table], int]:
    """Leave out what cannot be drawn, where there are more rows than the limit, which then follows what stays."""
    if sum(part.num_rows for part in parts) <= limit:
        return parts, limit
    parts = [_draw(parts, definition, is_part=True)]
    return parts, max(limit, 2 * parts[0].num_rows)


def _draw(parts: Sequence[pa.Table], definition: EventDefinition, *, is_part: bool = False) -> pa.Table:
    examples = pa.concat_tables(parts)
    label = examples["label"].to_numpy() if definition.has_cases else np.ones(examples.num_rows, np.int8)
    return examples.take(pa.array(draw_rows(examples["patient_id"], label, definition.sampling, is_part=is_part)))


def _patient_groups(path: Path) -> Iterator[pa.Table]:
    # Strings stay the dictionaries that they are in the file, which differ from one row group to the next.
    names = schema_of(path).names
    dictionaries = [leaf for name, leaf in _DICTIONARY_COLUMNS.items() if name in names]
    with pq.ParquetFile(path, read_dictionary=dictionaries) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group)
        if not file.num_row_groups:
            yield file.read()


def _selection_steps(definition: EventDefinition, counts: SelectionCounts) -> list[AttritionStep]:
    left = counts.left.tolist()
    removed = [0, *(before - after for before, after in itertools.pairwise(left))]
    rule = definition.enrolment
    rows = [AttritionStep(*row) for row in zip(step_names(definition), left, removed, strict=True)]
    censored = zip(CENSORED, counts.censored.tolist(), strict=True)
    reasons = {f"censored: {reason}": count for reason, count in censored if count}
    cases = controls = None
    if definition.has_cases:
        controls, cases = counts.eligible.tolist()
    rows[-1] = AttritionStep(rows[-1].step, left[-1], removed[-1], reasons, cases, controls)
    unknown, none = counts.without_span.tolist()
    if unknown or none:
        of_state = {"enrolment unknown": (unknown, rule.unknown), "without any enrolment": (none, rule.none)}
        out = {reason: number for reason, (number, verdict) in of_state.items() if number and verdict == "excluded"}
        rows[1] = AttritionStep(rule.step(unknown=unknown, none=none, of=left[0]), left[1], removed[1], out)
    else:
        del rows[1]
    return rows


def _sampled_share(examples: pa.Table, pairs: NDArray[np.int64], definition: EventDefinition) -> tuple[float, float]:
    if not definition.has_cases:
        share = examples.num_rows / int(pairs.sum())
        return share, share
    kept = np.bincount(examples["label"].to_numpy(), minlength=2)
    return float(kept[0] / pairs[0]), float(kept[1] / pairs[1])


# ---- One outcome: cases and controls ----


def _finish_event(
    examples: pa.Table, eligible: AttritionStep, definition: EventDefinition
) -> tuple[pa.Table, list[AttritionStep], tuple[str, ...]]:
    cases = int(np.count_nonzero(examples["label"].to_numpy()))
    controls = examples.num_rows - cases
    if not cases or not controls:
        raise ClaimDataError(
            "E_ONE_CLASS",
            f"expected both labels in {definition.name!r}, found {show_count(cases)} positive of "
            f"{show_count(examples.num_rows)}; the dates, codes or horizon of the definition may not fit these claims",
        )
    _warn_of_shortfall(definition, cases, controls)
    counts = {"cases": (eligible.cases, cases), "controls": (eligible.controls, controls)}
    reasons = {f"{name} not drawn": (before or 0) - left for name, (before, left) in counts.items()}
    reasons = {reason: count for reason, count in reasons.items() if count}
    removed = eligible.patients - examples.num_rows
    step = AttritionStep(_sampling_name(definition), examples.num_rows, removed, reasons, cases, controls)
    return examples, [step], ()


def _sampling_name(definition: EventDefinition) -> str:
    sampling = definition.sampling
    if sampling.cases is None and sampling.controls_per_case is None:
        return "kept (no sampling)"
    cases = "all" if sampling.cases is None else f"at most {sampling.cases:,}"
    controls = "all" if sampling.controls_per_case is None else f"{sampling.controls_per_case:g} per case"
    return f"sampled ({cases} cases, controls: {controls})"


def _warn_of_shortfall(definition: EventDefinition, cases: int, controls: int) -> None:
    sampling = definition.sampling
    wanted = {"cases": (sampling.cases, cases)}
    if sampling.controls_per_case is not None:
        wanted["controls"] = (round(sampling.controls_per_case * cases), controls)
    for name, (asked, found) in wanted.items():
        if asked is not None and found < asked:
            _logger.warning(
                "%s: expected %d %s, found fewer (attrition.json): ALL OF THEM ARE USED. Take more patients, widen "
                "the dates, or set %s",
                definition.name,
                asked,
                name,
                f"sampling.{name}" if name == "cases" else "sampling.controls_per_case",
            )


# ---- An amount ----


def _finish_amounts(
    examples: pa.Table, eligible: AttritionStep, definition: EventDefinition
) -> tuple[pa.Table, list[AttritionStep], tuple[str, ...]]:
    if pc.max(examples["label"]).as_py() == pc.min(examples["label"]).as_py():
        raise ClaimDataError(
            "E_ONE_CLASS",
            f"expected amounts that differ in {definition.name!r}, found the same one of all patients; the dates, "
            "claim types or horizon of the definition may not fit these claims",
        )
    removed = eligible.patients - examples.num_rows
    return examples, [AttritionStep(_sample_of_all(definition), examples.num_rows, removed)], ()


def _sample_of_all(definition: EventDefinition) -> str:
    most = definition.sampling.patients
    return "kept (no sampling)" if most is None else f"sampled (at most {most:,} patients)"


# ---- All diagnoses of the next visit ----


def _finish_diagnoses(
    examples: pa.Table, eligible: AttritionStep, definition: EventDefinition
) -> tuple[pa.Table, list[AttritionStep], tuple[str, ...]]:
    drawn, minimum = examples.num_rows, definition.label.minimum_patients
    is_train = pc.equal(split_examples(examples, definition), "train").to_numpy(zero_copy_only=False)
    examples, names = label_diagnoses(examples, is_train, definition.label)
    if not names:
        raise ClaimDataError(
            "E_EMPTY_COHORT",
            f"expected a diagnosis category that {minimum} training patients of {definition.name!r} have at the index "
            f"date, found none among {show_count(int(is_train.sum()))}; take more patients or lower "
            "label.minimum_patients",
        )
    held = f"with one of the {len(names)} categories that {minimum} training patients have"
    steps = [
        AttritionStep(_sample_of_all(definition), drawn, eligible.patients - drawn),
        AttritionStep(held, examples.num_rows, drawn - examples.num_rows),
    ]
    return examples, steps, names
