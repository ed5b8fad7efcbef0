"""Publishing: screened rows become sorted canonical tables, counted while they are written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as types
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.dates import DATE_CODES, settle_dates
from claim_transformers.claims.engine import engine_errors, fetch, hold_rows
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.packing import Integers
from claim_transformers.claims.planning import Plan, build, build_wide
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.sequences import PatientsWriter
from claim_transformers.claims.store import conform, write_table
from claim_transformers.claims.volume import MonthCounts
from claim_transformers.sources.pipeline.folded_lines import LineUnfolder
from claim_transformers.sources.pipeline.lines import read_code_name
from claim_transformers.sources.pipeline.screening import ScreenedTable
from claim_transformers.sources.pipeline.sorting import sort_batches

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.sources.pipeline.contract import StagedTable, TargetTable

# By entry of the ledger, two for a first and a later line, times two for each code that a line may have.
_NUMBERS_PER_ENTRY = 2 ** (1 + len(DATE_CODES))
_SORT_KEYS = {
    "claim_line": ("patient_id", "claim_start_date", "claim_id", "claim_line_number"),
    "rx_claim": ("patient_id", "dispensing_date", "claim_id", "claim_line_number"),
    "eligibility": ("patient_id", "enrollment_start_date", "enrollment_end_date"),
}


@dataclass(frozen=True)
class _CanonicalLines:
    """Lines of a canonical table in no order, of so many raw rows; and the entries of the ledger that they belong to.

    `names` are texts by what stands for them in the plan, `groups` raw table and claim type of each of the `keys`.
    """

    target: TargetTable
    plan: Plan
    keys: Sequence[tuple[str, str]]
    groups: Sequence[tuple[str, str]]
    names: Mapping[str, str]
    num_rows: int
    is_folded: bool


def complete_lines(
    connection: Backend,
    target: TargetTable,
    screened: Sequence[ScreenedTable],
    ledger: Ledger,
    *,
    source: str,
    extract_date: dt.date | None = None,
) -> _CanonicalLines | None:
    """Give the lines of one canonical table from all screened tables that become it, none where nothing does."""
    becoming = [one for one in screened if one.table.target == target]
    keys, groups = group_entries([one.table for one in becoming], ledger)
    if not keys:
        return None
    files = dict.fromkeys(source_file for source_file, _ in keys)
    is_folded = all(one.table.to_folded is not None for one in becoming)
    stand_ins = {file: f"raw file <{number}>" for number, file in enumerate(files)}
    placed = [(stand_ins[source_file], claim_type) for source_file, claim_type in keys]
    with engine_errors(f"writing {target}"):
        plan = _complete(connection, becoming, target, source, placed, extract_date, is_folded)
    names = {stand_in: file for file, stand_in in stand_ins.items()}
    num_rows = sum(file.num_rows for one in becoming for file in one.table.files)
    return _CanonicalLines(target, plan, keys, groups, names, num_rows, is_folded)


def begin_patients(connection: Backend, tables: Sequence[_CanonicalLines], patients: PatientsWriter) -> None:
    """Tell the patients table whose lines are about to be published."""
    with engine_errors("finding the patients"):
        ids = fetch(connection, build(_patients_of, *(lines.plan for lines in tables)))["patient_id"].combine_chunks()
    types = {claim_type for lines in tables for _, claim_type in lines.groups}
    patients.begin(ids.take(pc.sort_indices(ids)), types, sum(lines.num_rows for lines in tables))


def _patients_of(*lines: ir.Table) -> ir.Table:
    return _union(*(of_table.select("patient_id") for of_table in lines)).distinct()


def publish_lines(
    connection: Backend,
    lines: _CanonicalLines,
    folder: Path,
    ledger: Ledger,
    also: Callable[[pa.Table], None] | None = None,
) -> int:
    """Write one canonical table; `also` gets its rows too.

    Rows are sorted by their key and, where keys are equal, by a hash of the whole row, so the bytes do not depend on
    the order of the input.
    """
    target = lines.target
    with engine_errors(f"writing {target}"):
        break_ties = partial(_hash_rows, connection, target)
        sort = partial(
            sort_batches,
            connection,
            lines.plan,
            _SORT_KEYS[target],
            num_rows=lines.num_rows,
            folder=folder,
            names=lines.names,
        )
        if lines.is_folded:
            unfolder = LineUnfolder(break_ties)
            batches = unfolder.unfold(sort(encode=unfolder.fold))
        else:
            batches = sort(break_ties=break_ties)
        counted = _counted(batches, ledger, lines.keys, lines.groups)
        return write_table(folder / target, SCHEMAS[target], counted, also)


def group_entries(
    tables: Sequence[StagedTable], ledger: Ledger
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Keys of the entries of some raw tables, and raw table and claim type of each."""
    table_of_file = {file.name: table.name for table in tables for file in table.files}
    keys = sorted(key for key in ledger.entries if key[0] in table_of_file)
    return keys, [(table_of_file[source_file], claim_type) for source_file, claim_type in keys]


def _complete(
    connection: Backend,
    becoming: Sequence[ScreenedTable],
    target: TargetTable,
    source: str,
    keys: Sequence[tuple[str, str]],
    extract_date: dt.date | None,
    is_folded: bool,
) -> Plan:
    """Lines of all tables as [`_settle`] gives them."""
    parts = []
    for one in becoming:
        # The engine computes what a view of its own gives once, and what stands in one query as often as it is used.
        to_canonical = one.table.to_folded if is_folded and one.table.to_folded else one.table.to_canonical
        lines = (build_wide if one.table.is_wide else build)(to_canonical, one.rows)
        parts.append(hold_rows(connection, f"lines_of_{one.table.name}", lines, are_few=one.table.has_few_rows))
    names = list(dict.fromkeys(name for lines in parts for name in lines.columns))
    settled = [
        build(_settle, lines, names, target, source, keys, one.table.claim_type, extract_date)
        for one, lines in zip(becoming, parts, strict=True)
    ]
    return build(_union, *settled)


def _union(*lines: ir.Table) -> ir.Table:
    return ibis.union(*lines, distinct=False) if len(lines) > 1 else lines[0]


def _settle(
    lines: ir.Table,
    names: Sequence[str],
    target: TargetTable,
    source: str,
    keys: Sequence[tuple[str, str]],
    claim_type: str | Callable[[ir.Table], ir.StringValue],
    extract_date: dt.date | None,
) -> ir.Table:
    """Lines with some columns of the target, dates settled, and `ledger_number`: entry, codes to count, first line."""
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
    codes = {
        name: lines[name] if name in lines.columns else ibis.null("string")
        for name in names
        if read_code_name(name)[0]
    }
    is_first = lines.is_first_line if "is_first_line" in lines.columns else ibis.literal(not codes)
    own_type = columns["claim_type"] if target == "claim_line" else ibis.literal(claim_type)
    branches = [
        ((lines.source_file == source_file) & (own_type == of_type), _NUMBERS_PER_ENTRY * number)
        for number, (source_file, of_type) in enumerate(keys)
    ]
    number = ibis.cases(*branches, else_=ibis.null("int32")) + is_first.cast("int32")
    for place, code in enumerate(DATE_CODES, start=1):
        if code in counted:
            number += ibis.ifelse(counted[code], 2**place, 0)
    # Columns that no table has are null, and are so without being computed and sorted.
    kept = {*names, *_SORT_KEYS[target], "data_source"}
    had = {name: column for name, column in (columns | settled).items() if name in kept}
    return lines.select(ledger_number=number, **had, **codes)


def _hash_rows(connection: Backend, target: TargetTable, rows: pa.Table) -> Integers:
    """Hash whole rows of a table, as an expression of Ibis does."""
    cursor = connection.con.cursor()
    cursor.register("rows_to_hash", conform(rows, SCHEMAS[target]))
    whole = ", ".join(f"'{name}': {name}" for name in SCHEMAS[target].names)
    hashes = cursor.sql(f"SELECT hash({{{whole}}}) AS hash FROM rows_to_hash").to_arrow_table()["hash"]
    cursor.close()
    numbers: Integers = hashes.to_numpy().view(np.int64)
    return numbers


def _ibis_type(arrow_type: pa.DataType) -> types.DataType:
    """Give the type of an expression that becomes an Arrow column."""
    if pa.types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    return ibis.Schema.from_pyarrow(pa.schema([("value", arrow_type)]))["value"]


def _counted(
    batches: Iterable[pa.Table],
    ledger: Ledger,
    keys: Sequence[tuple[str, str]],
    groups: Sequence[tuple[str, str]],
) -> Iterator[pa.Table]:
    """Pass batches on and enter what goes by in the ledger; `groups` has raw table and claim type of each entry."""
    named = list(dict.fromkeys(groups))
    group_of_entry, months = np.array([named.index(group) for group in groups], np.int64), MonthCounts(len(named))
    counts = np.zeros(_NUMBERS_PER_ENTRY * len(keys), np.int64)
    for batch in batches:
        (dated,) = {"claim_start_date", "dispensing_date"} & {*batch.schema.names} or (None,)
        numbers = batch["ledger_number"].to_numpy()
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
