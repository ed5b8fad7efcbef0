"""Codes of raw columns in canonical form: surveyed as distinct values, rewritten only where something changes.

Real columns repeat few codes often, so the survey runs the rules once per distinct code. Columns whose codes are
canonical already, the usual case, are then left as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from claim_transformers.claims.engine import fetch
from claim_transformers.claims.planning import Plan, build, to_expression
from claim_transformers.codes.expressions import modifiers_expr, normalize_expr
from claim_transformers.codes.normalize import normalize_codes
from claim_transformers.codes.tables import listed_codes

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_W_UNKNOWN_CODE, _W_AMBIGUOUS_CODE = "W_UNKNOWN_CODE", "W_AMBIGUOUS_CODE"
# What else a code of a tolerant column can be, by its system: DE-SynPUF has diagnoses in columns of procedures.
_CONFUSED = {"ICD9PCS": "ICD9CM"}
# What stays in a tolerant column: a text that can be a code of some system.
_ANY_CODE = "^[A-Z0-9]{2,11}$"
_MAX_CODES_TO_LOOK_FOR = 100
_SYSTEM = "system of codes"
# Of every row, or the expression that says it, or how to make that of rows.
_System: TypeAlias = "str | ir.StringValue | Callable[[ir.Table], ir.StringValue]"


@dataclass(frozen=True)
class CodeSurvey:
    """What becomes of the codes in some columns."""

    system: str
    raw: pa.Array  # Distinct raw codes.
    occurrences: int  # Number of raw codes.
    changed: pa.Array  # Distinct raw codes that are not canonical already.
    fixes: Counter[str]  # Occurrences that are rewritten, by `F_...`.
    quarantined: Counter[str]  # Occurrences that become null, by `R_...`.
    warnings: Counter[str]  # Occurrences that are kept although their form is not that of the system.
    kept: pa.Table  # `code` (string, `SYSTEM/CODE`) and `count` (int64) of what stays; a code may occur again.

    @property
    def distinct(self) -> int:
        """Number of distinct raw codes."""
        return len(self.raw)


def count_codes(rows: ir.Table, columns: Sequence[str], system: _System) -> ir.Table:
    """Count distinct values over several columns."""
    narrow = rows.select(*columns, system=_of_rows(system, rows))
    # Wide layouts are nearly empty: rows without any code are left out before they are unfolded.
    filled = narrow.filter(ibis.coalesce(*(narrow[name] for name in columns)).notnull())
    codes = ibis.array([filled[name] for name in columns]).filter(lambda code: code.notnull())
    unfolded = filled.select("system", raw=codes.unnest())
    return unfolded.group_by("system", "raw").aggregate(occurrences=_.count())


def survey_codes(
    connection: Backend,
    rows: Plan,
    columns: Sequence[str],
    systems: Sequence[str],
    system: _System | None = None,
    *,
    tolerant: bool = False,
    counted: pa.Table | None = None,
) -> list[CodeSurvey]:
    """Look at the distinct codes of some columns and count what normalisation does to them.

    `counted` says how often each code occurs (`raw`, `occurrences`), where that is known and there is one system.
    """
    if counted is not None:
        return [_survey(systems[0], counted["raw"], counted["occurrences"], tolerant=tolerant)]
    of_row = systems[0] if system is None else system
    found = fetch(connection, build(count_codes, rows, columns, of_row))
    surveys = []
    for name in systems:
        of_system = found.filter(pc.equal(found["system"], name))
        surveys.append(_survey(name, of_system["raw"], of_system["occurrences"], tolerant=tolerant))
    return surveys


def _survey(system: str, raw: pa.ChunkedArray, counts: pa.ChunkedArray, *, tolerant: bool) -> CodeSurvey:
    raw, counts = raw.combine_chunks(), counts.combine_chunks()
    normalized = normalize_codes(system, raw)
    refused = normalized.reasons
    nothing = pa.scalar(None, pa.string())
    is_changed = pc.fill_null(pc.not_equal(raw, normalized.codes), False)
    is_split = pc.and_(is_changed, normalized.modifiers.is_valid())
    fix = pa.scalar("F_NDC" if system == "NDC" else "F_CODE_FORM")
    fixes = pc.if_else(is_changed, pc.if_else(is_split, pa.scalar("F_MODIFIER"), fix), nothing)
    codes, unknown = normalized.codes, pa.nulls(len(raw), pa.string())
    if tolerant:
        is_kept = pc.and_(refused.is_valid(), pc.match_substring_regex(_bare(raw), _ANY_CODE))
        codes = pc.if_else(is_kept, _bare(raw), codes)
        unknown = _doubts(system, codes)
        refused = pc.if_else(is_kept, nothing, refused)
        is_changed = pc.or_(is_changed, pc.and_(is_kept, pc.not_equal(_bare(raw), raw)))
    kept = pa.table({"code": pc.binary_join_element_wise(system, codes, "/"), "count": counts})
    return CodeSurvey(
        system=system,
        raw=raw,
        occurrences=pc.sum(counts).as_py() or 0,
        changed=raw.filter(pc.or_(is_changed, refused.is_valid())),
        fixes=_weigh(fixes, counts),
        quarantined=_weigh(refused, counts),
        warnings=_weigh(unknown, counts),
        kept=kept.filter(codes.is_valid()),
    )


def find_changed_columns(
    connection: Backend, rows: Plan, columns: Sequence[str], changed: pa.Array, held: pa.Table | None = None
) -> list[str]:
    """Find the columns that hold a code which is not canonical, so that only they are rewritten.

    `held` are the rows if they are few.
    """
    if len(changed) > _MAX_CODES_TO_LOOK_FOR or len(columns) == 1:
        return list(columns)
    if held is not None:
        return [name for name in columns if pc.any(pc.is_in(held[name], value_set=changed)).as_py()]
    codes = changed.to_pylist()
    # Codes of the rows stand in the query, which is planned anew.
    narrow = to_expression(rows).select(*columns)
    found = fetch(connection, narrow.aggregate(**{name: narrow[name].isin(codes).any() for name in columns}))
    return [name for name in columns if found[name][0].as_py()]


def rewrite_codes(
    rows: ir.Table,
    columns: Sequence[str],
    systems: Sequence[str],
    system: _System | None = None,
    *,
    tolerant: bool = False,
) -> ir.Table:
    """Replace raw codes by their canonical form; a code that cannot be used becomes null.

    Modifiers that were glued to a HCPCS code are put into a further column, `COLUMN_modifiers`.
    """
    changed: dict[str, ir.StringValue] = {}
    if system is not None:
        # Joined with every column, it is planned once.
        rows = rows.mutate(**{_SYSTEM: _of_rows(system, rows)})
        system = rows[_SYSTEM]
    for column in columns:
        raw = rows[column]
        codes = {name: normalize_expr(name, raw)[0] for name in systems}
        if system is None:
            code = codes[systems[0]]
        else:
            code = ibis.cases(*((system == name, codes[name]) for name in systems), else_=ibis.null("string"))
        if tolerant:
            bare = raw.replace("\u00a0", " ").strip().replace(".", "").upper()
            code = ibis.coalesce(code, ibis.ifelse(bare.re_search(_ANY_CODE), bare, ibis.null("string")))
        changed[column] = code
        if "HCPCS" in systems:
            changed[f"{column}_modifiers"] = modifiers_expr(raw)
    return rows.mutate(**changed) if system is None else rows.mutate(**changed).drop(_SYSTEM)


def _of_rows(system: _System, rows: ir.Table) -> ir.StringValue:
    return ibis.literal(system) if isinstance(system, str) else system(rows) if callable(system) else system


def _bare(raw: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim(pc.replace_substring(raw, "\u00a0", " "), " ")
    return pc.utf8_upper(pc.replace_substring(trimmed, ".", ""))


def _doubts(system: str, codes: pa.Array) -> pa.Array:
    """`W_...` of codes that the list of the system does not hold, and of those that another list holds too."""
    other_system = _CONFUSED[system]
    listed, other = (listed_codes(name) or frozenset() for name in (system, other_system))

    def doubt(code: str | None) -> str | None:
        if code is None:
            return None
        if f"{system}/{code}" not in listed:
            return _W_UNKNOWN_CODE
        return _W_AMBIGUOUS_CODE if f"{other_system}/{code}" in other else None

    return pa.array(map(doubt, codes.to_pylist()), pa.string())


def _weigh(reasons: pa.Array, occurrences: pa.Array) -> Counter[str]:
    counts: Counter[str] = Counter()
    weighted = pa.table({"reason": reasons, "n": occurrences}).filter(reasons.is_valid())
    for row in weighted.group_by("reason").aggregate([("n", "sum")]).to_pylist():
        counts[row["reason"]] = row["n_sum"]
    return counts
