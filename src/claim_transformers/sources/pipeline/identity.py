"""Identity of rows: ids in one writing, and ids that have more rows than a person can."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.cleaning import CLEAN, hash_of_ids
from claim_transformers.claims.engine import (
    add_texts,
    fetch,
    fetch_rows,
    hold_rows,
    is_named,
    materialize,
    name_columns,
)
from claim_transformers.claims.fields import clean_id, clean_number, is_plain_id
from claim_transformers.claims.planning import Plan, build
from claim_transformers.sources.pipeline.contract import StagedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.ledger import Ledger

UNKNOWN_TYPE = "UNKNOWN"
# An id is implausible if it has so many rows, so many times the mean of the others, and such a share of all; the
# busiest patients of whole populations stay below, and of fewer others nobody can tell.
_MIN_ROWS, _MIN_TIMES_THE_MEAN, _MIN_SHARE, _MIN_OTHERS = 200, 100, 0.001, 20


def hold_typed(connection: Backend, table: StagedTable, rows: Plan) -> ir.Table:
    """Name the rows of a table with the claim type under which each is counted."""
    name = f"rows_of_{table.name}"
    if isinstance(table.claim_type, str) and is_named(rows):
        return add_texts(connection, name, rows, are_few=table.has_few_rows, ledger_type=table.claim_type)
    return hold_rows(connection, name, build(_with_type, rows, table.claim_type), are_few=table.has_few_rows)


def _with_type(rows: ir.Table, claim_type: str | Callable[[ir.Table], ir.StringValue]) -> ir.Table:
    return rows.mutate(ledger_type=ibis.literal(claim_type) if isinstance(claim_type, str) else claim_type(rows))


def clean_ids(connection: Backend, table: StagedTable, ledger: Ledger) -> StagedTable:
    """Write data source, patient and claim in one way, so that what is the same is equal from here on."""
    keys = {"source": table.source_column, "patient": table.patient_column, "claim": table.claim_column}
    columns = {key: name for key, name in keys.items() if name is not None}
    table = replace(table, kinds={**table.kinds, **dict.fromkeys(columns.values(), CLEAN)})
    typed: Plan
    if isinstance(table.claim_type, str) and is_named(table.rows):
        named = {"source_file": "source_file", **columns}
        typed = name_columns(connection, table.rows, named, ledger_type=table.claim_type)
    else:
        rows = table.rows if table.derive is None else build(table.derive, table.rows)
        typed = build(_keyed, build(_with_type, rows, table.claim_type), columns)
    # Ids without doubt, nearly all, are looked at once.
    doubtful, number = materialize(connection, "doubtful_ids", build(_doubtful, typed, tuple(columns)))
    if not number:
        return table
    found = fetch_rows(connection, build(_count_mended, doubtful, tuple(columns)))
    for row in found:
        if row["n"]:
            ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE).fixes["F_ID_FORM"] += int(row["n"])
    if not found:
        return table
    rows = build(write_ids, table.rows, tuple(columns.values()), table.patient_column)
    return replace(table, rows=hold_rows(connection, f"ids_of_{table.name}", rows, are_few=table.has_few_rows))


def _keyed(rows: ir.Table, columns: Mapping[str, str]) -> ir.Table:
    return rows.select("source_file", "ledger_type", **{key: rows[name] for key, name in columns.items()})


def _doubtful(rows: ir.Table, names: Sequence[str]) -> ir.Table:
    return rows.filter(ibis.or_(*(~is_plain_id(rows[name]) for name in names)))


def _write(rows: ir.Table, name: str, patient: str) -> ir.StringValue:
    return clean_id(rows[name]) if name == patient else clean_number(rows[name])


def _count_mended(rows: ir.Table, names: Sequence[str], patient: str = "patient") -> ir.Table:
    """Count the rows whose ids change, and in which one is not lost but written otherwise."""
    changed = rows.filter(ibis.or_(*(~rows[name].identical_to(_write(rows, name, patient)) for name in names)))
    typed = changed.mutate(is_mended=ibis.or_(*(changed[name] != _write(changed, name, patient) for name in names)))
    return typed.group_by("source_file", "ledger_type").aggregate(n=_.is_mended.sum())


def write_ids(rows: ir.Table, names: Collection[str], patient: str) -> ir.Table:
    """Write some ids, of which one is that of the patient, in one way."""
    return rows.mutate(**{name: _write(rows, name, patient) for name in names})


def warn_id_share(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    """Enter `W_ID_SHARE`: rows of an id that has more of them than a person can."""
    # Where all rows are not more, no id has more.
    if table.whole is None and sum(file.num_rows for file in table.files) < _MIN_ROWS:
        return
    keyed = rows.mutate(patient_hash=hash_of_ids(rows, [table.patient_column])).filter(_.patient_hash.notnull())
    counts = keyed.group_by("patient_hash").aggregate(num_rows=_.count())
    if table.whole is None:
        sums = fetch(connection, counts.aggregate(total=_.num_rows.sum(), ids=_.count(), most=_.num_rows.max()))
        total, ids, most = (int(sums[name][0].as_py() or 0) for name in ("total", "ids", "most"))
    else:
        total, ids, most = table.whole.id_counts
    # So many times the mean of the others, written with the sum of all.
    least = max(_MIN_ROWS, _MIN_SHARE * total, _MIN_TIMES_THE_MEAN * total / (ids - 1 + _MIN_TIMES_THE_MEAN))
    if ids <= _MIN_OTHERS or most < least:
        return
    much = counts.filter(counts.num_rows >= least)
    found = keyed.semi_join(much, "patient_hash").group_by("source_file", "ledger_type").aggregate(n=_.count())
    for row in fetch_rows(connection, found):
        ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE).warnings["W_ID_SHARE"] += row["n"]
