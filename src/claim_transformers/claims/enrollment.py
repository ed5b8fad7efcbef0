"""Enrollment: who the patients are and when they were enrolled, out of many eligibility rows per patient."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.packing import NULL_DAY, Integers

SEXES = ("F", "M")
# Births further apart than that are not one birth written twice, but two people under one id.
MAX_YEARS_APART = 2
_SEX_OF_GENDER = {"F": 0, "FEMALE": 0, "M": 1, "MALE": 1}
ELIGIBILITY_COLUMNS = (
    "patient_id",
    "gender",
    "birth_date",
    "death_date",
    "enrollment_start_date",
    "enrollment_end_date",
)


@dataclass(frozen=True)
class Enrollment:
    """Sex, birth, death and merged enrollment spans of patients, by position; both days of a span are inclusive.

    Sexes are positions in `SEXES`, -1 unknown; days are since 1970-01-01, `NULL_DAY` unknown or alive. `is_known` says
    whether a source tells when the patient was enrolled, so that no span is none and not unknown.
    """

    sexes: Integers
    birth_days: Integers
    death_days: Integers
    span_offsets: Integers
    span_starts: Integers
    span_ends: Integers
    is_known: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EligibilityRows:
    """Eligibility as flat arrays, one entry per row of the canonical table, in any order; an open span has no end."""

    patients: Integers
    sexes: Integers
    birth_days: Integers
    death_days: Integers
    starts: Integers
    ends: Integers

    @classmethod
    def empty(cls) -> "EligibilityRows":
        """No rows."""
        days = np.empty(0, np.int32)
        return cls(np.empty(0, np.int64), np.empty(0, np.int8), days, days, days, days)

    @classmethod
    def of_batches(
        cls, batches: Iterable[pa.RecordBatch], position: Callable[[pa.Array], Integers]
    ) -> "tuple[EligibilityRows, pa.Array]":
        """Read the canonical table and keep the rows of known patients."""
        parts: list[list[Integers]] = [[] for _ in ELIGIBILITY_COLUMNS]
        others = [pa.array([], pa.string())]
        for batch in batches:
            patients = position(batch["patient_id"])
            is_known = patients >= 0
            if not is_known.all():
                others.append(pc.unique(batch["patient_id"].filter(pa.array(~is_known)).cast(pa.string())))
            columns = [patients, _sexes_of(batch["gender"])]
            columns += [days_of(batch[name]) for name in ELIGIBILITY_COLUMNS[2:]]
            for part, column in zip(parts, columns, strict=True):
                part.append(column[is_known])
        rows = cls(*(np.concatenate(part) for part in parts)) if parts[0] else cls.empty()
        return rows, pc.unique(pa.chunked_array(others)).drop_null()


def merge_eligibility(
    rows: EligibilityRows,
    num_patients: int,
    last_day: int = NULL_DAY,
    is_known: "npt.NDArray[np.bool_] | bool" = False,
) -> Enrollment:
    """Merge the spans of each patient that overlap or touch, and let the latest demographics win.

    The latest row is the one whose enrollment starts last. Each of sex, birth and death is the latest that is known,
    so a row that leaves one blank does not erase it. The order of the rows does not matter.

    `last_day` is the last that the data know of and closes a span that has no end. Without it such a span is left out,
    like one that has no start. `is_known` says whether a source tells when each patient was enrolled; a patient with a
    span is known anyway.
    """
    ends = np.where(rows.ends == NULL_DAY, np.int32(last_day), rows.ends)
    order = np.lexsort((ends, rows.starts, rows.patients))
    rows = EligibilityRows(*(getattr(rows, column.name)[order] for column in fields(rows)))
    patients, starts, ends = rows.patients.astype(np.int64), rows.starts, ends[order]

    is_span = (starts != NULL_DAY) & (ends != NULL_DAY) & (ends >= starts)
    span_patients, span_starts, span_ends = _merge_spans(patients[is_span], starts[is_span], ends[is_span])
    counts = np.bincount(span_patients, minlength=num_patients)
    # Rows of one patient and span are equally late.
    is_later = np.ones(len(patients), np.int64)
    is_later[1:] = (patients[1:] != patients[:-1]) | (starts[1:] != starts[:-1]) | (ends[1:] != ends[:-1])
    lateness = np.cumsum(is_later)
    return Enrollment(
        _latest(patients, lateness, rows.sexes, num_patients, -1).astype(np.int8),
        _latest(patients, lateness, rows.birth_days, num_patients, NULL_DAY),
        _latest(patients, lateness, rows.death_days, num_patients, NULL_DAY),
        np.append(0, np.cumsum(counts)),
        span_starts,
        span_ends,
        (counts > 0) | is_known,
    )


def overruled(rows: EligibilityRows, known: Enrollment) -> "npt.NDArray[np.bool_]":
    """Which rows have a sex, birth or death other than the one that the latest row gives the patient."""
    values = [
        (rows.sexes, known.sexes, -1),
        (rows.birth_days, known.birth_days, NULL_DAY),
        (rows.death_days, known.death_days, NULL_DAY),
    ]
    found: npt.NDArray[np.bool_] = np.any(
        [(of_rows != null) & (of_rows != of_patients[rows.patients]) for of_rows, of_patients, null in values], axis=0
    )
    return found


def years_apart(patients: Integers, birth_days: Integers, num_patients: int) -> Integers:
    """Calendar years between the first and the last birth of each patient, 0 without any; births may be `NULL_DAY`."""
    known = birth_days != NULL_DAY
    years = birth_days[known].astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    first, last = np.full(num_patients, NULL_DAY, np.int64), np.full(num_patients, NULL_DAY, np.int64)
    first[patients[known]] = years
    np.minimum.at(first, patients[known], years)
    np.maximum.at(last, patients[known], years)
    return last - first


def _merge_spans(patients: Integers, starts: Integers, ends: Integers) -> tuple[Integers, Integers, Integers]:
    """Merge sorted spans that overlap or follow each other without a day between them."""
    if not len(patients):
        return patients, starts, ends
    # With the patient in the high bits, one running maximum never carries an end over to the next patient.
    reach = np.maximum.accumulate((patients << 33) + ends.astype(np.int64) - NULL_DAY)
    is_first = np.ones(len(patients), dtype=bool)
    is_first[1:] = (patients[1:] << 33) + starts[1:].astype(np.int64) - NULL_DAY > reach[:-1] + 1
    firsts = np.flatnonzero(is_first)
    lasts = np.append(firsts[1:], len(patients)) - 1
    merged_ends = reach[lasts] - (patients[lasts] << 33) + NULL_DAY
    return patients[firsts], starts[firsts].astype(np.int32), merged_ends.astype(np.int32)


def _latest(patients: Integers, lateness: Integers, values: Integers, num_patients: int, null: int) -> Integers:
    """The value of each patient's latest row that has one; ties go to the larger value, whatever the row order."""
    known = np.flatnonzero(values != null)
    latest = np.full(num_patients, null, np.int32)
    if len(known):
        patients = patients[known]
        starts = np.flatnonzero(np.append(True, patients[1:] != patients[:-1]))
        # With the lateness in the high bits, the largest is the latest.
        largest = np.maximum.reduceat((lateness[known] << 33) + values[known].astype(np.int64) - NULL_DAY, starts)
        latest[patients[starts]] = (largest & ((1 << 33) - 1)) + NULL_DAY
    return latest


def days_of(dates: pa.Array) -> Integers:
    """Turn dates into days since 1970-01-01."""
    if dates.null_count == len(dates):
        return np.full(len(dates), NULL_DAY, np.int32)
    days = pc.cast(dates, pa.date32()).view(pa.int32())
    days = days.fill_null(NULL_DAY) if days.null_count else days
    return days.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _sexes_of(genders: pa.Array) -> Integers:
    """Turn genders as payers write them into positions in `SEXES`."""
    encoded = genders if pa.types.is_dictionary(genders.type) else pc.dictionary_encode(genders)
    table = [_SEX_OF_GENDER.get(str(gender).strip().upper(), -1) for gender in encoded.dictionary.to_pylist()]
    positions = encoded.indices.fill_null(len(table)).to_numpy(zero_copy_only=False)
    sexes: Integers = np.array([*table, -1], np.int8)[positions]
    return sexes
