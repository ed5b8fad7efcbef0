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
    ranks: Sequence[int | ir.IntegerValue] | None = None,
) -> ir.ArrayValue:
    """Put diagnosis columns into one list; the rank is the number of the column, also where an earlier one is empty.

    `ranks` say the number where it is another, such as that of a row which holds one diagnosis.
    """
    flags = poa if poa is not None else [ibis.null("string")] * len(codes)
    numbers = [
        ibis.literal(rank, "int8") if isinstance(rank, int) else rank for rank in ranks or range(1, len(codes) + 1)
    ]
    structs = [
        ibis.struct({"system": _of_system(system), "code": code, "poa": flag, "rank": rank})
        for rank, code, flag in zip(numbers, codes, flags, strict=True)
    ]
    return ibis.array(structs).filter(lambda entry: entry.code.notnull())


def one_diagnosis(system: str | ir.StringValue, code: ir.StringValue) -> ir.StructValue:
    """A diagnosis that stands alone, as `claim_line.admitting_diagnosis`; null without a code."""
    diagnosis = ibis.struct({"system": _of_system(system), "code": code})
    return ibis.ifelse(code.notnull(), diagnosis, ibis.null(diagnosis.type()))


def list_procedures(
    system: str | ir.StringValue, codes: Sequence[ir.StringValue], dates: Sequence[ir.DateValue] | None = None
) -> ir.ArrayValue:
    """Put procedure columns, in billed order, into one list without those that are empty."""
    days = dates if dates is not None else [ibis.null("date")] * len(codes)
    structs = [
        ibis.struct({"system": _of_system(system), "code": code, "date": day})
        for code, day in zip(codes, days, strict=True)
    ]
    return ibis.array(structs).filter(lambda entry: entry.code.notnull())


def list_modifiers(rows: ir.Table, code: str, columns: Sequence[str]) -> ir.ArrayValue:
    """List the modifiers of columns, behind those that were glued to a HCPCS code.

    Without columns a list is null where nothing was glued: codes of other patients do not decide whether it is one.
    """
    modifiers = [rows[name] for name in columns]
    glued = f"{code}_modifiers"
    if glued in rows.columns:
        modifiers = [*(rows[glued].substr(start, 2).nullif("") for start in (0, 2)), *modifiers]
    if not modifiers:
        return ibis.null("array<string>")
    found = ibis.array(modifiers).filter(lambda modifier: modifier.notnull())
    return found if columns else ibis.ifelse(rows[glued].notnull(), found, ibis.null("array<string>"))


def unfold_lines(
    rows: ir.Table,
    entries: Sequence[Mapping[str, ir.Value]],
    is_there: Callable[[ir.StructValue], ir.BooleanValue],
) -> ir.Table:
    """Turn rows that hold several lines in numbered columns, one mapping per line, into one row per line.

    It has `line` (struct of the entry and its 1-based `position`) and `is_first_line`. A row without any line keeps
    its first entry, so no row is lost.
    """
    structs = [
        ibis.struct({"position": ibis.literal(position, "int32"), **entry})
        for position, entry in enumerate(entries, start=1)
    ]
    # Most rows of some tables have no entry at all, and building the list for them would be most of the work.
    is_filled = ibis.or_(*(value.notnull() for entry in entries for value in entry.values()))
    filled = ibis.array(structs).filter(is_there)
    rows = rows.mutate(lines=ibis.ifelse(is_filled & (filled.length() > 0), filled, ibis.array(structs[:1])))
    unfolded = rows.mutate(line=rows.lines.unnest(), first_line=rows.lines[0])
    is_first_line = unfolded.line.position == unfolded.first_line.position
    return unfolded.mutate(is_first_line=is_first_line).drop("lines", "first_line")


def unfold_claims(folded: ir.Table) -> ir.Table:
    """Unfold canonical rows of which each holds several lines, as `StagedTable.to_folded` gives them.

    Codes stand in columns as [`code_name`] names them. Each that is filled of `hcpcs_code` is a line; a row without
    one has its first line nevertheless. A line takes what its row says; its number counts on from `claim_line_number`
    of the row, and the amounts of the row stand on its first line alone (`is_first_line`).
    """
    codes: dict[str, dict[str, dict[int, str]]] = {}
    for name in folded.columns:
        column, system, number = read_code_name(name)
        codes.setdefault(column, {}).setdefault(system, {})[number] = name
    codes.pop("")
    entries = [{"hcpcs_code": folded[name]} for name in codes.pop("hcpcs_code")[""].values()]
    lines = unfold_lines(folded, entries, lambda line: line.hcpcs_code.notnull())
    lists = {
        column: [
            list_diagnoses(system, [lines[name] for name in names.values()], ranks=[*names])
            if column == "diagnoses"
            else list_procedures(system, [lines[name] for name in names.values()])
            for system, names in systems.items()
        ]
        for column, systems in codes.items()
    }
    amounts = {name: ibis.ifelse(lines.is_first_line, lines[name], None) for name in AMOUNTS if name in folded.columns}
    changed = amounts | {
        "claim_line_number": lines.claim_line_number + lines.line.position,
        "hcpcs_code": lines.line.hcpcs_code,
        **{column: parts[0].concat(*parts[1:]) if parts[1:] else parts[0] for column, parts in lists.items()},
    }
    kept = [name for name in folded.columns if not read_code_name(name)[0] and name not in changed]
    return lines.select(*kept, "is_first_line", **changed)


def code_name(column: str, system: str, number: int) -> str:
    """Name the column of folded rows with the code of a system that has some rank in a list of the lines."""
    return f"{column}|{system}|{number}"


def read_code_name(name: str) -> tuple[str, str, int]:
    """Column, system and rank of such a name; no column where it is none.

    Examples:
        >>> read_code_name(code_name("diagnoses", "ICD9CM", 3)), read_code_name("claim_id")
        (('diagnoses', 'ICD9CM', 3), ('', '', 0))
    """
    column, _, rest = name.partition("|")
    system, _, number = rest.partition("|")
    return (column, system, int(number)) if rest else ("", "", 0)


def _of_system(system: str | ir.StringValue) -> ir.StringValue:
    return ibis.literal(system) if isinstance(system, str) else system
