"""Fields of RIF rows: dates with month names, codes split by their version column, columns derived from a layout."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.engine import engine_errors
from claim_transformers.claims.fields import DateFormat, clean_id
from claim_transformers.sources.pipeline.layout_files import ROWS, UNUSED, FileLayout

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

DATES: DateFormat = "YYYYMMDD"
# 45 CFR 162.1002(c): ICD-10 from this day of discharge or service on.
ICD10_START = "20151001"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_NUMBERS = {month: f"{number:02d}" for number, month in enumerate(_MONTHS, start=1)}
# What is no date in the declared format stays unreadable, whatever it looks like, and the checks find it.
_NO_DATE = "unreadable"
_numbers = itertools.count()


def day_of(column: str) -> str:
    """Name the derived column that holds a date as `YYYYMMDD`.

    Args:
        column (`str`): Raw column.

    Returns:
        `str`: Name of the derived column.

    Examples:
        >>> day_of("CLM_FROM_DT")
        'DAY_OF_CLM_FROM_DT'
    """
    return f"DAY_OF_{column}"


def code_of(system: str, column: str) -> str:
    """Name the derived column that holds a code if it is of a system.

    Args:
        system (`str`): Code system.
        column (`str`): Raw column.

    Returns:
        `str`: Name of the derived column.

    Examples:
        >>> code_of("ICD9CM", "PRNCPAL_DGNS_CD")
        'ICD9CM_OF_PRNCPAL_DGNS_CD'
    """
    return f"{system}_OF_{column}"


def compact_date(text: ir.StringValue, date_format: str) -> ir.StringValue:
    """Write a date as `YYYYMMDD`, as text, so that the checks of all sources apply to it.

    Args:
        text (`ir.StringValue`): The raw field.
        date_format (`str`): `"DD-MON-YYYY"`, `"YYYYMMDD"` or `"YYYY-MM-DD"`.

    Returns:
        `ir.StringValue`: The date; null where it is missing and `"unreadable"` where it has another format.

    Examples:
        >>> from claim_transformers.claims.engine import connect
        >>> rows = ibis.memtable({"text": ["27-OCT-1999", "05-Mar-2018", "1999-10-27", None]})
        >>> connect(threads=1).to_pyarrow(rows.select(x=compact_date(rows.text, "DD-MON-YYYY")))["x"].to_pylist()
        ['19991027', '20180305', 'unreadable', None]
    """
    if date_format == "DD-MON-YYYY":
        is_whole = text.re_search(r"^\d{2}-[A-Za-z]{3}-\d{4}$")
        month = text.substr(3, 3).upper().cases(*_MONTH_NUMBERS.items(), else_=ibis.null("string"))
        compact = text.substr(7, 4) + month + text.substr(0, 2)
    elif date_format == "YYYY-MM-DD":
        is_whole = text.re_search(r"^\d{4}-\d{2}-\d{2}$")
        compact = text.replace("-", "")
    else:
        is_whole, compact = text.length() == len("YYYYMMDD"), text
    return ibis.ifelse(text.notnull(), ibis.ifelse(is_whole, compact, _NO_DATE).fill_null(_NO_DATE), compact)


def use_columns(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Keep the columns that feed something or decide about rows, without padding; nothing but blanks is empty.

    Args:
        rows (`ir.Table`): Staged rows.
        layout (`FileLayout`): Their layout.

    Returns:
        `ir.Table`: The columns, `source_file` and `row_no` as they are.

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> layout = SOURCE.read_layouts()["part_d"]
        >>> rows = ibis.table(dict.fromkeys((*layout.names, "source_file", "row_no"), "string"))
        >>> len(rows.columns), len(use_columns(rows, layout).columns)
        (43, 15)
    """
    ruled = {rule.column for rule in layout.rules} | {layout.version_day, layout.version_instruction}
    used = [
        name
        for column in layout.columns
        for name in column.names
        if column.feeds not in (ROWS, UNUSED) or name in ruled
    ]
    return rows.select("source_file", "row_no", **{name: rows[name].strip().nullif("") for name in used})


def store_rows(connection: Backend, name: str, rows: ir.Table, scratch: Path) -> ir.Table:
    """Write rows to a parquet file once, so that later steps read the columns they need and compute none again.

    Args:
        connection (`Backend`): Where the rows live.
        name (`str`): What they are.
        rows (`ir.Table`): The rows.
        scratch (`Path`): Folder of the file; it must live as long as the rows are used.

    Returns:
        `ir.Table`: A view of the file.

    Raises:
        ClaimDataError: `E_WRITE` if the disk is full.

    Examples:
        >>> import tempfile
        >>> from claim_transformers.claims.engine import connect, count_rows
        >>> connection = connect(threads=1)
        >>> with tempfile.TemporaryDirectory() as scratch:
        ...     stored = store_rows(connection, "days", ibis.range(3).unnest().name("day").as_table(), Path(scratch))
        ...     count_rows(connection, stored)
        3
    """
    name = f"derived_{name}_{next(_numbers)}"
    path = str(scratch / f"{name}.parquet").replace("'", "''")
    with engine_errors(f"deriving columns of {name}"):
        connection.raw_sql(f"COPY ({connection.compile(rows)}) TO '{path}' (FORMAT parquet)")
        connection.raw_sql(f"CREATE VIEW \"{name}\" AS SELECT * FROM read_parquet('{path}')")
    return connection.table(name)


def add_days(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add every date that feeds something, as `YYYYMMDD`.

    Args:
        rows (`ir.Table`): Staged rows.
        layout (`FileLayout`): Their layout.

    Returns:
        `ir.Table`: The rows with a column [`day_of`] each.

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> layout = SOURCE.read_layouts()["part_d"]
        >>> add_days(ibis.table(dict.fromkeys(layout.names, "string")), layout).columns[-2:]
        ('DAY_OF_SRVC_DT', 'DAY_OF_PD_DT')
    """
    used = [column for column in layout.columns if column.kind == "date" and column.feeds != UNUSED]
    names = [name for column in used for name in column.names]
    return rows.mutate(**{day_of(name): compact_date(rows[name], layout.date_format) for name in names})


def last_day(rows: ir.Table, layout: FileLayout) -> ir.StringValue:
    """Give the day that decides between ICD-9 and ICD-10 where no version is stated: discharge, else end of the claim.

    Args:
        rows (`ir.Table`): Rows with [`add_days`].
        layout (`FileLayout`): Their layout.

    Returns:
        `ir.StringValue`: `YYYYMMDD`.

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> layout = SOURCE.read_layouts()["carrier"]
        >>> last_day(add_days(ibis.table(dict.fromkeys(layout.names, "string")), layout), layout).type().is_string()
        True
    """
    fields = ("discharge_date", "claim_end_date", "claim_start_date")
    return ibis.coalesce(*(rows[day_of(name)] for field in fields for name in layout.find(field)))


def find_diagnosis_columns(layout: FileLayout) -> list[tuple[str, str | None, str | None]]:
    """List the diagnosis columns of a layout in their order of rank.

    Args:
        layout (`FileLayout`): The layout.

    Returns:
        `list[tuple[str, str | None, str | None]]`: Code, version and present-on-admission columns: the principal one,
        those listed, external causes, that of the line.

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> find_diagnosis_columns(SOURCE.read_layouts()["inpatient"])[1]
        ('ICD_DGNS_CD1', 'ICD_DGNS_VRSN_CD1', 'CLM_POA_IND_SW1')
    """
    found: list[tuple[str, str | None, str | None]] = []
    for kind in ("principal", "listed", "external", "line"):
        codes, versions, flags = (layout.find(f"diagnoses.{kind}.{part}") for part in ("code", "version", "poa"))
        found += [(code, _at(versions, position), _at(flags, position)) for position, code in enumerate(codes)]
    return found


def _at(columns: tuple[str, ...], position: int) -> str | None:
    return columns[position] if position < len(columns) else None


def split_diagnoses(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add each diagnosis twice, as `ICD9CM` and as `ICD10CM`, one of them null, as its version column says.

    The principal diagnosis is as a rule the first of those listed again; then the listed one is left out and its
    present-on-admission flag goes to the principal one. Without a principal diagnosis the first listed takes its
    place.

    Args:
        rows (`ir.Table`): Rows with [`add_days`].
        layout (`FileLayout`): Their layout.

    Returns:
        `ir.Table`: The rows with columns [`code_of`], and `POA_OF_` the principal diagnosis.

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> layout = SOURCE.read_layouts()["carrier"]
        >>> split = split_diagnoses(add_days(ibis.table(dict.fromkeys(layout.names, "string")), layout), layout)
        >>> [name for name in split.columns if name.endswith("_OF_PRNCPAL_DGNS_CD")]
        ['ICD9CM_OF_PRNCPAL_DGNS_CD', 'ICD10CM_OF_PRNCPAL_DGNS_CD', 'POA_OF_PRNCPAL_DGNS_CD']
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
    return rows.mutate(**_split(rows, layout, codes, versions, ("ICD9CM", "ICD10CM")), **added)


def split_procedures(rows: ir.Table, layout: FileLayout) -> ir.Table:
    """Add each procedure twice, as `ICD9PCS` and as `ICD10PCS`, one of them null, as its version column says.

    Args:
        rows (`ir.Table`): Rows with [`add_days`].
        layout (`FileLayout`): Their layout.

    Returns:
        `ir.Table`: The rows with columns [`code_of`].

    Examples:
        >>> from claim_transformers.sources.formats.cms_rif import SOURCE
        >>> layout = SOURCE.read_layouts()["snf"]
        >>> split = split_procedures(add_days(ibis.table(dict.fromkeys(layout.names, "string")), layout), layout)
        >>> split.columns[-1]
        'ICD10PCS_OF_ICD_PRCDR_CD25'
    """
    names, stated = layout.find("procedures.code"), layout.find("procedures.version")
    codes: dict[str, ir.StringValue] = {name: rows[name] for name in names}
    versions = {name: _version(rows, _at(stated, position)) for position, name in enumerate(names)}
    return rows.mutate(**_split(rows, layout, codes, versions, ("ICD9PCS", "ICD10PCS")))


def _version(rows: ir.Table, column: str | None) -> ir.StringValue:
    return ibis.null("string") if column is None else rows[column]


def _split(
    rows: ir.Table,
    layout: FileLayout,
    codes: Mapping[str, ir.StringValue],
    versions: Mapping[str, ir.StringValue],
    systems: tuple[str, str],
) -> dict[str, ir.Value]:
    # CCW: 9 is ICD-9, 0 is ICD-10. An explicit version wins over the date.
    by_date = (last_day(rows, layout) >= ICD10_START).fill_null(False)
    split: dict[str, ir.Value] = {}
    for name, code in codes.items():
        is_icd10 = ibis.cases((versions[name] == "0", True), (versions[name] == "9", False), else_=by_date)
        split[code_of(systems[0], name)] = ibis.ifelse(is_icd10, ibis.null("string"), code)
        split[code_of(systems[1], name)] = ibis.ifelse(is_icd10, code, ibis.null("string"))
    return split


def clean_npi(text: ir.StringValue) -> ir.StringValue:
    """Trim a provider number; zeros stand for none.

    Args:
        text (`ir.StringValue`): The raw field.

    Returns:
        `ir.StringValue`: The number.

    Examples:
        >>> from claim_transformers.claims.engine import connect
        >>> rows = ibis.memtable({"text": ["0000000000", "1234567893"]})
        >>> connect(threads=1).to_pyarrow(rows.select(x=clean_npi(rows.text)))["x"].to_pylist()
        [None, '1234567893']
    """
    return ibis.ifelse(text.re_search("^0+$"), ibis.null("string"), clean_id(text))
