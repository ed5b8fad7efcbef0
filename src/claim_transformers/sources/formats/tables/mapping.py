"""A mapping: which raw tables a site has, and which of their columns are which canonical ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claim_transformers.claims.schema import CLAIM_TYPES, SCHEMAS
from claim_transformers.sources.formats.tables.dates import is_format
from claim_transformers.sources.formats.tables.keys import Section, check_names, read_section, wrong

HEADER = "header."
BY_BILL_TYPE, BY_DATE, SYSTEMS = "by_bill_type", "by_date", ("icd9", "icd10")
_CODES = ("diagnoses", "admitting_diagnosis", "procedures")
MODIFIERS = "hcpcs_modifiers"
_NEEDED = {
    "claim_line": ("patient_id", "claim_id", "claim_type", "claim_start_date"),
    "rx_claim": ("patient_id", "claim_id", "dispensing_date", "ndc_code"),
    "eligibility": ("patient_id",),
}
_ALLOWED = {"claim_type": (*CLAIM_TYPES, BY_BILL_TYPE), "gender": ("female", "male", "unknown")}
_RANGE = re.compile(r"(.*?)(\d+)(\D*)\.\.(.*?)(\d+)(\D*)")
_MAX_RANGE = 1000
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAB_ENDINGS = (".tsv", ".tab")
_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


@dataclass(frozen=True)
class Where:
    """Rows in which a column has one of some values."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class FieldMap:
    """Where the value of one canonical column is, as the keys of a `field` say."""

    columns: tuple[str, ...] = ()
    constant: str | None = None
    between: str = "-"
    values: Mapping[str, str] = field(default_factory=dict)
    dates: str = ""
    day: str = ""
    prefix: str = ""
    is_number: bool = False
    where: Where | None = None


@dataclass(frozen=True)
class CodesMap:
    """Where some codes are and of which system, as keys of `codes` say; `qualifiers` are the columns of `system`."""

    columns: tuple[str, ...]
    system: str = BY_DATE
    qualifiers: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    where: Where | None = None


@dataclass(frozen=True)
class Place:
    """Where the rows of a raw table are."""

    files: tuple[str, ...]
    table: str
    delimiter: str | None
    encoding: str
    quote: str

    def delimiter_of(self, path: Path) -> str:
        """What separates the columns of a file."""
        stem = path.name.lower().removesuffix(".gz")
        return self.delimiter or ("\t" if stem.endswith(_TAB_ENDINGS) else ",")


@dataclass(frozen=True)
class _HeaderMap:
    """The table of whole claims, and the columns that lines share with it, by their name in the table of lines."""

    place: Place
    on: Mapping[str, str]


@dataclass(frozen=True)
class RuleMap:
    """Values of a column that make rows leave or count."""

    column: str
    values: tuple[str, ...]
    is_listed: bool
    verdict: str
    because: str


@dataclass(frozen=True)
class _VersionMap:
    """The column by which versions are ordered."""

    latest: str
    of_claims: bool
    dates: str


@dataclass(frozen=True)
class _EnrollmentMap:
    """Months of enrolment, as columns of a year or as rows."""

    month: str = ""
    format: str = ""
    year: str = ""
    months: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableMap:
    """One raw table. `nets` says whether a negative amount takes a charge back."""

    name: str
    rows: str
    place: Place
    dates: str
    fields: Mapping[str, FieldMap]
    codes: Mapping[str, tuple[CodesMap, ...]]
    header: _HeaderMap | None = None
    rules: tuple[RuleMap, ...] = ()
    versions: _VersionMap | None = None
    reversals: Where | None = None
    nets: bool = True
    enrollment: _EnrollmentMap | None = None
    has_spans: bool = True
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class _TablesMap:
    """A whole mapping."""

    name: str
    database: str
    tables: tuple[TableMap, ...]


def read_mapping(path: Path) -> _TablesMap:
    """Read a mapping; `ClaimDataError` with `E_MAPPING` or `E_DECIDE` if it is none."""
    section = read_section(path)
    tables = section.content.get("tables")
    if not isinstance(tables, dict) or not tables:
        raise section.wrong("tables", "one section for each raw table", "none")
    if twice := [name for name in tables if f"{name}_header" in tables]:
        raise section.wrong("tables", f"another name than {twice[0]}_header, which the header of {twice[0]} has", "it")
    database = section.text("database", "")
    read = tuple(
        _read_table(Section(path.name, f"tables.{name}", "table", table), name) for name, table in tables.items()
    )
    for table in read:
        for place in (table.place, *((table.header.place,) if table.header else ())):
            if place.table and not database:
                raise section.wrong("database", "its URL, because a table is named", "none")
    if all(table.rows == "eligibility" for table in read):
        raise section.wrong("tables", "at least one table of claim_line or rx_claim", "eligibility alone")
    return _TablesMap(section.text("name"), database, read)


def _read_table(section: Section, name: str) -> TableMap:
    if not _TABLE.fullmatch(name):
        raise wrong(section.file, "names of letters, digits and _ under tables", "another sign")
    rows = section.word("rows", tuple(SCHEMAS))
    dates = section.text("dates", "YYYY-MM-DD")
    _check_format(section, "dates", dates)
    content = section.content.get("fields")
    if not isinstance(content, dict):
        raise section.wrong("fields", "a section of canonical columns", "none")
    check_names(section.file, section.place("fields"), content, SCHEMAS[rows].names)
    place = f"{section.where}.fields"
    fields = {
        field: _read_field(section.file, f"{place}.{field}", field, value, dates)
        for field, value in content.items()
        if field not in _CODES
    }
    codes = {
        field: tuple(_read_codes(section.file, f"{place}.{field}", field, one) for one in _listed(value))
        for field, value in content.items()
        if field in _CODES
    }
    if lacking := [field for field in _NEEDED[rows] if field not in fields]:
        raise section.wrong("fields", f"the fields {', '.join(_NEEDED[rows])}", f"none for {', '.join(lacking)}")
    enrollment = section.content.get("enrollment", "")
    reversals = section.content.get("reversals", "negative")
    table = TableMap(
        name=name,
        rows=rows,
        place=_read_place(section),
        dates=dates,
        fields=fields,
        codes=codes,
        header=_read_header(section.section("header", "header")) if "header" in section.content else None,
        rules=tuple(_read_rule(section, one, n) for n, one in enumerate(_listed(section.content.get("rules", [])), 1)),
        versions=_read_versions(section.section("versions", "versions")) if "versions" in section.content else None,
        reversals=_read_reversals(section) if isinstance(reversals, dict) else None,
        nets=isinstance(reversals, dict) or section.word("reversals", ("negative", "none"), "negative") == "negative",
        enrollment=_read_enrollment(section.section("enrollment", "enrollment"))
        if isinstance(enrollment, dict)
        else None,
        has_spans=enrollment != "none",
        optional=_expand(section.file, section.place("optional"), section.texts("optional", ())),
    )
    _check_table(section, table)
    return table


def _check_table(section: Section, table: TableMap) -> None:
    """Check what keys of a table say together."""
    if table.rows != "eligibility":
        if "enrollment" in section.content:
            raise section.wrong("enrollment", "nothing, because only eligibility tells of enrolment", "something")
        return
    if others := [key for key in ("header", "versions", "reversals") if key in section.content]:
        raise section.wrong(others[0], "nothing, because the rows are no claims", "something")
    has_span = "enrollment_start_date" in table.fields
    if table.has_spans != (has_span or table.enrollment is not None) or (has_span and table.enrollment):
        raise section.wrong(
            "enrollment",
            "one of: the fields enrollment_start_date and enrollment_end_date, months, or the word none",
            "several" if has_span else "none",
        )


def _read_place(section: Section) -> Place:
    files, table = section.texts("files", ()), section.text("table", "")
    if bool(files) == bool(table):
        raise section.wrong(
            "files", "either files or the name of a table in a database", "both" if table else "neither"
        )
    quote = section.text("quote", '"')
    if quote not in ('"', ""):
        raise section.wrong("quote", "a double quote or nothing", "another sign")
    delimiter = section.text("delimiter", "") or None
    if delimiter is not None and len(delimiter) != 1:
        raise section.wrong("delimiter", "one sign", "several")
    return Place(files, table, delimiter, section.word("encoding", ("utf-8", "latin-1"), "utf-8"), quote)


def _read_header(section: Section) -> _HeaderMap:
    on = section.content.get("on")
    pairs = section.pairs("on") if isinstance(on, dict) else {name: name for name in section.texts("on")}
    if not pairs or any(name.startswith(HEADER) for pair in pairs.items() for name in pair):
        raise section.wrong("on", f"columns that both tables have, without {HEADER!r}", "none")
    return _HeaderMap(_read_place(section), pairs)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _columns(section: Section, key: str) -> tuple[str, ...]:
    return _expand(section.file, section.place(key), section.texts(key, ()))


def _expand(file: str, place: str, names: Sequence[str]) -> tuple[str, ...]:
    """Columns, with those that a range such as `dx1..dx25` stands for."""
    found: list[str] = []
    for name in names:
        match = _RANGE.fullmatch(name)
        if match is None:
            found.append(name)
            continue
        before, first, behind, *others = match.groups()
        last = int(others[1])
        is_alike = (before.removeprefix(HEADER), behind) == (others[0].removeprefix(HEADER), others[2])
        if not is_alike or not 0 <= last - int(first) < _MAX_RANGE:
            raise wrong(
                file, f"a range of columns that differ in one number, such as dx1..dx25, at {place}", "another"
            )
        found += [f"{before}{number:0{len(first)}d}{behind}" for number in range(int(first), last + 1)]
    if "" in found:
        raise wrong(file, f"names of columns at {place}", "an empty one")
    return tuple(found)


def _read_field(file: str, place: str, name: str, content: Any, dates: str) -> FieldMap:
    if isinstance(content, str):
        content = {"column": content}
    elif isinstance(content, list):
        content = {"columns": content}
    section = Section(file, place, "field", content)
    given = [key for key in ("column", "columns", "constant") if key in section.content]
    if len(given) != 1:
        raise wrong(file, f"one of column, columns and constant at {place}", "several" if given else "none")
    is_date = name.endswith("_date")
    found = FieldMap(
        columns=_columns(section, given[0]) if given[0] != "constant" else (),
        constant=section.text("constant") if given[0] == "constant" else None,
        between=section.text("between", "-"),
        values=section.pairs("values"),
        dates=section.text("dates", dates) if is_date else "",
        day=section.text("day", ""),
        prefix=section.text("prefix", ""),
        is_number=section.word("is_number", ("true", "false"), "false") == "true",
        where=_read_where(section),
    )
    if given[0] == "column" and len(found.columns) != 1 and name != MODIFIERS:
        raise section.wrong("column", "one column", "several: write them as columns")
    if is_date:
        _check_format(section, "dates", found.dates)
    elif wrong_keys := [key for key in ("dates", "day") if key in section.content]:
        raise section.wrong(wrong_keys[0], "nothing, because the field is no date", "something")
    if found.day and not _DAY.fullmatch(found.day):
        raise section.wrong("day", "a day as MM-DD", "another text")
    meanings = [*found.values.values(), *([found.constant] if found.constant is not None else [])]
    if (allowed := _ALLOWED.get(name)) and not set(meanings) <= {*allowed}:
        raise section.wrong("values", f"meanings out of {', '.join(allowed)}", "another")
    return found


def _check_format(section: Section, key: str, text: str) -> None:
    if not is_format(text):
        raise section.wrong(
            key, "a format of YYYY, MM, M or MON, and DD or D, such as MM/DD/YYYY or YYYY-MM-DD", "another format"
        )


def _read_where(section: Section) -> Where | None:
    if "where" not in section.content:
        return None
    inner = section.section("where", "where")
    return Where(inner.text("column"), inner.texts("in"))


def _read_reversals(section: Section) -> Where:
    inner = section.section("reversals", "reversals")
    return Where(inner.text("column"), inner.texts("in"))


def _read_codes(file: str, place: str, name: str, content: Any) -> CodesMap:
    if isinstance(content, str):
        raise wrong(file, f"a section with columns and system at {place}", "a text")
    section = Section(file, place, "codes", content)
    columns, system = _columns(section, "columns"), section.content.get("system")
    qualifiers: tuple[str, ...] = ()
    values: dict[str, str] = {}
    if isinstance(system, dict):
        inner = section.section("system", "system")
        qualifiers, values = _columns(inner, "column"), inner.pairs("values")
        if not {*values.values()} <= {*SYSTEMS}:
            raise inner.wrong("values", "meanings out of icd9, icd10", "another")
    else:
        section.word("system", (*SYSTEMS, BY_DATE))
    found = CodesMap(
        columns,
        BY_DATE if qualifiers else str(system),
        qualifiers,
        values,
        _columns(section, "present_on_admission"),
        _columns(section, "dates"),
        _read_where(section),
    )
    numbers = {"system.column": qualifiers if len(qualifiers) > 1 else (), "present_on_admission": found.flags}
    for key, others in (numbers | {"dates": found.dates}).items():
        if others and len(others) != len(columns):
            raise section.wrong(key, f"as many columns as codes, {len(columns)}", f"{len(others)}")
    if not columns or (name == "admitting_diagnosis" and len(columns) != 1):
        raise section.wrong("columns", "columns of codes, one for an admitting diagnosis", f"{len(columns)}")
    if (found.dates and name != "procedures") or (found.flags and name != "diagnoses"):
        raise section.wrong("columns", "dates of procedures and flags of diagnoses only", "others")
    return found


def _read_rule(section: Section, content: Any, number: int) -> RuleMap:
    inner = Section(section.file, f"{section.where}.rules[{number}]", "rule", content)
    is_listed = "in" in inner.content
    if is_listed == ("not_in" in inner.content):
        raise inner.wrong("in", "either in or not_in", "both or neither")
    verdict = inner.text("verdict")
    if not verdict.startswith(("D_", "R_", "W_")):
        raise inner.wrong("verdict", "D_..., R_... or W_...", "another")
    values = inner.texts("in" if is_listed else "not_in")
    return RuleMap(inner.text("column"), values, is_listed, verdict, inner.text("because"))


def _read_versions(section: Section) -> _VersionMap:
    dates = section.text("dates", "")
    if dates:
        _check_format(section, "dates", dates)
    return _VersionMap(section.text("latest"), section.word("of", ("claim", "line")) == "claim", dates)


def _read_enrollment(section: Section) -> _EnrollmentMap:
    by_row, by_year = {"month", "format"}, {"year", "months", "in"}
    if set(section.content) not in (by_row, by_year):
        raise wrong(section.file, f"month and format, or year, months and in, at {section.where}", "other keys")
    if set(section.content) == by_row:
        if not is_format(section.text("format"), of_month=True):
            raise section.wrong("format", "a format such as YYYYMM", "another text")
        return _EnrollmentMap(month=section.text("month"), format=section.text("format"))
    months = _columns(section, "months")
    if len(months) != 12:
        raise section.wrong("months", "twelve columns, January first", f"{len(months)}")
    return _EnrollmentMap(year=section.text("year"), months=months, values=section.texts("in"))
