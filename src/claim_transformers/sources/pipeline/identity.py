"""Identity of rows: ids in one writing, and ids that have more rows than a person can."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.cleaning import CLEAN, hash_of_ids
from claim_transformers.claims.engine import add_text, fetch_rows, hold_rows, is_named
from claim_transformers.claims.fields import clean_id, clean_number
from claim_transformers.claims.planning import Plan, build, to_expression
from claim_transformers.sources.pipeline.contract import StagedTable

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from claim_transformers.claims.ledger import Ledger

UNKNOWN_TYPE = "UNKNOWN"
# An id is implausible if it has so many rows, so many times the mean of the others, and such a share of all; the
# busiest patients of whole populations stay below, and of fewer others nobody can tell.
_MIN_ROWS, _MIN_TIMES_THE_MEAN, _MIN_SHARE, _MIN_OTHERS = 200, 100, 0.001, 20
_NUM_REMAINDERS = 1 << 12


def hold_typed(connection: Backend, table: StagedTable, rows: Plan) -> ir.Table:
    """Name the rows of a table with the claim type under which each is counted."""
    name = f"rows_of_{table.name}"
    if isinstance(table.claim_type, str) and is_named(rows):
        return add_text(connection, name, rows, "ledger_type", table.claim_type, are_few=table.has_few_rows)
    return hold_rows(connection, name, build(_with_type, rows, table.claim_type), are_few=table.has_few_rows)


def _with_type(rows: ir.Table, claim_type: str | Callable[[ir.Table], ir.StringValue]) -> ir.Table:
    return rows.mutate(ledger_type=ibis.literal(claim_type) if isinstance(claim_type, str) else claim_type(rows))


def ids_of(table: StagedTable) -> tuple[str, ...]:
    """Columns of data source, patient and claim."""
    names = (table.source_column, table.patient_column, table.claim_column)
    return tuple(name for name in names if name is not None)


def as_cleaned(table: StagedTable) -> StagedTable:
    """The table, with ids that are in one writing."""
    return replace(table, kinds={**table.kinds, **dict.fromkeys(ids_of(table), CLEAN)})


def clean_ids(connection: Backend, table: StagedTable) -> StagedTable:
    """Write data source, patient and claim in one way, so that what is the same is equal from here on."""
    written = build(write_ids, table.rows, ids_of(table), table.patient_column)
    rows = hold_rows(connection, f"ids_of_{table.name}", written, are_few=table.has_few_rows)
    return replace(as_cleaned(table), rows=rows)


def _write(rows: ir.Table, name: str, patient: str) -> ir.StringValue:
    return clean_id(rows[name]) if name == patient else clean_number(rows[name])


def is_changed_id(rows: ir.Table, name: str, patient: str) -> ir.BooleanValue:
    """Whether an id is written otherwise than it came; that of a patient who is known as it stands is not."""
    is_known = rows.known_patient_id.notnull() if name == patient and "known_patient_id" in rows.columns else False
    return ibis.ifelse(is_known, False, ~rows[name].identical_to(_write(rows, name, patient)))


def count_mended(rows: ir.Table, names: Sequence[str], patient: str) -> ir.Table:
    """Count the rows in which an id is not lost but written otherwise."""
    is_mended = ibis.or_(*(rows[name] != _write(rows, name, patient) for name in names))
    return rows.group_by("source_file", "ledger_type").aggregate(n=rows.count(where=is_mended)).filter(_.n > 0)


def write_ids(rows: ir.Table, names: Collection[str], patient: str) -> ir.Table:
    """Write some ids, of which one is that of the patient, in one way."""
    return rows.mutate(**{name: _write(rows, name, patient) for name in names})


def warn_id_share(connection: Backend, table: StagedTable, rows: ir.Table, ledger: Ledger) -> None:
    """Enter `W_ID_SHARE`: rows of an id that has more of them than a person can."""
    # Where all rows are not more, no id has more.
    if table.whole is None and sum(file.num_rows for file in table.files) < _MIN_ROWS:
        return
    counts = build(_count_of_ids, rows, table.patient_column)
    if table.whole is None:
        # Ids of one remainder are counted faster, and all of them together have too few rows as a rule.
        for counted in (build(_count_of_ids, rows, table.patient_column, _NUM_REMAINDERS), counts):
            (sums,) = fetch_rows(connection, build(_sums_of_counts, counted))
            total, ids, most = (int(sums[name] or 0) for name in ("total", "ids", "most"))
            if most < max(_MIN_ROWS, _MIN_SHARE * total):
                return
    else:
        total, ids, most = table.whole.id_counts
    # So many times the mean of the others, written with the sum of all.
    least = max(_MIN_ROWS, _MIN_SHARE * total, _MIN_TIMES_THE_MEAN * total / (ids - 1 + _MIN_TIMES_THE_MEAN))
    if ids <= _MIN_OTHERS or most < least:
        return
    much = to_expression(counts).filter(_.num_rows >= least)
    keyed = rows.mutate(patient_hash=hash_of_ids(rows, [table.patient_column]))
    found = keyed.semi_join(much, "patient_hash").group_by("source_file", "ledger_type").aggregate(n=_.count())
    for row in fetch_rows(connection, found):
        ledger.entry(row["source_file"], row["ledger_type"] or UNKNOWN_TYPE).warnings["W_ID_SHARE"] += row["n"]


def _count_of_ids(rows: ir.Table, patient: str, num_remainders: int | None = None) -> ir.Table:
    """Rows of each patient, by a hash of the id, or by its remainder."""
    keyed = rows.select(patient_hash=hash_of_ids(rows, [patient])).filter(_.patient_hash.notnull())
    number = keyed.patient_hash if num_remainders is None else keyed.patient_hash % num_remainders
    return keyed.group_by(patient_hash=number).aggregate(num_rows=_.count())


def _sums_of_counts(counts: ir.Table) -> ir.Table:
    return counts.aggregate(total=_.num_rows.sum(), ids=_.count(), most=_.num_rows.max())
