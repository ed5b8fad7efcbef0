"""Which rows leave, each for one reason: copies, reversed charges, older versions, failed checks, doubtful keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.cleaning import (
    ROW_ID,
    count_claims,
    find_duplicates,
    find_repeated_keys,
    find_shared_claims,
    find_superseded,
    hash_of_ids,
)
from claim_transformers.claims.engine import create_view, fetch_rows, materialize, name_columns
from claim_transformers.claims.planning import Plan, build
from claim_transformers.claims.quality import RowCheck, check_future, check_life
from claim_transformers.claims.reversals import Reversal, find_reversals, is_negative
from claim_transformers.sources.pipeline.contract import StagedTable, Versions

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

NETTED = "D_NETTED"
_DUPLICATE, _SUPERSEDED, _SHARED = "D_DUPLICATE", "D_SUPERSEDED", "R_CLAIM_SHARED"
_ORPHAN, _REPEATED = "R_ORPHAN_VOID", "R_KEY_REPEATED"
# Of several reasons the first counts; an older version may be the charge that a reversal took back.
_ORDER = (_DUPLICATE, NETTED, _SUPERSEDED, "checks", _SHARED, _ORPHAN, _REPEATED)


class _Leaving:
    """Rows that leave, by reason."""

    def __init__(self, connection: Backend, name: str) -> None:
        self.connection, self.name = connection, name
        self.parts: dict[str, ir.Table] = {}

    def add(self, reason: str, rows: Plan) -> None:
        """Add rows, with a reason of their own if they have one."""
        found, number = materialize(self.connection, f"{reason}_of_{self.name}", build(_with_reason, rows, reason))
        if number:
            self.parts[reason] = found

    def staying(self, rows: Plan, *, but: str = "") -> Plan:
        """The rows that do not leave, or only for one reason."""
        found = self._union(but=but)
        return rows if found is None else build(_without, rows, found)

    def settle(self, rows: ir.Table) -> tuple[ir.Table, int]:
        """Give every row that leaves its first reason and its `ledger_type`."""
        name, every = f"flagged_{self.name}", self._union()
        rows = name_columns(self.connection, rows, {column: column for column in (*ROW_ID, "ledger_type")})
        if every is None:
            return materialize(self.connection, name, build(_nothing, rows))
        return materialize(self.connection, name, build(_with_first_reason, rows, every))

    def _union(self, *, but: str = "") -> Plan | None:
        parts = {reason: part for reason, part in self.parts.items() if reason != but}
        return build(_union, parts) if parts else None


def _union(parts: Mapping[str, ir.Table]) -> ir.Table:
    placed = [
        part.select(*ROW_ID, "reason_code", place=ibis.literal(_ORDER.index(reason), "int8"))
        for reason, part in parts.items()
    ]
    return ibis.union(*placed, distinct=False) if len(placed) > 1 else placed[0]


def _with_reason(rows: ir.Table, reason: str) -> ir.Table:
    return rows if "reason_code" in rows.columns else rows.select(*ROW_ID, reason_code=ibis.literal(reason))


def _with(rows: ir.Table, others: ir.Table) -> ir.Table:
    return rows.semi_join(others, ROW_ID)


def _without(rows: ir.Table, others: ir.Table) -> ir.Table:
    return rows.anti_join(others, ROW_ID)


def _nothing(rows: ir.Table) -> ir.Table:
    return rows.filter(ibis.literal(False)).mutate(reason_code=ibis.literal(""))


def _with_first_reason(rows: ir.Table, leaving: ir.Table) -> ir.Table:
    first = leaving.mutate(at=ibis.row_number().over(group_by=list(ROW_ID), order_by="place")).filter(_.at == 0)
    return rows.inner_join(first, ROW_ID).select(*rows.columns, "reason_code")


def flag_rows(
    connection: Backend,
    table: StagedTable,
    rows: ir.Table,
    failing: Plan | None,
    has_negative: bool,
) -> tuple[ir.Table, int]:
    """Find the rows of a table that leave: `source_file`, `row_no`, `ledger_type`, `reason_code`.

    `failing` are those that fail a check, if any.
    """
    leaving = _Leaving(connection, table.name)
    may_repeat, shared = _look_at_claims(connection, table)
    repeated = _find_repeated(connection, table) if may_repeat else None
    if repeated is not None:
        leaving.add(_DUPLICATE, build(find_duplicates, table.rows, repeated, table.kinds))
    negative: ir.Table | None = None
    if has_negative:
        found = build(_negative, table.rows, table.reversal)
        negative = materialize(connection, f"negative_{table.name}", found)[0]
    _add_superseded(table, rows, leaving, repeated, negative)
    if failing is not None:
        leaving.add("checks", failing)
    if shared is not None:
        leaving.add(_SHARED, build(_of_claims, table.rows, shared, table.claim_key))
    if negative is not None and table.reversal is not None:
        # Few rows too: of these, few columns are read.
        charges = create_view(connection, f"charges_of_{table.name}", leaving.staying(rows, but=_SUPERSEDED))
        order = None if table.versions is None else table.versions.order(charges)
        leaving.add(NETTED, find_reversals(connection, charges, negative, table.reversal, table.kinds, order))
    if table.target != "eligibility":
        _add_doubtful_keys(leaving, repeated, negative)
    return leaving.settle(rows)


def _look_at_claims(connection: Backend, table: StagedTable) -> tuple[bool, ir.Table | None]:
    """Whether the key of a row may stand on another one too, and the claims of several patients, if any."""
    if not table.claim_key:
        return True, None
    if table.whole is not None:
        return True, table.whole.shared_claims
    keys = {f"key_{place}": column for place, column in enumerate(table.claim_key)}
    rows = name_columns(connection, table.rows, {**keys, "patient": table.patient_column})
    (found,) = fetch_rows(connection, build(count_claims, rows, tuple(keys), "patient"))
    # Rows of one key are rows of one claim, of which most have few.
    may_repeat = (found["most"] or 0) > 1 or not {*table.claim_key} <= {*table.row_key}
    if not found["num_shared"]:
        return may_repeat, None
    of_several = build(find_shared_claims, rows, tuple(keys), "patient")
    return may_repeat, materialize(connection, f"shared_{table.name}", of_several)[0]


def _find_repeated(connection: Backend, table: StagedTable) -> ir.Table | None:
    keys = {f"key_{place}": column for place, column in enumerate(table.row_key)}
    kinds = {key: table.kinds[column] for key, column in keys.items() if column in table.kinds}
    rows = name_columns(connection, table.rows, {column: column for column in ROW_ID} | keys)
    found = build(find_repeated_keys, rows, tuple(keys), kinds)
    repeated, number = materialize(connection, f"repeated_{table.name}", found)
    return repeated if number else None


def _of_claims(rows: ir.Table, shared: ir.Table, claim_key: Sequence[str]) -> ir.Table:
    return rows.select(*ROW_ID, claim_hash=hash_of_ids(rows, claim_key)).semi_join(shared, "claim_hash")


def _negative(rows: ir.Table, reversal: Reversal) -> ir.Table:
    """Rows that take a charge back, few if any; `is_count` where they are nothing without it."""
    rows = rows.filter(reversal.is_void(rows))
    is_count = is_negative(rows, reversal.counts) if reversal.counts else ibis.literal(False)
    if reversal.void_column:
        is_count = ibis.literal(True)
    return rows.select(*ROW_ID, is_count=is_count)


def _add_superseded(
    table: StagedTable, rows: ir.Table, leaving: _Leaving, repeated: ir.Table | None, negative: ir.Table | None
) -> None:
    if table.versions is None:
        return
    # What takes a charge back is no version of it, nor is a copy, even one of a later delivery.
    versions = leaving.staying(rows)
    versions = versions if negative is None else build(_without, versions, negative)
    if table.versions.key == table.row_key:
        if repeated is None:
            return
        versions = build(_with, versions, repeated)
    versions = create_view(leaving.connection, f"versions_of_{table.name}", versions)
    leaving.add(_SUPERSEDED, build(_superseded, versions, table.versions, table.kinds))


def _superseded(rows: ir.Table, versions: Versions, kinds: Mapping[str, str]) -> ir.Table:
    return find_superseded(rows, versions.key, versions.order(rows), kinds)


def checks_of(table: StagedTable, people: ir.Table | None, extract_date: dt.date | None) -> tuple[RowCheck, ...]:
    """Checks of the rows of a table, which stand beside what is known of their patients."""
    checks = list(table.checks)
    if table.service_date is not None and people is not None:
        checks.extend(check_life(table.service_date))
    if table.service_date is not None and extract_date is not None:
        checks.append(check_future(table.service_date, extract_date))
    return tuple(checks)


def _add_doubtful_keys(leaving: _Leaving, repeated: ir.Table | None, negative: ir.Table | None) -> None:
    """Reversals without their charge, then rows of one key of which nobody can tell which counts."""

    def still_repeated() -> Plan | None:
        return None if repeated is None else build(_several, leaving.staying(repeated))

    if negative is not None:
        leaving.add(_ORPHAN, build(_orphans, leaving.staying(negative), still_repeated()))
    if (several := still_repeated()) is not None:
        leaving.add(_REPEATED, several)


def _several(left: ir.Table) -> ir.Table:
    return left.filter(_.count().over(group_by=left.key_hash) > 1)


def _orphans(negative: ir.Table, several: ir.Table | None) -> ir.Table:
    of_key = negative.filter(ibis.literal(False)) if several is None else negative.semi_join(several, ROW_ID)
    return negative.filter(negative.is_count).union(of_key, distinct=True)
