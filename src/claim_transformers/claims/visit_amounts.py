"""Amounts of visits: what was paid and allowed for the claim lines behind each visit, summed in cents.

An amount stands on the day of the codes that it pays for: on the first day of its claim, or on the day of the line
where the claim has no diagnosis. A visit without any amount has null, not 0: nobody knows what it cost.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.packing import NULL_DAY, Integers, Keys

_DOLLARS, _CENTS = pa.list_(pa.float64()), pa.decimal128(12, 2)
# By the column of the canonical tables; `visit_amount` is what was paid, as in a readmission cohort.
AMOUNT_FIELDS: Mapping[str, pa.Field] = {
    "paid_amount": pa.field("visit_amount", _DOLLARS),
    "allowed_amount": pa.field("visit_allowed_amount", _DOLLARS),
}
NULL_CENTS = np.iinfo(np.int64).min
# Of a row: the key of the visit, then the cents of each of `AMOUNT_FIELDS`.
_ROW_WIDTH = 1 + len(AMOUNT_FIELDS)

Cents = npt.NDArray[np.int64]


def amount_columns(names: Collection[str]) -> list[str]:
    """The columns of amounts that a canonical table has."""
    return [name for name in AMOUNT_FIELDS if name in names]


def cents_of(batch: pa.RecordBatch) -> Cents:
    """Amounts of the lines of a batch, shape `(amounts, rows)`, `NULL_CENTS` where unknown.

    Examples:
        >>> cents_of(pa.record_batch({"paid_amount": pa.array([1.25, None])})).tolist()[0]
        [125, -9223372036854775808]
    """
    cents = np.full((len(AMOUNT_FIELDS), batch.num_rows), NULL_CENTS, np.int64)
    for place, name in enumerate(AMOUNT_FIELDS):
        if name in batch.schema.names and batch[name].null_count < batch.num_rows:
            known = batch[name].is_valid().to_numpy(zero_copy_only=False)
            if batch[name].type == _CENTS:
                # Cents as they are stored: integers of 16 bytes, of which the lower half holds all.
                halves = np.frombuffer(batch[name].buffers()[1], np.int64)[2 * batch[name].offset :]
                np.copyto(cents[place], halves[: 2 * len(known) : 2], where=known)
            else:
                dollars = pc.cast(batch[name], pa.float64()).to_numpy(zero_copy_only=False)
                known &= np.isfinite(dollars)
                cents[place, known] = np.rint(dollars[known] * 100)
    return cents


def without_more(cents: Cents) -> Cents:
    """What a claim costs on its later days, once its first day has all of it: nothing, where that is known."""
    return np.where(cents == NULL_CENTS, cents, 0)


def amount_days(num_diagnoses: Integers, header_days: Integers, line_days: Integers) -> Integers:
    """The day on which the amount of each claim line stands."""
    return np.where((num_diagnoses > 0) | (line_days == NULL_DAY), header_days, line_days)


def amounts_of(visits: Keys, rows: "npt.NDArray[np.uint64]") -> tuple[Mapping[str, Cents], int]:
    """Cents of each visit by name of its column, and how many visits with amounts are lost for want of a code."""
    rows = rows.reshape(-1, _ROW_WIDTH)
    rows = rows[np.argsort(rows[:, 0])]
    starts = np.flatnonzero(np.append(True, rows[1:, 0] != rows[:-1, 0])[: len(rows)])
    rows = sum_runs(rows[:, 0], rows[:, 1:].T.view(np.int64), starts)
    place = np.minimum(np.searchsorted(visits, rows[:, 0]), max(len(visits) - 1, 0))
    is_visit = visits[place] == rows[:, 0] if len(visits) else np.zeros(len(rows), bool)
    found = {}
    for field, column in zip(AMOUNT_FIELDS.values(), rows[:, 1:].T.view(np.int64), strict=True):
        cents = np.full(len(visits), NULL_CENTS, np.int64)
        cents[place[is_visit]] = column[is_visit]
        found[field.name] = cents
    lost = rows[~is_visit, 1:].view(np.int64)
    return found, int(np.count_nonzero(((lost != 0) & (lost != NULL_CENTS)).any(axis=1)))


def sum_runs(keys: Keys, cents: Cents, starts: Integers) -> "npt.NDArray[np.uint64]":
    """Rows of visit and cents, shape `(runs, 1 + amounts)`, one for each run of a visit, as the lines of a claim are.

    It holds the sums of what is known, and `NULL_CENTS` where nothing is. `starts` says where each run begins.
    """
    rows = np.empty((len(starts), _ROW_WIDTH), np.uint64)
    rows[:, 0] = keys[starts]
    for place, column in enumerate(cents, start=1):
        known = column != NULL_CENTS
        if known.any():
            sums = np.add.reduceat(np.where(known, column, 0), starts)
            rows[:, place] = np.where(np.logical_or.reduceat(known, starts), sums, NULL_CENTS).view(np.uint64)
        else:
            rows[:, place] = column[starts].view(np.uint64)
    return rows


def dollars_of(cents: Cents) -> pa.Array:
    """Cents as dollars, null where unknown."""
    known = cents != NULL_CENTS
    dollars: Any = np.where(known, cents, 0) / 100
    return pa.array(dollars, pa.float64(), mask=~known)
