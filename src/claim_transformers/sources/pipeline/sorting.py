"""Sorting of more rows than memory holds: by ranges of patients, one range after the other.

Many rows are first spread over files, each with the patients between two bounds, and each file is sorted alone: its
keys, by which whole rows are then taken. The order is that of one sort of all rows.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.engine import fetch, read_batches
from claim_transformers.claims.packing import Integers
from claim_transformers.claims.planning import to_sql
from claim_transformers.claims.store import ROWS_PER_GROUP

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.planning import Plan

_ROWS_PER_RANGE = 1 << 18
_FEW_ROWS = 1 << 12
_MOST_RANGES = 512  # each is an open file
_SAMPLED_ROWS_PER_RANGE = 1 << 12
_ROWS_PER_BATCH = 1 << 16
_PATIENT = "patient_id"
_AFTER_ALL_DAYS = 2**31 - 1


def sort_batches(
    connection: Backend,
    rows: Plan,
    keys: Sequence[str],
    *,
    num_rows: int,
    folder: Path,
    break_ties: Callable[[pa.Table], Integers] | None = None,
    encode: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: batch,
    names: Mapping[str, str] | None = None,
) -> Iterator[pa.Table]:
    """Execute an expression in the order of `keys`, of which `patient_id` is the first; `folder` holds rows meanwhile.

    `break_ties` gives numbers of rows by which those of equal keys are put in order, `encode` how each batch is held;
    `names` are those of [`~claims.engine.read_batches`].
    """
    num_ranges = min(-(-num_rows // _ROWS_PER_RANGE), _MOST_RANGES)
    bounds = _find_bounds(connection, rows, num_rows, num_ranges) if num_ranges > 1 else []
    read = (
        # Read as a stream, a query is planned twice.
        fetch(connection, rows, names).to_batches()
        if num_rows <= _FEW_ROWS
        else read_batches(connection, rows, rows_per_batch=_ROWS_PER_BATCH, names=names)
    )
    batches = map(encode, read)
    if not len(bounds):
        if (first := next(batches, None)) is not None:
            held = pa.Table.from_batches([first, *batches]).combine_chunks()
            yield from _cut([_sorted(held, keys, break_ties)])
        return
    with tempfile.TemporaryDirectory(prefix=".sorting-", dir=folder) as temporary:
        paths = [Path(temporary, f"range-{number:05d}.arrow") for number in range(len(bounds) + 1)]
        _spread(batches, bounds, paths)
        yield from _cut(_sorted(_read(path), keys, break_ties) for path in paths if path.is_file())


def _cut(ranges: Iterable[tuple[pa.Table, Integers]]) -> Iterator[pa.Table]:
    """Take rows in order, so many at once that they fill groups of the file that they are written to."""
    place = 0
    for rows, order in ranges:
        start = 0
        while start < len(order):
            end = start + ROWS_PER_GROUP - (place + start) % ROWS_PER_GROUP
            yield pc.take(rows, pa.array(order[start:end]), boundscheck=False)
            start = end
        place += len(order)


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        rows = pa.ipc.open_stream(source).read_all()
    path.unlink()
    return rows


def _sorted(
    rows: pa.Table, keys: Sequence[str], break_ties: Callable[[pa.Table], Integers] | None
) -> tuple[pa.Table, Integers]:
    """Rows and the order in which they stand."""
    rows = rows.combine_chunks()
    # Patients have several rows, and integers are compared faster: one of a patient and a day.
    patients = rows[_PATIENT].combine_chunks().dictionary_encode()
    ranks = pc.rank(patients.dictionary, tiebreaker="first").take(patients.indices).to_numpy()
    days = rows[keys[1]].cast(pa.int32()).fill_null(_AFTER_ALL_DAYS).to_numpy()
    sorted_by = pa.table({"patient_and_day": (ranks.astype(np.int64) << 32) + days, **{n: rows[n] for n in keys[2:]}})
    order = np.argsort(sorted_by["patient_and_day"].to_numpy())

    def compare(tied: Integers, groups: Integers) -> Integers:
        others = {name: sorted_by[name].take(pa.array(tied)) for name in keys[2:]}
        columns = {"group": groups, **others, "row": tied}
        by: Integers = pc.sort_indices(pa.table(columns), [(name, "ascending") for name in columns]).to_numpy()
        return by

    _settle_ties(order, sorted_by.select(["patient_and_day"]), compare)
    if break_ties is not None:
        _settle_ties(order, sorted_by, lambda tied, of: np.lexsort((break_ties(rows.take(pa.array(tied))), of)))
    return rows, order


def _settle_ties(order: Integers, rows: pa.Table, compare: Callable[[Integers, Integers], Integers]) -> None:
    """Put what is equal in an order where `compare` puts it, which gets the rows and the number of each group."""
    is_tied = _equal_neighbours(rows, order)
    if is_tied.any():
        places = np.flatnonzero(np.append(is_tied, False) | np.append(False, is_tied))
        tied, groups = order[places], np.cumsum(~np.append(False, is_tied))[places]
        order[places] = tied[compare(tied, groups)]


def _equal_neighbours(rows: pa.Table, order: Integers) -> np.ndarray:
    """Whether each row in an order but the last is equal to the next one, null to null."""
    is_equal = np.ones(max(len(order) - 1, 0), bool)
    for column in rows.columns:
        # Few rows share the first keys, and only those are compared in the others.
        places = np.flatnonzero(is_equal)
        one, next_one = (column.take(pa.array(order[places + step])) for step in (0, 1))
        same = pc.or_(pc.fill_null(pc.equal(one, next_one), False), pc.and_(one.is_null(), next_one.is_null()))
        is_equal[places] = same.to_numpy()
    return is_equal


def _find_bounds(connection: Backend, rows: Plan, num_rows: int, num_ranges: int) -> pa.Array:
    """Patients who begin the second range and those after it, by the rows of a sample of patients."""
    one_in = max(1, num_rows // (num_ranges * _SAMPLED_ROWS_PER_RANGE))
    found = connection.con.sql(
        f"SELECT {_PATIENT}, count(*) AS num_rows FROM ({to_sql(connection, rows)}) "
        f"WHERE hash({_PATIENT}) % {one_in} = 0 GROUP BY {_PATIENT} ORDER BY {_PATIENT}"
    ).to_arrow_table()
    reached = np.cumsum(found["num_rows"].to_numpy())
    if not len(reached):
        return pa.array([], pa.string())
    places = np.searchsorted(reached, reached[-1] * np.arange(1, num_ranges) / num_ranges)
    return found[_PATIENT].combine_chunks().take(pa.array(np.unique(places)))


def _spread(batches: Iterator[pa.RecordBatch], bounds: pa.Array, paths: list[Path]) -> None:
    """Write the rows of each range to a file of its own."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    first = next(batches, None)
    if first is None:
        return
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pa.ipc.new_stream(stack.enter_context(path.open("wb")), first.schema, options=options))
            for path in paths
        ]
        for batch in itertools.chain([first], batches):
            ranges = _ranges_of(batch[_PATIENT], bounds)
            spread = pc.take(batch, pa.array(np.argsort(ranges, kind="stable")), boundscheck=False)
            ends = np.cumsum(np.bincount(ranges, minlength=len(paths)))
            for writer, start, end in zip(writers, np.append(0, ends), ends, strict=False):
                if end > start:
                    writer.write_batch(spread.slice(start, end - start))


def _ranges_of(patient_ids: pa.Array, bounds: pa.Array) -> np.ndarray:
    """Number of the bounds that are not behind each patient."""
    ranges = np.zeros(len(patient_ids), np.uint16)
    for step in 1 << np.arange(len(bounds).bit_length(), dtype=np.uint16)[::-1]:
        # All bounds before one are before it too, so that halves of them are told by one comparison.
        places = np.minimum(ranges + step, len(bounds)) - 1
        is_reached = pc.less_equal(bounds.take(pa.array(places)), patient_ids).to_numpy(zero_copy_only=False)
        ranges += step * (is_reached & (ranges + step <= len(bounds)))
    return ranges
