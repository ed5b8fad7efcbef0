"""Lines of folded rows, unfolded when the rows are sorted: sorting few rows costs less than sorting their lines.

What is done here with batches of Arrow is what `lines.unfold_claims` says as an expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.sources.pipeline.lines import AMOUNTS

if TYPE_CHECKING:
    import numpy.typing as npt
    from ibis.backends.duckdb import Backend

_CLAIM = ("patient_id", "claim_start_date", "claim_id")
_LINE_NUMBER, _LEDGER_NUMBER = "claim_line_number", "ledger_number"


def unfold_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give one row per line of folded rows; `ledger_number` of a first line is one more."""
    for batch in batches:
        lines, rows = batch["lines"].flatten(), pc.list_parent_indices(batch["lines"])
        is_first = np.diff(rows.to_numpy(), prepend=-1) != 0
        columns = {name: batch[name].take(rows) for name in batch.schema.names if name != "lines"}
        columns[_LINE_NUMBER] = pc.add(columns[_LINE_NUMBER], pc.struct_field(lines, "position"))
        columns[_LEDGER_NUMBER] = pc.add(columns[_LEDGER_NUMBER], pa.array(is_first.astype(np.int8)))
        of_line = {field.name for field in lines.type} - {"position"}
        for name in set(AMOUNTS) - of_line:
            columns[name] = pc.if_else(pa.array(is_first), columns[name], None)
        columns |= {name: pc.struct_field(lines, name) for name in of_line}
        yield pa.record_batch(columns)


def keep_order(connection: Backend, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put the lines of each claim in order, of batches whose claims are: the lines of its rows may lie among others.

    Of lines with one number, as in two tables, the hash of the whole line decides, as it does elsewhere.
    """
    kept: pa.RecordBatch | None = None
    for batch in batches:
        batch = batch if kept is None else pa.concat_batches([kept, batch])
        is_new = _is_new_claim(batch)
        numbers = batch[_LINE_NUMBER].to_numpy()
        if (~is_new[1:] & (numbers[1:] <= numbers[:-1])).any():
            batch = _sorted(connection, batch)
            is_new = _is_new_claim(batch)
        # The last claim may go on in the next batch.
        start = int(np.flatnonzero(is_new)[-1]) if len(is_new) else 0
        yield batch.slice(0, start)
        kept = batch.slice(start)
    if kept is not None:
        yield kept


def _is_new_claim(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    is_new = np.ones(batch.num_rows, bool)
    same = (pc.equal(batch[name].slice(1), batch[name].slice(0, max(batch.num_rows - 1, 0))) for name in _CLAIM)
    is_new[1:] = ~np.logical_and.reduce([column.to_numpy(zero_copy_only=False) for column in same])
    return is_new


def _sorted(connection: Backend, batch: pa.RecordBatch) -> pa.RecordBatch:
    cursor = connection.con.cursor()
    names = [*SCHEMAS["claim_line"].names]
    whole = ", ".join(f"'{name}': {name}" for name in names)
    cursor.register("unsorted_lines", pa.Table.from_batches([batch]).append_column("place", [range(batch.num_rows)]))
    order = cursor.sql(
        f"SELECT place FROM unsorted_lines ORDER BY {', '.join((*_CLAIM, _LINE_NUMBER))}, hash({{{whole}}})"
    ).to_arrow_table()["place"]
    return batch.take(order.combine_chunks())
