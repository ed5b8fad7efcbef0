"""Selection of patients: the label at each index date, the steps passed, and why a label stays unknown."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.cohorts.event.amounts import label_amounts
from claim_transformers.cohorts.event.definition import EventDefinition
from claim_transformers.cohorts.event.diagnoses import append_categories
from claim_transformers.cohorts.event.index_dates import index_candidates, outcome_visits
from claim_transformers.cohorts.event.rules import satisfies
from claim_transformers.cohorts.event.sampling import draw_rows, unit_hash
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags, Timelines

CENSORED = (
    "left enrolment within the horizon",
    "died within the horizon",
    "the data end within the horizon",
    "visits within the horizon, all without an amount",
)
HIDDEN, OPEN, UNPRICED = "visits_hidden", "visits_open", "visits_without_amount"
_KNOWN = "outcome known (event, or observed to the end)"


@dataclass(frozen=True)
class SelectionCounts:
    """How many patients of one table were in, and where the others went."""

    eligible: NDArray[np.int64]  # Eligible patients with label 0 and 1, or an amount of 0 and above.
    left: NDArray[np.int64]  # Patients left after each step, the first entry before any.
    pairs: NDArray[np.int64]  # Eligible pairs of patient and index date, in the same two groups.
    censored: NDArray[np.int64]  # Patients whose label stays unknown, by the reasons in `CENSORED`.
    without_span: NDArray[np.int64]  # Patients of unknown enrolment, and those without any.


def step_names(definition: EventDefinition) -> list[str]:
    """The steps of the attrition table that a selection counts, in order."""
    fixed = definition.index.rule == "fixed_date"
    index = "with an index date" if fixed else "with a visit that can be the index visit"
    steps = [criterion.step for criterion in definition.criteria]
    known = "amount known (enrolled to the end, or long enough)" if definition.outcome else _KNOWN
    return ["patients with a visit", "with enrolment", index, *steps, known]


def select(timelines: Timelines, definition: EventDefinition, last_day: int) -> tuple[pa.Table, SelectionCounts]:
    """Judge every patient at every index date, and keep one eligible date for each; the data end on `last_day`.

    The table holds those eligible patients that the sampling may need, cut at the index date, with `index_day`,
    `label` (or lists of categories), and how many visits before it were not paid yet (`visits_hidden`) or not over
    (`visits_open`); with an amount, also how many of the horizon have none. The counts are of all.
    """
    candidates = [
        _judge(timelines, definition, index_day, has_index, last_day)
        for index_day, has_index in index_candidates(timelines, definition)
    ]
    # A patient passes a step when it does so at one of its index dates.
    passed = [np.any(marks, axis=0) for marks in zip(*(candidate.passed for candidate in candidates), strict=True)]
    left = np.array([timelines.num_patients, *(int(marks.sum()) for marks in passed)])
    pairs = sum((_two_groups(each.label[each.passed[-1]]) for each in candidates), np.zeros(2, np.int64))
    chosen, rows = _choose(timelines, definition, candidates), np.arange(timelines.num_patients)
    index_day = np.stack([candidate.index_day for candidate in candidates])[chosen, rows]
    label = np.stack([candidate.label for candidate in candidates])[chosen, rows]
    is_censored = passed[-2] & ~passed[-1]
    died, is_cut, unpriced = (
        is_censored & np.any(marks, axis=0)
        for marks in zip(*((each.died, each.is_cut, each.is_unpriced) for each in candidates), strict=True)
    )
    left_early = is_censored & ~is_cut & ~unpriced & ~died
    reasons = (left_early, ~is_cut & ~unpriced & died, is_cut, ~is_cut & unpriced)
    censored = np.array([int(marks.sum()) for marks in reasons])
    eligible = np.flatnonzero(passed[-1])
    ids = timelines.patients["patient_id"].take(pa.array(eligible))
    keep = np.zeros(timelines.num_patients, bool)
    drawn_by = label[eligible] if definition.has_cases else np.ones(len(eligible), np.int8)
    keep[eligible[draw_rows(ids, drawn_by, definition.sampling, is_part=True)]] = True
    examples = _examples(timelines, definition, keep, index_day, label)
    if definition.outcome is not None:
        without = np.stack([candidate.without_amount for candidate in candidates])[chosen, rows]
        examples = examples.append_column(UNPRICED, pa.array(without[keep], pa.int32()))
    without_span = np.array([int(marks.sum()) for marks in timelines.without_span])
    return examples, SelectionCounts(_two_groups(label[eligible]), left, pairs, censored, without_span)


def _two_groups(label: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(label > 0, minlength=2)


def _examples(
    timelines: Timelines, definition: EventDefinition, keep: Flags, index_day: Days, label: NDArray[Any]
) -> pa.Table:
    table = timelines.before(keep, index_day)
    if definition.predicts_diagnoses:
        table = append_categories(table, timelines, keep, index_day, definition.label)
    else:
        table = table.append_column("label", pa.array(label[keep]))
    limit = index_day[timelines.patient_of_visit]
    cut = (timelines.visit_day < limit) & ~timelines.known_before(index_day)[0]
    is_unpaid = timelines.hides_unpaid & (timelines.paid_day > limit)
    for name, visits in ((HIDDEN, cut & is_unpaid), (OPEN, cut & ~is_unpaid)):
        table = table.append_column(name, pa.array(timelines.count(visits)[keep], pa.int32()))
    return table


@dataclass(frozen=True)
class _Candidate:
    """What one index date per patient gives: its label, and whether the patient is still in after each step."""

    index_day: Days
    label: NDArray[Any]
    passed: list[Flags]
    died: Flags
    is_cut: Flags
    is_unpriced: Flags
    without_amount: Days


def _judge(
    timelines: Timelines, definition: EventDefinition, index_day: Days, has_index: Flags, last_day: int
) -> _Candidate:
    is_in = ~np.any([*timelines.without_enrolment().values(), np.zeros(timelines.num_patients, bool)], axis=0)
    passed = [is_in, is_in & has_index]
    for criterion in definition.criteria:
        passed.append(passed[-1] & satisfies(timelines, definition, criterion, index_day))
    label: NDArray[Any]
    unpriced = np.zeros(timelines.num_patients, np.int64)
    if definition.outcome is None:
        label, known, died = _labels(timelines, definition, index_day)
    else:
        label, known, died, unpriced = label_amounts(timelines, definition.outcome, definition.label, index_day)
    # With the outcome or without: where the data end first, nobody would be left but those who had it in time.
    is_cut = index_day + definition.label.horizon_days - 1 > last_day
    is_unpriced = passed[-1] & np.isnan(label)
    return _Candidate(
        index_day,
        label,
        [*passed, passed[-1] & known & ~is_cut & ~is_unpriced],
        died & passed[-1],
        is_cut & passed[-1],
        is_unpriced,
        unpriced,
    )


def _labels(
    timelines: Timelines, definition: EventDefinition, index_day: Days
) -> tuple[NDArray[np.int8], Flags, Flags]:
    """The label of each patient, whether it is known, and whether death within the horizon hid it."""
    rule = definition.label
    last_day = index_day + rule.horizon_days - 1
    insured_until = timelines.enrolled_until(index_day)
    in_view = timelines.in_window(index_day, np.minimum(last_day, insured_until) + 1)
    outcome = outcome_visits(timelines, definition) & in_view
    if definition.index.rule == "fixed_date" and rule.visit_types:
        # Who is in hospital already is not admitted.
        outcome &= timelines.begin_day >= index_day[timelines.patient_of_visit]
    label = timelines.count(outcome) > 0
    died = (timelines.death_day != UNKNOWN_DAY) & (timelines.death_day <= last_day)
    observed = insured_until >= np.where(died, np.minimum(timelines.death_day, last_day), last_day)
    known = label | (observed & (~died | (rule.death == "negative")))
    return label.astype(np.int8), known, died & observed & ~known


def _choose(timelines: Timelines, definition: EventDefinition, candidates: list[_Candidate]) -> NDArray[np.int64]:
    """The index date of each patient: the first with the outcome, else one of the eligible ones at random."""
    eligible = np.stack([candidate.passed[-1] for candidate in candidates])
    if len(candidates) == 1:
        return np.zeros(timelines.num_patients, np.int64)
    is_case = np.stack([candidate.label for candidate in candidates]) == 1
    case = eligible & is_case & definition.has_cases
    rank = unit_hash(timelines.patients["patient_id"], f"date/{definition.sampling.seed}")
    wanted = np.floor(rank * np.maximum(eligible.sum(axis=0), 1)) + 1
    drawn = np.argmax(eligible & (np.cumsum(eligible, axis=0) == wanted), axis=0)
    chosen: NDArray[np.int64] = np.where(case.any(axis=0), np.argmax(case, axis=0), drawn)
    return chosen
