"""Sorting of more rows than memory holds: by ranges of patients, one range after the other.

The engine sorts what fits and fails on wide rows that do not, so many rows are first spread over files, each with the
patients between two bounds, and each file is sorted alone. The order is that of one sort of all rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from claim_transformers.claims.engine import fetch, read_batches
from claim_transformers.claims.planning import build, name_table, to_expression, to_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.planning import Plan

_ROWS_PER_RANGE = 1 << 18
_FEW_ROWS = 1 << 12
_MOST_RANGES = 512  # each is an open file
_SAMPLED_ROWS_PER_RANGE = 1 << 12
_PATIENT, _VIEW = "patient_id", "rows_of_range"


def sort_batches(
    connection: Backend,
    rows: Plan,
    in_order: Callable[[ir.Table], ir.Table],
    *,
    num_rows: int,
    rows_per_batch: int,
    folder: Path,
    names: Mapping[str, str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Execute an expression in an order that begins with `patient_id`; `folder` holds the rows meanwhile.

    `names` are those of [`~claims.engine.read_batches`].
    """
    num_ranges = min(-(-num_rows // _ROWS_PER_RANGE), _MOST_RANGES)
    if num_ranges <= 1:
        step = build(in_order, rows)
        # Read as a stream, a query is planned twice.
        yield from (
            fetch(connection, step, names).to_batches()
            if num_rows <= _FEW_ROWS
            else read_batches(connection, step, rows_per_batch=rows_per_batch, names=names)
        )
        return
    rows = to_expression(rows)
    bounds = _find_bounds(connection, rows, num_rows, num_ranges)
    with tempfile.TemporaryDirectory(prefix=".sorting-", dir=folder) as temporary:
        paths = [Path(temporary, f"range-{number:05d}.arrow") for number in range(len(bounds) + 1)]
        _spread(read_batches(connection, rows, names=names), bounds, paths)
        ordered = to_sql(connection, build(in_order, name_table(_VIEW, rows.schema())))
        for path in paths:
            with pa.memory_map(str(path)) as source:
                cursor = connection.con.cursor()
                cursor.register(_VIEW, pa.ipc.open_stream(source).read_all())
                yield from cursor.sql(ordered).to_arrow_reader(rows_per_batch)
                cursor.close()
            path.unlink()


def _find_bounds(connection: Backend, rows: ir.Table, num_rows: int, num_ranges: int) -> pa.Array:
    """Patients who begin the second range and those after it, by the rows of a sample of patients."""
    one_in = max(1, num_rows // (num_ranges * _SAMPLED_ROWS_PER_RANGE))
    sampled = rows.filter(rows[_PATIENT].hash() % one_in == 0).group_by(_PATIENT).aggregate(num_rows=_.count())
    found = fetch(connection, sampled.order_by(_PATIENT))
    reached = np.cumsum(found["num_rows"].to_numpy())
    if not len(reached):
        return pa.array([], pa.string())
    places = np.searchsorted(reached, reached[-1] * np.arange(1, num_ranges) / num_ranges)
    return found[_PATIENT].combine_chunks().take(pa.array(np.unique(places)))


def _spread(batches: pa.RecordBatchReader, bounds: pa.Array, paths: list[Path]) -> None:
    """Write the rows of each range to a file of its own."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                pa.ipc.new_stream(stack.enter_context(path.open("wb")), batches.schema, options=options)
            )
            for path in paths
        ]
        for batch in batches:
            ranges = _ranges_of(batch[_PATIENT], bounds)
            spread = batch.take(pa.array(np.argsort(ranges, kind="stable")))
            ends = np.cumsum(np.bincount(ranges, minlength=len(paths)))
            for writer, start, end in zip(writers, np.append(0, ends), ends, strict=False):
                if end > start:
                    writer.write_batch(spread.slice(start, end - start))


def _ranges_of(patient_ids: pa.Array, bounds: pa.Array) -> np.ndarray:
    """Number of the bounds that are not behind each patient."""
    order = pc.sort_indices(pa.concat_arrays([bounds, patient_ids])).to_numpy()
    ranges = np.empty(len(order), np.uint16)
    # The sort is stable, so a bound stands before the patient whom it names.
    ranges[order] = np.cumsum(order < len(bounds))
    return ranges[len(bounds) :]
