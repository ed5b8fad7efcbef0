"""Landmarks: days drawn inside a record, from which horizon prediction asks what follows.

A cohort asks about everybody at an index date. So does pretraining with a horizon: a day is drawn, the patient
position sees the visits before that day and stands on it. Where no visit decides the index date, the day is uniform
over the part of the record that is followed for the whole horizon; where an encounter does, it is that of a visit.
Letters: `B` rows, `S` slots, `M` spans of enrolment.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.ages import whole_years
from claim_transformers.models.claim.visits_claim import as_days
from claim_transformers.training.token_columns import (
    Features,
    RaggedColumn,
    column_names,
    ragged_column,
    scalar_column,
)

if TYPE_CHECKING:
    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

    Int64Array = npt.NDArray[np.int64]

_IGNORE_INDEX = -100
_INPATIENT_TYPE = "TYPE/IP"
_UNKNOWN_DAY = np.iinfo(np.int32).min
SPAN_COLUMNS = ("span_start_days", "span_end_days")
# Days since 1970-01-01, named apart from the columns of patients, which go when patients are tokenised.
AGE_COLUMNS = ("age_birth_day", "age_first_day")


@dataclass
class Landmarks:
    """What is known about time in one batch, in days since the first visit in view."""

    visit_days: "Int64Array"  # (B, S), -1 where padded
    span_days: "Int64Array"  # (2, B, M): first and last day of each span of enrolment
    horizon_days: int

    def draw(self, uniform: npt.NDArray[np.float64]) -> "Int64Array":
        """Draw one landmark per row, uniform over the days that are followed for the whole horizon.

        A record too short for that gets a day up to its last visit, good for the next visit alone.
        """
        last_visit = self.visit_days.max(axis=1)
        last_start = self.span_days[1].max(axis=1, initial=0) - self.horizon_days
        latest = np.maximum(np.where(last_start >= 1, last_start, last_visit), 1)
        day: Int64Array = 1 + np.floor(uniform * latest).astype(np.int64)
        return day

    def draw_visit(self, uniform: npt.NDArray[np.float64]) -> "Int64Array":
        """Draw the day of one visit per row, uniform over the visits after the first day in view."""
        visits = self.visit_days[:, 1:]
        later = visits >= 1
        # The place-th visit that counts is where the running number of such visits first reaches place + 1.
        place = np.floor(uniform * later.sum(axis=1)).astype(np.int64)
        chosen = later & (np.cumsum(later, axis=1) == place[:, None] + 1)
        day: Int64Array = np.where(chosen, visits, 0).sum(axis=1)
        return day

    def visits_before(self, day: "Int64Array") -> "Int64Array":
        """Count the visits before a day."""
        visits = self.visit_days[:, 1:]
        before: Int64Array = ((visits >= 0) & (visits < day[:, None])).sum(axis=1)
        return before

    def known(self, landmark: "Int64Array") -> npt.NDArray[np.bool_]:
        """Tell from which slots the whole horizon lies inside one span of enrolment."""
        # (B, S, 1) against (B, 1, M): a slot is known if one of the spans holds its day and the end of its horizon.
        days = np.concatenate([landmark[:, None], self.visit_days[:, 1:]], axis=1)[:, :, None]
        start, end = self.span_days[:, :, None, :]
        known: npt.NDArray[np.bool_] = ((start <= days) & (days + self.horizon_days <= end)).any(axis=2)
        return known & (self.visit_days >= 0)


def read_landmarks(features: Features, visit_days: "Int64Array", horizon_days: int) -> Landmarks:
    """Gather what a batch knows of enrolment; without any, a record is followed up to its last visit."""
    if set(SPAN_COLUMNS) <= set(column_names(features)):
        start, end = (ragged_column(features, name) for name in SPAN_COLUMNS)
        width = max(int(start.lengths.max(initial=0)), 1)
        spans = np.stack([start.pad(0, width), end.pad(-1, width)])
    else:
        spans = np.stack([np.zeros_like(visit_days[:, :1]), visit_days.max(axis=1, keepdims=True)])
    return Landmarks(visit_days, spans, horizon_days)


def horizon_targets(
    tokens: RaggedColumn, visits: RaggedColumn, categories: "Int64Array", tokenizer: "ClaimTokenizer"
) -> "Int64Array":
    """Number what may follow: the category of a code, plus the number of categories on an inpatient visit."""
    # A token does not say where it was billed; the type token of its slot does, so slots of all rows are numbered
    # through and each token looks up its own.
    slots_per_row = int(visits.values.max(initial=0)) + 1
    slot = tokens.row * slots_per_row + visits.values
    is_inpatient = np.zeros(len(tokens.lengths) * slots_per_row, dtype=bool)
    is_inpatient[slot[tokens.values == tokenizer.convert_tokens_to_ids(_INPATIENT_TYPE)]] = True
    targets = np.where(is_inpatient[slot], categories + tokenizer.num_categories, categories)
    return np.where(categories == _IGNORE_INDEX, _IGNORE_INDEX, targets)


def age_at_landmark(
    features: Features, tokens: RaggedColumn, landmark: "Int64Array", age_ids: "Int64Array"
) -> "Int64Array":
    """Write the age at the landmark over the age at the first visit, as a cohort has it at its index date."""
    values: Int64Array = tokens.values.astype(np.int64)
    if not set(AGE_COLUMNS) <= set(column_names(features)) or not len(age_ids):
        return values
    birth_day, first_day = (scalar_column(features, name).astype(np.int64) for name in AGE_COLUMNS)
    starts = np.cumsum(tokens.lengths) - tokens.lengths
    # The age is the first token of a row where there is one.
    row = np.flatnonzero((landmark >= 1) & (birth_day != _UNKNOWN_DAY) & (tokens.lengths > 0))
    row = row[np.isin(tokens.values[starts[row]], age_ids)]
    years = np.clip(whole_years(birth_day[row], first_day[row] + landmark[row]), 0, len(age_ids) - 1)
    values[starts[row]] = age_ids[years]
    return values


def observation_columns(table: Any, visit_days: Any) -> dict[str, Any]:
    """Enrolment and age of each row on the scale of its tokens: days since the first visit in view."""
    import pyarrow as pa
    import pyarrow.compute as pc

    view = RaggedColumn(*_flat(visit_days))
    all_days = RaggedColumn(*_flat(table.column("visit_day")))
    # The visits of a table may stand in any order; the tokenizer has put those in view in order.
    first_day = _latest(all_days) - _latest(view)
    columns = {}
    for name, source in zip(SPAN_COLUMNS, ("enrollment_start_day", "enrollment_end_day"), strict=True):
        if source in table.column_names:
            spans = RaggedColumn(*_flat(table.column(source)))
            offsets = pa.array(np.append(0, np.cumsum(spans.lengths))).cast(pa.int32())
            relative = pa.array(spans.values - first_day[spans.row]).cast(pa.int32())
            columns[name] = pa.ListArray.from_arrays(offsets, relative)
    if "birth_day" in table.column_names:
        birth_day = pc.fill_null(as_days(table.column("birth_day"), "birth_day"), _UNKNOWN_DAY).to_numpy()
        known_birth = np.where(view.lengths > 1, birth_day, _UNKNOWN_DAY)
        columns |= {
            name: pa.array(days).cast(pa.int32())
            for name, days in zip(AGE_COLUMNS, (known_birth, first_day), strict=True)
        }
    return columns


def _flat(column: Any) -> tuple["Int64Array", "Int64Array"]:
    """Values and lengths of a list column; a null list is empty."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    values: Int64Array = as_days(pc.list_flatten(column), "days").to_numpy().astype(np.int64)
    return values, lengths


def _latest(column: RaggedColumn) -> "Int64Array":
    """Largest value of each row, 0 of an empty one."""
    latest = np.zeros(len(column.lengths), np.int64)
    filled = column.lengths > 0
    if filled.any():
        latest[filled] = np.maximum.reduceat(column.values, (np.cumsum(column.lengths) - column.lengths)[filled])
    return latest
