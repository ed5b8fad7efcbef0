"""Numbered raw columns to lists, and wide rows to lines: what every claims layout needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

AMOUNTS = ("paid_amount", "allowed_amount", "charge_amount")


def list_diagnoses(
    system: str | ir.StringValue,
    codes: Sequence[ir.StringValue],
    poa: Sequence[ir.StringValue] | None = None,
    *,
    ranks: Sequence[int] | None = None,
) -> ir.ArrayValue:
    """Put diagnosis columns into one list; the rank is the number of the column, also where an earlier one is empty.

    Args:
        system (`str` or `ir.StringValue`): Code system of all of them.
        codes (`Sequence[ir.StringValue]`): Columns in billed order.
        poa (`Sequence[ir.StringValue]`, *optional*): Their present-on-admission flags.
        ranks (`Sequence[int]`, *optional*): Their ranks, where columns that nothing fills are left out.

    Returns:
        `ir.ArrayValue`: As `claim_line.diagnoses`; empty columns are left out.

    Examples:
        >>> rows = ibis.memtable({"a": [None, "4019"], "b": ["25000", None]}, schema={"a": "string", "b": "string"})
        >>> lists = rows.select(x=list_diagnoses("ICD9CM", [rows.a, rows.b])).to_pyarrow()["x"].to_pylist()
        >>> [(entry["code"], entry["rank"]) for entries in lists for entry in entries]
        [('25000', 2), ('4019', 1)]
    """
    flags = poa if poa is not None else [ibis.null("string")] * len(codes)
    structs = [
        ibis.struct({"system": _of_system(system), "code": code, "poa": flag, "rank": ibis.literal(rank, "int8")})
        for rank, code, flag in zip(ranks or range(1, len(codes) + 1), codes, flags, strict=True)
    ]
    return ibis.array(structs).filter(lambda entry: entry.code.notnull())


def one_diagnosis(system: str | ir.StringValue, code: ir.StringValue) -> ir.StructValue:
    """A diagnosis that stands alone, as `claim_line.admitting_diagnosis`; null without a code."""
    diagnosis = ibis.struct({"system": _of_system(system), "code": code})
    return ibis.ifelse(code.notnull(), diagnosis, ibis.null(diagnosis.type()))


def list_procedures(
    system: str | ir.StringValue, codes: Sequence[ir.StringValue], dates: Sequence[ir.DateValue] | None = None
) -> ir.ArrayValue:
    """Put procedure columns into one list.

    Args:
        system (`str` or `ir.StringValue`): Code system of all of them.
        codes (`Sequence[ir.StringValue]`): Columns in billed order.
        dates (`Sequence[ir.DateValue]`, *optional*): Their dates.

    Returns:
        `ir.ArrayValue`: As `claim_line.procedures`; empty columns are left out.

    Examples:
        >>> rows = ibis.memtable({"a": ["8154"]})
        >>> rows.select(x=list_procedures("ICD9PCS", [rows.a])).to_pyarrow()["x"].to_pylist()
        [[{'system': 'ICD9PCS', 'code': '8154', 'date': None}]]
    """
    days = dates if dates is not None else [ibis.null("date")] * len(codes)
    structs = [
        ibis.struct({"system": _of_system(system), "code": code, "date": day})
        for code, day in zip(codes, days, strict=True)
    ]
    return ibis.array(structs).filter(lambda entry: entry.code.notnull())


def unfold_lines(
    rows: ir.Table,
    entries: Sequence[Mapping[str, ir.Value]],
    is_there: Callable[[ir.StructValue], ir.BooleanValue],
) -> ir.Table:
    """Turn rows that hold several lines in numbered columns into one row per line.

    Args:
        rows (`ir.Table`): Wide rows.
        entries (`Sequence[Mapping[str, ir.Value]]`): Columns of the first line, of the second, and so on.
        is_there (`Callable[[ir.StructValue], ir.BooleanValue]`): Whether an entry is a line.

    Returns:
        `ir.Table`: The rows with `line` (struct of the entry and its 1-based `position`) and `is_first_line`. A row
        without any line keeps its first entry, so no row is lost.

    Examples:
        >>> rows = ibis.memtable({"h1": [None, "99213"], "h2": ["G0008", "36415"]}, schema={"h1": "str", "h2": "str"})
        >>> lines = unfold_lines(rows, [{"code": rows.h1}, {"code": rows.h2}], lambda entry: entry.code.notnull())
        >>> lines = lines.select(code=lines.line.code, at=lines.line.position, first=lines.is_first_line).to_pyarrow()
        >>> [tuple(line.values()) for line in lines.to_pylist()]
        [('G0008', 2, True), ('99213', 1, True), ('36415', 2, False)]
    """
    rows = fold_lines(rows, entries, is_there)
    unfolded = rows.mutate(line=rows.lines.unnest(), first_line=rows.lines[0])
    is_first_line = unfolded.line.position == unfolded.first_line.position
    return unfolded.mutate(is_first_line=is_first_line).drop("lines", "first_line")


def fold_lines(
    rows: ir.Table,
    entries: Sequence[Mapping[str, ir.Value]],
    is_there: Callable[[ir.StructValue], ir.BooleanValue],
) -> ir.Table:
    """Put the lines of each row into one list, `lines`; arguments and entries are those of [`unfold_lines`]."""
    structs = [
        ibis.struct({"position": ibis.literal(position, "int32"), **entry})
        for position, entry in enumerate(entries, start=1)
    ]
    # Most rows of some tables have no entry at all, and building the list for them would be most of the work.
    is_filled = ibis.or_(*(value.notnull() for entry in entries for value in entry.values()))
    filled = ibis.array(structs).filter(is_there)
    return rows.mutate(lines=ibis.ifelse(is_filled & (filled.length() > 0), filled, ibis.array(structs[:1])))


def unfold_claims(folded: ir.Table) -> ir.Table:
    """Unfold canonical rows of which each holds its `lines`, as `StagedTable.to_folded` gives them.

    A line takes what its row says but for what stands in `lines`; its number counts on from `claim_line_number` of the
    row, and the amounts of the row stand on its first line alone (`is_first_line`).
    """
    lines = folded.mutate(line=folded.lines.unnest(), first_line=folded.lines[0])
    is_first_line = lines.line.position == lines.first_line.position
    of_line = {name: lines.line[name] for name in lines.line.type().names if name != "position"}
    amounts = {
        name: ibis.ifelse(is_first_line, lines[name], None)
        for name in AMOUNTS
        if name in lines.columns and name not in of_line
    }
    return lines.mutate(
        claim_line_number=lines.claim_line_number + lines.line.position,
        is_first_line=is_first_line,
        **(amounts | of_line),
    ).drop("lines", "line", "first_line")


def _of_system(system: str | ir.StringValue) -> ir.StringValue:
    return ibis.literal(system) if isinstance(system, str) else system
