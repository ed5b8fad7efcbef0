"""Who is scored at a date, and what was known of them: the rules of the cohorts, for everybody and without labels."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Timelines

LEFT_OUT = ("born after the date", "died before the date", "without any enrolment", "not enrolled at the date")

_Days = NDArray[np.int64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class KnownPatients:
    """The patients of a table who are scored, and what the claims covered."""

    examples: pa.Table  # Patients with what was known of them at the date, and `index_day`.
    enrolled_days: pa.Array  # Days of enrolment within the look-back; null where enrolment is unknown.
    last_visit_day: pa.Array  # Day of the last visit known, days since 1970-01-01; null without one.
    left_out: dict[str, int]  # How many patients are not scored, by each of `LEFT_OUT`.


def known_patients(
    patients: pa.Table, day: int | _Days, *, look_back_days: int = 365, everyone: bool = False
) -> KnownPatients:
    """Choose the patients of a table who are scored at a date, and cut them to what was known then.

    Visits that were not over, or that are known to be unpaid at the date, are hidden as in a cohort.

    Nothing of the date is seen but a payment; it is one for all or one of each row. Days of enrolment are counted
    within the look-back. `everyone` is scored who was born and lives, enrolled or not.
    """
    timelines = Timelines(patients, hide_unpaid=True)
    days = np.broadcast_to(np.asarray(day, np.int64), timelines.num_patients)
    keep, left_out = _choose(timelines, days, everyone)
    examples = timelines.before(keep, days)
    return KnownPatients(
        examples, _enrolled_days(examples, look_back_days), _last_values(examples["visit_day"]), left_out
    )


def _choose(timelines: Timelines, days: _Days, everyone: bool) -> tuple[_Flags, dict[str, int]]:
    """Who is scored, and how many are not, by the first reason that holds."""
    unborn = timelines.birth_day > days
    dead = (timelines.death_day != UNKNOWN_DAY) & (timelines.death_day < days)
    nobody = np.zeros(len(days), bool)
    without = nobody if everyone else timelines.without_span[1]
    absent = nobody if everyone else timelines.enrolled_until(days) == UNKNOWN_DAY
    keep, left_out = ~nobody, {}
    for reason, marks in zip(LEFT_OUT, (unborn, dead, without, absent), strict=True):
        left_out[reason] = int(np.count_nonzero(keep & marks))
        keep = keep & ~marks
    return keep, left_out


def _enrolled_days(examples: pa.Table, look_back_days: int) -> pa.Array:
    """Days of the spans in the days before the date; spans do not overlap."""
    starts, ends = (examples[f"enrollment_{end}_day"].combine_chunks() for end in ("start", "end"))
    owner = _numbers(pc.list_parent_indices(starts))
    day = _numbers(examples["index_day"])[owner]
    first = np.maximum(_numbers(starts.flatten()), day - look_back_days)
    last = np.minimum(_numbers(ends.flatten()), day - 1)
    found = np.bincount(owner, weights=np.maximum(last - first + 1, 0), minlength=len(starts)).astype(np.int32)
    return pa.array(found, mask=starts.is_null().to_numpy(zero_copy_only=False))


def _last_values(lists: pa.ChunkedArray) -> pa.Array:
    """The last value of each list, null of an empty one."""
    lengths = _numbers(pc.list_value_length(lists))
    values = _numbers(lists.combine_chunks().flatten())
    place = np.cumsum(lengths) - 1
    last = np.append(values, 0)[np.where(lengths > 0, place, -1)].astype(np.int32)
    return pa.array(last, mask=lengths == 0)


def _numbers(values: pa.Array | pa.ChunkedArray) -> _Days:
    numbers: _Days = (
        values.to_numpy(zero_copy_only=False).astype(np.int64)
        if isinstance(values, pa.Array)
        else (values.to_numpy().astype(np.int64))
    )
    return numbers
