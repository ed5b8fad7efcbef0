"""Fields of RIF rows: dates with month names, codes split by their version column, columns derived from a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ibis
import ibis.expr.datatypes as types

from claim_transformers.claims.fields import DateFormat, add_each, any_of
from claim_transformers.claims.quality import RowCheck
from claim_transformers.codes.systems import ICD10_START_DATE
from claim_transformers.sources.pipeline.layout_files import ROWS, UNUSED, FileLayout
from claim_transformers.sources.pipeline.qualifiers import coding_day

if TYPE_CHECKING:
    import ibis.expr.types as ir

DATES: DateFormat = "YYYYMMDD"
# Versions of codes: 9 and 0 in the codebook (CCW), and words that say the same. Patterns or longer lists, in 50
# columns, cost the engine four times the planning; another spelling is counted.
_ICD9, _ICD10 = ("9", "09", "ICD9", "ICD-9"), ("0", "10", "ICD10", "ICD-10")
CODING_DAY, _IS_ICD10 = "CODING_DAY", "IS_ICD10"
_MONTHS = "|JAN01|FEB02|MAR03|APR04|MAY05|JUN06|JUL07|AUG08|SEP09|OCT10|NOV11|DEC12"
# What is no date in the declared format stays unreadable, whatever it looks like, and the checks find it.
_NO_DATE = "unreadable"


def day_of(column: str) -> str:
    """Name the derived column that holds a date as `YYYYMMDD`."""
    return f"DAY_OF_{column}"


def code_of(system: str, column: str) -> str:
    """Name the derived column that holds a code if it is of a system."""
    return f"{system}_OF_{column}"


# Ibis writes its own `substr` and `find` as cases, of which each takes time to plan.
@ibis.udf.scalar.builtin(name="substr")  # type: ignore[untyped-decorator]
def _cut(text: types.string, first: types.int64, length: types.int64) -> types.string:
    """Cut out a part of a text."""


@ibis.udf.scalar.builtin(name="strpos")  # type: ignore[untyped-decorator]
def _find(text: types.string, part: types.string) -> types.int64:
    """Find a part of a text; 0 if it is not there."""


def _compact_date(text: ir.StringValue, date_format: str) -> ir.StringValue:
    """Write a date as `YYYYMMDD`, as text, so that the checks of all sources apply to it."""
    if date_format == "DD-MON-YYYY":
        is_whole = text.re_search(r"^\d{2}-[A-Za-z]{3}-\d{4}$")
        # One look into a text: a case for each month, in thirty columns, takes longer to plan than to run.
        place = _find(_MONTHS, "|" + _cut(text, 4, 3).upper())
        month = ibis.ifelse(place > 0, _cut(_MONTHS, place + len("|JAN"), 2), ibis.null("string"))
        compact = _cut(text, 8, 4) + month + _cut(text, 1, 2)
    elif date_format == "YYYY-MM-DD":
        is_whole = text.re_search(r"^\d{4}-\d{2}-\d{2}$")
        compact = text.replace("-", "")
    else:
        is_whole, compact = text.length() == len("YYYYMMDD"), text
    written = ibis.ifelse(is_whole, compact, _NO_DATE).fill_null(_NO_DATE)
    return ibis.ifelse(text.notnull(), written, ibis.null("string"))


def use_columns(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Keep the columns that feed something or decide about rows."""
    ruled = {rule.column for rule in layout.rules} | {layout.version_day, layout.version_instruction}
    used = [
        name
        for column in layout.columns
        for name in column.names
        if column.feeds not in (ROWS, UNUSED) or name in ruled
    ]
    return rows.select("source_file", "row_no", *used)


def add_days(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add every date that feeds something, as `YYYYMMDD`."""
    used = [column for column in layout.columns if column.kind == "date" and column.feeds != UNUSED]
    names = [name for column in used for name in column.names]
    texts = {day_of(name): rows[name] for name in names}
    return add_each(rows, texts, lambda text: _compact_date(text, layout.date_format))


def add_coding_day(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add `CODING_DAY`, the day that decides on the system of codes where none is stated."""
    ends = [rows[day_of(name)] for field in ("discharge_date", "claim_end_date") for name in layout.find(field)]
    return rows.mutate(**{CODING_DAY: coding_day(rows[day_of(layout.find("claim_start_date")[0])], ends, DATES)})


def find_admitting_columns(layout: FileLayout) -> list[tuple[str, str | None]]:
    """List the column of the admitting diagnosis, if there is one, with that of its version."""
    codes, versions = (layout.find(f"admitting_diagnosis.{part}") for part in ("code", "version"))
    return [(code, _at(versions, position)) for position, code in enumerate(codes)]


def find_diagnosis_columns(layout: FileLayout) -> list[tuple[str, str | None, str | None]]:
    """List the diagnosis columns of a layout in their order of rank."""
    found: list[tuple[str, str | None, str | None]] = []
    for kind in ("principal", "listed", "external", "line"):
        codes, versions, flags = (layout.find(f"diagnoses.{kind}.{part}") for part in ("code", "version", "poa"))
        found += [(code, _at(versions, position), _at(flags, position)) for position, code in enumerate(codes)]
    return found


def _at(columns: tuple[str, ...], position: int) -> str | None:
    return columns[position] if position < len(columns) else None


def split_codes(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add each diagnosis and procedure twice, of ICD-9 and of ICD-10, one of them null, as its version column says."""
    _, versions, _ = _list_diagnoses(rows, layout)
    systems = dict.fromkeys(versions, ("ICD9CM", "ICD10CM"))
    names, stated = layout.find("procedures.code"), layout.find("procedures.version")
    systems |= dict.fromkeys(names, ("ICD9PCS", "ICD10PCS"))
    versions |= {name: _version(rows, _at(stated, position)) for position, name in enumerate(names)}

    # CCW: 9 is ICD-9, 0 is ICD-10. A version that says so wins over the date.
    def says_icd10(version: ir.Value) -> ir.Value:
        by_date = (rows[CODING_DAY] >= ibis.date(ICD10_START_DATE)).fill_null(False)
        return ibis.cases((version.isin(_ICD10), True), (version.isin(_ICD9), False), else_=by_date)

    told = add_each(rows, {code_of(_IS_ICD10, name): version for name, version in versions.items()}, says_icd10)
    codes, _, flags = _list_diagnoses(told, layout)
    codes |= {name: told[name] for name in names}
    split: dict[str, ir.Value] = {}
    for name, code in codes.items():
        is_icd10, (icd9, icd10) = told[code_of(_IS_ICD10, name)], systems[name]
        split[code_of(icd9, name)] = ibis.ifelse(is_icd10, ibis.null("string"), code)
        split[code_of(icd10, name)] = ibis.ifelse(is_icd10, code, ibis.null("string"))
    return told.mutate(**split, **flags).drop([code_of(_IS_ICD10, name) for name in codes])


def _list_diagnoses(
    rows: ir.Table, layout: FileLayout
) -> tuple[dict[str, ir.StringValue], dict[str, ir.StringValue], dict[str, ir.Value]]:
    """The diagnoses of a row with what says their version, and present-on-admission flags of the principal one.

    The principal diagnosis is as a rule the first of those listed again; then the listed one is left out and its
    present-on-admission flag goes to the principal one. Without a principal diagnosis the first listed takes its
    place.
    """
    columns = find_diagnosis_columns(layout)
    codes: dict[str, ir.StringValue] = {code: rows[code] for code, _, _ in columns}
    versions = {code: _version(rows, version) for code, version, _ in columns}
    added: dict[str, ir.Value] = {}
    principal, listed = layout.find("diagnoses.principal.code"), layout.find("diagnoses.listed.code")
    if principal and listed:
        first, top = listed[0], principal[0]
        is_missing = rows[top].isnull()
        is_same = (is_missing | (rows[top] == rows[first])).fill_null(False)
        flags = layout.find("diagnoses.listed.poa")
        codes[top] = ibis.coalesce(rows[top], rows[first])
        versions[top] = ibis.ifelse(is_missing, versions[first], versions[top])
        codes[first] = ibis.ifelse(is_same, ibis.null("string"), rows[first])
        if flags:
            added[code_of("POA", top)] = ibis.ifelse(is_same, rows[flags[0]], ibis.null("string"))
        else:
            added[code_of("POA", top)] = ibis.null("string")
    for code, version in find_admitting_columns(layout):
        codes[code], versions[code] = rows[code], _version(rows, version)
    return codes, versions, added


def _version(rows: ir.Table, column: str | None) -> ir.StringValue:
    return ibis.null("string") if column is None else rows[column]


def warn_code_version(layout: FileLayout) -> RowCheck | None:
    """`W_CODE_TYPE`: a version of a code that says neither ICD-9 nor ICD-10, so that the date decides."""
    names, stated = layout.find("procedures.code"), layout.find("procedures.version")
    pairs = [(code, version) for code, version, _ in find_diagnosis_columns(layout) if version is not None]
    pairs += [(code, version) for code, version in find_admitting_columns(layout) if version is not None]
    pairs += [(name, version) for position, name in enumerate(names) if (version := _at(stated, position)) is not None]
    if not pairs:
        return None

    known = ("", *_ICD9, *_ICD10)

    def fails(rows: ir.Table) -> ir.BooleanValue:
        stated = [ibis.ifelse(rows[code].notnull(), rows[version], ibis.null("string")) for code, version in pairs]
        return any_of(stated, lambda version: ~version.fill_null("0").isin(known))

    return RowCheck("W_CODE_TYPE", "a version of a code that says neither ICD-9 nor ICD-10: the date decides", fails)
