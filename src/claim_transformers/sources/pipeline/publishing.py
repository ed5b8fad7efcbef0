"""Publishing: screened rows become sorted canonical tables, counted while they are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as types
import numpy as np
import pyarrow as pa

from claim_transformers.claims.dates import DATE_CODES, settle_dates
from claim_transformers.claims.engine import engine_errors, hold_rows
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.planning import build, build_wide
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import write_table
from claim_transformers.claims.volume import MonthCounts
from claim_transformers.sources.pipeline.folded_lines import keep_order, unfold_batches
from claim_transformers.sources.pipeline.screening import ScreenedTable
from claim_transformers.sources.pipeline.sorting import sort_batches

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import StagedTable, TargetTable

# By entry of the ledger, two for a first and a later line, times two for each code that a line may have.
_NUMBERS_PER_ENTRY = 2 ** (1 + len(DATE_CODES))
_ROWS_PER_BATCH, _FOLDED_ROWS_PER_BATCH = 1 << 17, 1 << 15
_SORT_KEYS = {
    "claim_line": ("patient_id", "claim_start_date", "claim_id", "claim_line_number"),
    "rx_claim": ("patient_id", "dispensing_date", "claim_id", "claim_line_number"),
    "eligibility": ("patient_id", "enrollment_start_date", "enrollment_end_date"),
}


def publish_table(
    connection: Backend,
    target: TargetTable,
    screened: Sequence[ScreenedTable],
    folder: Path,
    ledger: Ledger,
    *,
    source: str,
    extract_date: dt.date | None = None,
) -> int:
    """Write one canonical table from all screened tables that become it.

    Rows are sorted by their key and, where keys are equal, by a hash of the whole row, so the bytes do not depend on
    the order of the input.
    """
    becoming = [one for one in screened if one.table.target == target]
    keys, groups = group_entries([one.table for one in becoming], ledger)
    if not keys:
        return 0
    files = dict.fromkeys(source_file for source_file, _ in keys)
    is_folded = all(one.table.to_folded is not None for one in becoming)
    with engine_errors(f"writing {target}"):
        stand_ins = {file: f"raw file <{number}>" for number, file in enumerate(files)}
        placed = [(stand_ins[source_file], claim_type) for source_file, claim_type in keys]
        lines = [_complete(connection, one, target, source, placed, extract_date, is_folded) for one in becoming]
        batches = sort_batches(
            connection,
            build(_union, *lines),
            partial(_in_order, target),
            num_rows=sum(file.num_rows for one in becoming for file in one.table.files),
            rows_per_batch=_FOLDED_ROWS_PER_BATCH if is_folded else _ROWS_PER_BATCH,
            folder=folder,
            names={stand_in: file for file, stand_in in stand_ins.items()},
        )
        if is_folded:
            batches = keep_order(connection, unfold_batches(batches))
        return write_table(folder / target, SCHEMAS[target], _counted(batches, ledger, keys, groups))


def group_entries(
    tables: Sequence[StagedTable], ledger: Ledger
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Keys of the entries of some raw tables, and raw table and claim type of each."""
    table_of_file = {file.name: table.name for table in tables for file in table.files}
    keys = sorted(key for key in ledger.entries if key[0] in table_of_file)
    return keys, [(table_of_file[source_file], claim_type) for source_file, claim_type in keys]


def _complete(
    connection: Backend,
    one: ScreenedTable,
    target: TargetTable,
    source: str,
    keys: Sequence[tuple[str, str]],
    extract_date: dt.date | None,
    is_folded: bool,
) -> ir.Table:
    """Lines as [`_settle`] gives them."""
    # The engine computes what a view of its own gives once, and what stands in one query as often as it is used.
    to_canonical = one.table.to_folded if is_folded and one.table.to_folded else one.table.to_canonical
    lines = (build_wide if one.table.is_wide else build)(to_canonical, one.rows)
    lines = hold_rows(connection, f"lines_of_{one.table.name}", lines, are_few=one.table.has_few_rows)
    return build(_settle, lines, target, source, keys, one.table.claim_type, extract_date)


def _settle(
    lines: ir.Table,
    target: TargetTable,
    source: str,
    keys: Sequence[tuple[str, str]],
    claim_type: str | Callable[[ir.Table], ir.StringValue],
    extract_date: dt.date | None,
) -> ir.Table:
    """Lines with every column of the target, dates settled, and `ledger_number`: entry, codes to count, first line."""
    columns: dict[str, ir.Value] = {}
    for field in SCHEMAS[target]:
        wanted = _ibis_type(field.type)
        if field.name not in lines.columns:
            default = source if field.name == "data_source" else None
            columns[field.name] = ibis.literal(default, wanted) if default else ibis.null(wanted)
            continue
        column = lines[field.name]
        if field.name == "data_source":
            column = column.fill_null(source)
        columns[field.name] = column if column.type() == wanted else column.cast(wanted)
    settled, counted = settle_dates(columns, target, extract_date)
    folded = {"lines": lines.lines} if "lines" in lines.columns else {}
    is_first = lines.is_first_line if "is_first_line" in lines.columns else ibis.literal(not folded)
    own_type = columns["claim_type"] if target == "claim_line" else ibis.literal(claim_type)
    branches = [
        ((lines.source_file == source_file) & (own_type == of_type), _NUMBERS_PER_ENTRY * number)
        for number, (source_file, of_type) in enumerate(keys)
    ]
    number = ibis.cases(*branches, else_=ibis.null("int32")) + is_first.cast("int32")
    for place, code in enumerate(DATE_CODES, start=1):
        if code in counted:
            number += ibis.ifelse(counted[code], 2**place, 0)
    return lines.select(ledger_number=number, **columns | settled, **folded)


def _union(*lines: ir.Table) -> ir.Table:
    return ibis.union(*lines, distinct=False) if len(lines) > 1 else lines[0]


def _in_order(target: TargetTable, rows: ir.Table) -> ir.Table:
    if "lines" in rows.columns:
        return rows.order_by([*_SORT_KEYS[target], rows.lines[0].position])
    tie_breaker = ibis.struct({name: rows[name] for name in SCHEMAS[target].names}).hash()
    return rows.order_by([*_SORT_KEYS[target], tie_breaker])


def _ibis_type(arrow_type: pa.DataType) -> types.DataType:
    """Give the type of an expression that becomes an Arrow column."""
    if pa.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    return ibis.Schema.from_pyarrow(pa.schema([("value", arrow_type)]))["value"]


def _counted(
    batches: Iterable[pa.RecordBatch],
    ledger: Ledger,
    keys: Sequence[tuple[str, str]],
    groups: Sequence[tuple[str, str]],
) -> Iterator[pa.RecordBatch]:
    """Pass batches on and enter what goes by in the ledger; `groups` has raw table and claim type of each entry."""
    named = list(dict.fromkeys(groups))
    group_of_entry, months = np.array([named.index(group) for group in groups], np.int64), MonthCounts(len(named))
    counts = np.zeros(_NUMBERS_PER_ENTRY * len(keys), np.int64)
    for batch in batches:
        (dated,) = {"claim_start_date", "dispensing_date"} & {*batch.schema.names} or (None,)
        numbers = batch["ledger_number"].to_numpy(zero_copy_only=False)
        counts += np.bincount(numbers, minlength=len(counts))
        if dated is not None:
            months.add(batch[dated], group_of_entry[numbers // _NUMBERS_PER_ENTRY])
        yield batch
    number = np.arange(_NUMBERS_PER_ENTRY)
    is_first = number % 2 == 1
    for key, of_entry in zip(keys, counts.reshape(-1, _NUMBERS_PER_ENTRY), strict=True):
        entry = ledger.entry(*key)
        entry.rows_out += int(of_entry[is_first].sum())
        entry.lines_out += int(of_entry.sum())
        for place, code in enumerate(DATE_CODES, start=1):
            if rows := int(of_entry[is_first & (number >> place & 1 == 1)].sum()):
                (entry.fixes if code.startswith("F_") else entry.warnings)[code] += rows
    for group, of_months in enumerate(months.rows):
        ledger.add_months(*named[group], keys[groups.index(named[group])], of_months)
