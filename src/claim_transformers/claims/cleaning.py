"""Cleaning of raw rows: which leave, and why, duplicates, older versions, claims of two patients.

Every function returns the rows that leave as a small table (`source_file`, `row_no`), so that the wide rows which stay
are never copied. Rows are compared in canonical writing (`50.0` is `50.00`, `E11.9` is `e119 `, `0093-0145-05` is
`00093014505`) on the columns of their layout, and in full only where their key occurs more than once.
"""

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.datatypes as types
import ibis.expr.types as ir
from ibis import _

from claim_transformers.claims.fields import clean_id, clean_word
from claim_transformers.claims.quality import RowCheck
from claim_transformers.codes.expressions import normalize_expr

ROW_ID = ("source_file", "row_no")
# Beside the types of a layout: an id that was written canonically before.
CLEAN = "clean id"
_Kinds = Mapping[str, str]
_MIDNIGHT = r"[ t]00:00:00(\.0+)?$"


def write_canonically(rows: ir.Table, column: str, kinds: _Kinds) -> ir.Value:
    """Give a column in canonical writing, by its type in the layout; numbers as a struct."""
    return _write_text(rows[column], kinds.get(column, "text"))


def _by_kind(names: Sequence[str], kinds: _Kinds) -> dict[str, list[str]]:
    """Columns by their type."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(kinds.get(name, "text"), []).append(name)
    return alike


def _write_text(text: ir.StringValue, kind: str) -> ir.Value:
    if kind == CLEAN:
        return text
    if kind == "id":
        return clean_id(text)
    if kind in ("amount", "number"):
        number = text.try_cast("float64")
        return ibis.struct({"number": number, "word": ibis.ifelse(number.isnull(), clean_word(text), None)})
    if kind in ("code", "icd"):
        return clean_word(text.replace(".", ""))
    if kind == "ndc":
        return ibis.coalesce(normalize_expr("NDC", text)[0], clean_word(text))
    return clean_word(text).re_replace(_MIDNIGHT, "") if kind in ("date", "time") else clean_word(text)


def hash_of_key(rows: ir.Table, key: Sequence[str], kinds: _Kinds) -> ir.IntegerValue:
    """Hash a key in canonical writing: a table of keys is then small, and few rows share one by accident."""
    return _hash_of(ibis.struct({name: write_canonically(rows, name, kinds) for name in key}))


def find_repeated_keys(rows: ir.Table, key: Sequence[str], kinds: _Kinds) -> ir.Table:
    """Find the rows whose key stands on another row too, with the hash of the key as `key_hash`."""
    keyed = rows.select(*ROW_ID, key_hash=hash_of_key(rows, key, kinds))
    counted = keyed.group_by("key_hash").aggregate(num_rows=_.count())
    return keyed.semi_join(counted.filter(counted.num_rows > 1), "key_hash")


def find_duplicates(rows: ir.Table, repeated: ir.Table, kinds: _Kinds) -> ir.Table:
    """Find rows that are equal to another row in every column of `kinds`, or of the file if there are none.

    Which one stays does not depend on the order of the rows: the first by its raw text, or by its place if that is
    equal too.
    """
    names = [name for name in rows.columns if name not in ROW_ID and name in (kinds or rows.columns)]
    candidates = rows.semi_join(repeated, ROW_ID)
    # Lists of columns, because every column by itself takes longer to plan than to compare.
    content = [
        ibis.array([candidates[name] for name in alike]).map(lambda text, kind=kind: _write_text(text, kind))
        for kind, alike in _by_kind(names, kinds).items()
    ]
    texts = ibis.array([candidates[name] for name in names])
    order = [texts, *(candidates[name] for name in ROW_ID)]
    copies = candidates.select(*ROW_ID, copy=ibis.row_number().over(group_by=content, order_by=order))
    return copies.filter(copies.copy > 0).select(*ROW_ID)


def count_claims(rows: ir.Table, claim: Sequence[str], patient: str) -> ir.Table:
    """Count the rows of the claim that has the most, and the claims that stand under more than one patient."""
    claims = _claims(rows, claim, patient)
    return claims.aggregate(most=claims.num_rows.max(), num_shared=claims.count(where=claims.is_shared))


def find_shared_claims(rows: ir.Table, claim: Sequence[str], patient: str) -> ir.Table:
    """Find the hashes, as [`hash_of_ids`] makes them, of claims that stand under more than one patient."""
    claims = _claims(rows, claim, patient)
    return claims.filter(claims.is_shared).select("claim_hash")


def _claims(rows: ir.Table, claim: Sequence[str], patient: str) -> ir.Table:
    """Hashes of claims, null for all rows without one, with the number of their rows."""
    pairs = rows.select(claim_hash=hash_of_ids(rows, claim), patient=hash_of_ids(rows, [patient]))
    counted = pairs.group_by("claim_hash").aggregate(n=_.count(), lowest=_.patient.min(), highest=_.patient.max())
    is_shared = counted.claim_hash.notnull() & (counted.lowest != counted.highest)
    return counted.select("claim_hash", num_rows=counted.n, is_shared=is_shared)


def hash_of_ids(rows: ir.Table, columns: Sequence[str]) -> ir.IntegerValue:
    """Hash identifiers to 64 bits, null where the last is missing: millions of them then fit into little memory."""
    ids = ibis.struct({name: rows[name] for name in columns}) if len(columns) > 1 else rows[columns[0]]
    return ibis.ifelse(rows[columns[-1]].notnull(), _hash_of(ids), ibis.null("int64"))


@ibis.udf.scalar.builtin(name="hash")  # type: ignore[untyped-decorator]
def _engine_hash(value) -> types.uint64:  # type: ignore[no-untyped-def]
    """What the engine calls so; Ibis gives it a sign by way of text, which takes longer."""


def _hash_of(value: ir.Value) -> ir.IntegerValue:
    return (_engine_hash(value) >> 1).cast("uint64").cast("int64")


def find_failing_rows(rows: ir.Table, checks: Sequence[RowCheck], *, keep: Sequence[str] = ()) -> ir.Table:
    """Find rows that fail a check, with the first reason in the order of the checks."""
    if not checks:
        raise ValueError("expected at least one check, found none")
    branches = [(check.fails(rows), ibis.literal(check.reason_code)) for check in checks]
    reasoned = rows.select(*ROW_ID, *keep, reason_code=ibis.cases(*branches, else_=ibis.null("string")))
    return reasoned.filter(reasoned.reason_code.notnull())


def find_superseded(rows: ir.Table, claim: Sequence[str], order: ir.Value, kinds: _Kinds) -> ir.Table:
    """Find rows of which a later version is there; a row without an order is no version of another."""
    versions = rows.select(*ROW_ID, key_hash=hash_of_key(rows, claim, kinds), version=order)
    latest = versions.group_by(of_key="key_hash").aggregate(first=_.version.min(), latest=_.version.max())
    several = latest.filter(latest["first"] < latest.latest)
    joined = versions.join(several, versions.key_hash == several.of_key)
    return joined.filter(joined.version < joined.latest).select(*ROW_ID)
