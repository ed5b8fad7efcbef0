"""Cleaning of raw rows: which leave, and why, duplicates, claims of two patients, failed checks, reversals.

Every function returns the rows that leave as a small table (`source_file`, `row_no`), so that the wide rows which stay
are never copied. Only rows whose key occurs more than once are compared in full.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
from ibis import _

from claim_transformers.claims.fields import clean_id, parse_amount
from claim_transformers.claims.quality import RowCheck

ROW_ID = ("source_file", "row_no")


def _raw_columns(rows: ir.Table) -> list[str]:
    """Name the columns that came from the file."""
    return [name for name in rows.columns if name not in ROW_ID]


def _key_hash(rows: ir.Table, key: Sequence[str]) -> ir.IntegerValue:
    # A hash keeps the table of keys small; rows that share one by accident are told apart by the full comparison.
    return ibis.struct({name: rows[name] for name in key}).hash()


def find_repeated_keys(rows: ir.Table, row_key: Sequence[str]) -> ir.Table:
    """Find keys that more than one row has."""
    keyed = rows.select(key_hash=_key_hash(rows, row_key))
    counted = keyed.group_by("key_hash").aggregate(num_rows=_.count())
    return counted.filter(counted.num_rows > 1).select("key_hash")


def find_duplicates(rows: ir.Table, row_key: Sequence[str], repeated_keys: ir.Table) -> ir.Table:
    """Find rows that are equal to an earlier row in every raw column.

    Examples:
        >>> from claim_transformers.claims.engine import connect
        >>> rows = ibis.memtable(
        ...     {"CLM_ID": ["1", "1", "1"], "PAID": ["5", "5", "6"], "source_file": ["a"] * 3, "row_no": [1, 2, 3]}
        ... )
        >>> copies = find_duplicates(rows, ["CLM_ID"], find_repeated_keys(rows, ["CLM_ID"]))
        >>> connect(threads=1).to_pyarrow(copies)["row_no"].to_pylist()
        [2]
    """
    keyed = rows.mutate(key_hash=_key_hash(rows, row_key))
    candidates = keyed.semi_join(repeated_keys, "key_hash")
    copies = candidates.select(
        *ROW_ID,
        copy=ibis.row_number().over(
            group_by=[candidates[name] for name in _raw_columns(rows)],
            order_by=[candidates[name] for name in ROW_ID],
        ),
    )
    return copies.filter(copies.copy > 0).select(*ROW_ID)


def find_shared_claims(rows: ir.Table, claim_column: str, patient_column: str) -> ir.Table:
    """Find claim ids that stand under more than one patient."""
    pairs = rows.select(claim_hash=hash_of_id(rows[claim_column]), patient=hash_of_id(rows[patient_column]))
    claims = pairs.filter(pairs.claim_hash.notnull()).group_by("claim_hash")
    extremes = claims.aggregate(lowest=_.patient.min(), highest=_.patient.max())
    return extremes.filter(extremes.lowest != extremes.highest).select("claim_hash")


def hash_of_id(text: ir.StringValue) -> ir.IntegerValue:
    """Hash an identifier to 64 bits, null where it is missing: millions of them then fit into little memory."""
    cleaned = clean_id(text)
    return ibis.ifelse(cleaned.notnull(), cleaned.hash(), ibis.null("int64"))


def find_failing_rows(rows: ir.Table, checks: Sequence[RowCheck], *, keep: Sequence[str] = ()) -> ir.Table:
    """Find rows that fail a check, with the first reason in the order of the checks."""
    if not checks:
        raise ValueError("expected at least one check, found none")
    branches = [(check.fails(rows), ibis.literal(check.reason_code)) for check in checks]
    reasoned = rows.select(*ROW_ID, *keep, reason_code=ibis.cases(*branches, else_=ibis.null("string")))
    return reasoned.filter(reasoned.reason_code.notnull())


def find_reversed_claims(rows: ir.Table, claim_key: Sequence[str], amount: str) -> ir.Table:
    """Find claims that have both a negative and a positive amount: the few among which reversals are looked for."""
    signed = rows.select(key_hash=_key_hash(rows, claim_key), signed_amount=parse_amount(rows[amount]))
    negative = signed.filter(signed.signed_amount < 0).select("key_hash").distinct()
    return signed.filter(signed.signed_amount > 0).semi_join(negative, "key_hash").select("key_hash").distinct()


def find_reversals(
    rows: ir.Table, key: Sequence[str], amount: str, claim_key: Sequence[str], reversed_claims: ir.Table
) -> ir.Table:
    """Find charges and their reversals: equal in the key, opposite in the amount, one of each per pair.

    A reversal without its charge stays and is counted as `W_AMOUNT` by the checks.

    Examples:
        >>> from claim_transformers.claims.engine import connect
        >>> rows = ibis.memtable(
        ...     {"C": ["1", "1", "1", "2"], "PAID": ["5", "-5.00", "5", "-7"], "source_file": ["f"] * 4,
        ...      "row_no": [1, 2, 3, 4]}
        ... )
        >>> reversals = find_reversals(rows, ["C"], "PAID", ["C"], find_reversed_claims(rows, ["C"], "PAID"))
        >>> sorted(connect(threads=1).to_pyarrow(reversals)["row_no"].to_pylist())
        [1, 2]
    """
    signed = rows.mutate(signed_amount=parse_amount(rows[amount]), key_hash=_key_hash(rows, claim_key))
    candidates = signed.filter(signed.signed_amount != 0).semi_join(reversed_claims, "key_hash")
    candidates = candidates.mutate(size=candidates.signed_amount.abs(), is_reversal=candidates.signed_amount < 0)
    # Charges that differ outside the key need a fixed order, or another row would be netted after a shuffle.
    rest = [name for name in _raw_columns(rows) if name not in key and name != amount]
    numbered = candidates.mutate(
        pair=ibis.row_number().over(
            group_by=[*(candidates[name] for name in key), candidates.size, candidates.is_reversal],
            order_by=[*(candidates[name] for name in rest), *(candidates[name] for name in ROW_ID)],
        )
    )
    paired = numbered.mutate(
        partners=_.count().over(group_by=[*(numbered[name] for name in key), numbered.size, numbered.pair])
    )
    return paired.filter(paired.partners == 2).select(*ROW_ID)
