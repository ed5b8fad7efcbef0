"""Reversals: charges that were taken back, found by whatever measure the sender turned negative, or by a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis
from ibis import _

from claim_transformers.claims.cleaning import ROW_ID, hash_of_key, write_canonically
from claim_transformers.claims.engine import materialize
from claim_transformers.claims.fields import parse_amount
from claim_transformers.claims.planning import build, holds_no_rows, to_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@holds_no_rows
@dataclass(frozen=True)
class Reversal:
    """How a charge and its reversal find each other."""

    key: tuple[str, ...]  # Raw columns that both share: data source, patient, dates and what was done.
    # Raw columns of the claim number and its parts. Both share them as a rule; a reversal that finds no charge of its
    # numbers may be of another line, or of another claim.
    numbers: tuple[str, ...]
    amounts: tuple[str, ...]  # Raw columns of amounts; the first that is not zero is opposite or equal in both.
    counts: tuple[str, ...] = ()  # Raw columns of units, quantity or days, opposite or equal in both.
    # Raw column that says what a reversal is, where a code does and the sign of its amounts does not.
    void_column: str = ""
    void_values: tuple[str, ...] = ()  # Its values that say so.

    @property
    def measures(self) -> tuple[str, ...]:
        """Columns of which one is negative in a reversal."""
        return (*self.amounts, *self.counts)

    def is_void(self, rows: ir.Table) -> ir.BooleanValue:
        """Tell which rows take a charge back."""
        if self.void_column:
            return rows[self.void_column].isin(self.void_values).fill_null(False)
        return is_negative(rows, self.measures)


def is_negative(rows: ir.Table, columns: Sequence[str]) -> ir.BooleanValue:
    """Whether any of the amounts or counts is below zero."""
    # Few texts have a minus, and only those are read as numbers.
    below = [ibis.ifelse(rows[name].contains("-"), parse_amount(rows[name]) < 0, False) for name in columns]
    return ibis.or_(*(is_below.fill_null(False) for is_below in below))


def find_reversals(
    connection: Backend,
    rows: ir.Table,
    negative: ir.Table,
    reversal: Reversal,
    kinds: Mapping[str, str],
    order: ir.Value | None = None,
) -> ir.Table:
    """Find charges and their reversals: equal in key and measures but for the sign, one of each per pair.

    A charge whose numbers the reversal has comes first, then one of the same claim, then one of the same key; of
    several the earliest in `order`. What a reversal leaves blank, its amounts or its counts, is not compared.
    """
    candidates, _number = materialize(
        connection, "reversal_candidates", build(_candidates, rows, negative, reversal, kinds, order)
    )
    counts = [f"count_{place}" for place in range(len(reversal.counts))]
    nothing = candidates.filter(ibis.literal(False)).select(*ROW_ID)
    pairs = materialize(connection, "reversal_pairs", nothing)[0]
    compared: list[tuple[list[str], list[str]]] = [(["amount", *counts], [])]
    compared += [(["amount"], counts), (counts, ["amount"])] if counts else []
    for width in range(len(reversal.numbers), -1, -1):
        for sizes, blank in compared:
            found = build(_pair, candidates, pairs, (*reversal.key, *reversal.numbers[:width]), sizes, blank)
            connection.raw_sql(f"INSERT INTO reversal_pairs {to_sql(connection, found)}")
    return pairs


def _candidates(
    rows: ir.Table, negative: ir.Table, reversal: Reversal, kinds: Mapping[str, str], order: ir.Value | None
) -> ir.Table:
    """Rows that share the key of a reversal: the few among which pairs are looked for."""

    def size(name: str) -> ir.DecimalValue:
        return parse_amount(rows[name]).abs().nullif(0)

    # A code takes back a charge of nothing too, which its amounts cannot tell from none.
    nothing = ibis.literal(0, "decimal(12, 2)") if reversal.void_column else ibis.null("decimal(12, 2)")
    columns = [name for name in rows.columns if name in (kinds or rows.columns)]
    sized = rows.select(
        *ROW_ID,
        key_hash=hash_of_key(rows, reversal.key, kinds),
        is_reversal=reversal.is_void(rows),
        amount=ibis.coalesce(*(size(name) for name in reversal.amounts), nothing),
        order=ibis.literal(0) if order is None else order,
        # Charges that differ outside the key need a fixed order, or another row would be netted after a shuffle.
        content=ibis.struct({name: rows[name] for name in columns}).hash(),
        **{f"count_{place}": size(name) for place, name in enumerate(reversal.counts)},
        **{name: write_canonically(rows, name, kinds) for name in (*reversal.key, *reversal.numbers)},
    )
    hashes = sized.semi_join(negative, ROW_ID).select("key_hash").distinct()
    return sized.semi_join(hashes, "key_hash")


def _pair(
    candidates: ir.Table, paired: ir.Table, key: Sequence[str], sizes: Sequence[str], blank: Sequence[str]
) -> ir.Table:
    """Pairs of the candidates that are in none yet."""
    rows = candidates.anti_join(paired, ROW_ID)
    is_stated = ibis.or_(*(rows[name].notnull() for name in sizes))
    is_blank = ibis.and_(ibis.literal(True), *(rows[name].isnull() for name in blank))
    rows = rows.filter(is_stated & (~rows.is_reversal | is_blank))
    pair_of = [rows[name] for name in (*key, *sizes)]
    number = ibis.row_number().over(
        group_by=[*pair_of, rows.is_reversal], order_by=[rows.order, rows.content, *(rows[name] for name in ROW_ID)]
    )
    numbered = rows.mutate(pair=number)
    group = [numbered[name] for name in (*key, *sizes)]
    paired = numbered.mutate(partners=_.count().over(group_by=[*group, numbered.pair]))
    return paired.filter(paired.partners == 2).select(*ROW_ID)
