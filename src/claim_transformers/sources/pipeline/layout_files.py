"""Layouts of raw tables as files: one YAML file says which columns there are, what each feeds, and which rows leave.

A reader that is driven by such files reads a new version of a format without new code: copy the folder, change the
files, and pass the folder. The files of CMS RIF are in `sources/formats/cms_rif/layouts`. A file holds:

| key | meaning |
|---|---|
| `source` | where its facts are from |
| `target` | `claim_line`, `rx_claim`, `eligibility`, or `none` for files that are known and not read |
| `claim_type` | canonical claim type of all rows, for claims |
| `files` | regular expression that is searched in the file name, in any case |
| `delimiter`, `date_format` | of the whole file; dates are `DD-MON-YYYY`, `YYYYMMDD` or `YYYY-MM-DD` |
| `required` | columns without which a file cannot be used |
| `version_day`, `version_instruction` | columns that tell versions of one claim apart |
| `rules` | values of a column that make a row leave or count, with a reason code and why |
| `values`, `enrollment` | what raw values mean |
| `columns` | `NAME: [type, field]` or `NAME: [type, unused, why]`; `<1..25>` and `<JAN..DEC>` stand for many columns |
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.quality import RowCheck
from claim_transformers.claims.schema import CLAIM_TYPES, SCHEMAS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.reading import Layout

if TYPE_CHECKING:
    import ibis.expr.types as ir

RIF_LAYOUTS = Path(__file__).parents[1] / "formats" / "cms_rif" / "layouts"
DATE_FORMATS = ("DD-MON-YYYY", "YYYYMMDD", "YYYY-MM-DD")
UNUSED = "unused"
ROWS = "rows"

_TYPES = ("id", "code", "text", "date", "amount", "number")
_TARGETS = (*SCHEMAS, "none")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEPT", "OCT", "NOV", "DEC")
_RANGE = re.compile(r"<(\w+)\.\.(\w+)>")
# What a field is put together from, where one column is not the field itself.
_PARTS = {
    "diagnoses": tuple(
        f"{kind}.{part}" for kind in ("principal", "listed", "external", "line") for part in ("code", "version", "poa")
    ),
    "procedures": ("code", "version", "date"),
    "bill_type_code": ("facility", "classification", "frequency"),
    "paid_amount": ("of_claim", "patient_share"),
    "charge_amount": ("of_claim",),
    "county_fips": ("month", "ssa_state", "ssa_county"),
    "medicare_status_code": ("month", "year"),
    "enrollment": ("year", "entitlement", "hmo"),
}
# Without these a row is no line or no span.
_NEEDED = {
    "claim_line": ("patient_id", "claim_id", "claim_line_number", "claim_start_date", "claim_end_date"),
    "rx_claim": ("patient_id", "claim_id", "dispensing_date", "ndc_code"),
    "eligibility": ("patient_id", "birth_date", "enrollment.year", "enrollment.entitlement"),
    "none": (),
}
_MIXED = frozenset(("paid_amount", "charge_amount"))
_TEXT_KEYS = ("source", "target", "claim_type", "files", "delimiter", "date_format")
_KEYS = {*_TEXT_KEYS, "required", "version_day", "version_instruction", "rules", "values", "enrollment", "columns"}


@dataclass(frozen=True)
class LayoutColumn:
    """One raw column, or a run of numbered ones.

    Args:
        name (`str`): As written in the file, with its range.
        names (`tuple[str, ...]`): The raw columns.
        kind (`str`): `id`, `code`, `text`, `date`, `amount` or `number`.
        feeds (`str`): Canonical field with its part, such as `diagnoses.listed.code`; `rows` for a column that only
            decides which rows stay; `unused`.
        because (`str`, *optional*): Why it is unused.

    Examples:
        >>> LayoutColumn("CLM_ID", ("CLM_ID",), "id", "claim_id").field
        'claim_id'
    """

    name: str
    names: tuple[str, ...]
    kind: str
    feeds: str
    because: str = ""

    @property
    def field(self) -> str:
        """Canonical field without its part."""
        return self.feeds.partition(".")[0]


@dataclass(frozen=True)
class RowRule:
    """Values of a column that make a row leave, or count.

    Args:
        column (`str`): Raw column.
        values (`tuple[str, ...]`): Values.
        is_listed (`bool`): Whether the values fail; else all others do. An empty field never fails.
        reason_code (`str`): `D_...`, `R_...` or `W_...`.
        because (`str`): What the values mean.

    Examples:
        >>> RowRule("FINAL_ACTION", ("N",), True, "D_SUPERSEDED", "a later version counts").reason_code
        'D_SUPERSEDED'
    """

    column: str
    values: tuple[str, ...]
    is_listed: bool
    reason_code: str
    because: str

    def to_check(self) -> RowCheck:
        """Give the check that finds the rows.

        Returns:
            `RowCheck`: Its reason code is that of the rule.

        Examples:
            >>> RowRule("CLM_FREQ_CD", ("8",), True, "D_SUPERSEDED", "a void").to_check().reason_code
            'D_SUPERSEDED'
        """

        def fails(rows: ir.Table) -> ir.BooleanValue:
            is_listed = rows[self.column].isin(self.values)
            return is_listed if self.is_listed else ~is_listed

        return RowCheck(self.reason_code, self.because, fails)


@dataclass(frozen=True)
class FileLayout:
    """One layout file.

    Args:
        name (`str`): Name of the file without its ending; it names the raw table.
        source (`str`): Where its facts are from.
        target (`str`): Canonical table of its rows, or `"none"`.
        claim_type (`str`): Canonical claim type, `"NONE"` for eligibility.
        files (`str`): Regular expression of file names.
        delimiter (`str`): Between columns.
        date_format (`str`): One of `DATE_FORMATS`.
        columns (`tuple[LayoutColumn, ...]`): All columns.
        required (`tuple[str, ...]`): Raw columns without which a file cannot be used.
        rules (`tuple[RowRule, ...]`, *optional*): Which rows leave or count.
        version_day (`str`, *optional*): Raw column of the day by which versions of a claim are told apart.
        version_instruction (`str`, *optional*): Raw column with `INSERT`, `UPDATE` or `DELETE`.
        values (`Mapping[str, Mapping[str, str]]`, *optional*): Meaning of raw values by column.
        enrollment (`Mapping[str, tuple[str, ...]]`, *optional*): `entitled` and `not_observed` values of a month.

    Examples:
        >>> read_layouts(RIF_LAYOUTS)["snf"].claim_type
        'SNF'
    """

    name: str
    source: str
    target: str
    claim_type: str
    files: str
    delimiter: str
    date_format: str
    columns: tuple[LayoutColumn, ...]
    required: tuple[str, ...]
    rules: tuple[RowRule, ...] = ()
    version_day: str | None = None
    version_instruction: str | None = None
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    enrollment: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All raw columns."""
        return tuple(name for column in self.columns for name in column.names)

    def find(self, feeds: str) -> tuple[str, ...]:
        """Name the raw columns that feed a field or one part of it.

        Args:
            feeds (`str`): Such as `"claim_id"` or `"diagnoses.listed.code"`.

        Returns:
            `tuple[str, ...]`: Raw columns in the order of the file, empty if there are none.

        Examples:
            >>> read_layouts(RIF_LAYOUTS)["snf"].find("rendering_npi")
            ('RNDRNG_PHYSN_NPI', 'AT_PHYSN_NPI')
        """
        return tuple(name for column in self.columns if column.feeds == feeds for name in column.names)

    def find_kind(self, kind: str) -> tuple[str, ...]:
        """Name the raw columns of a type.

        Args:
            kind (`str`): Such as `"date"`.

        Returns:
            `tuple[str, ...]`: Raw columns in the order of the file.

        Examples:
            >>> len(read_layouts(RIF_LAYOUTS)["part_d"].find_kind("date"))
            2
        """
        return tuple(name for column in self.columns if column.kind == kind for name in column.names)

    def to_layout(self) -> Layout:
        """Give the layout by which [`sources.reading`] reads a file.

        Returns:
            `Layout`: Its columns in any order.

        Examples:
            >>> read_layouts(RIF_LAYOUTS)["dme"].to_layout().delimiter
            '|'
        """
        ids = self.find_kind("id")
        return Layout(
            self.names,
            self.required,
            id_columns=ids,
            delimiter=self.delimiter,
            is_ordered=False,
            delimiter_advice=(
                f"copy the layout files, write delimiter: {{found}} into {self.name}.yaml and name their folder as "
                "layouts (--layouts)"
            ),
        )


def read_layouts(folder: str | Path) -> dict[str, FileLayout]:
    """Read all layout files of a folder.

    Args:
        folder (`str` or `Path`): Folder of `*.yaml`.

    Returns:
        `dict[str, FileLayout]`: Layouts by name, in alphabetical order.

    Raises:
        ClaimDataError: `E_LAYOUT_FILE` if the folder has no layout file or one of them is not understood.

    Examples:
        >>> sorted(layout.claim_type for layout in read_layouts(RIF_LAYOUTS).values())
        ['CAR', 'DME', 'HHA', 'HOSP', 'IP', 'NONE', 'NONE', 'OP', 'RX', 'SNF']
    """
    files = sorted(Path(folder).glob("*.yaml"))
    if not files:
        raise ClaimDataError("E_LAYOUT_FILE", f"expected layout files *.yaml in {folder}, found none")
    return {file.stem: read_layout(file) for file in files}


def read_layout(path: str | Path) -> FileLayout:
    """Read a layout file.

    Args:
        path (`str` or `Path`): The file.

    Returns:
        `FileLayout`: Its content.

    Raises:
        ClaimDataError: `E_LAYOUT_FILE` with what was expected and found.

    Examples:
        >>> read_layout(RIF_LAYOUTS / "part_d.yaml").find("ndc_code")
        ('PROD_SRVC_ID',)
    """
    import yaml

    path = Path(path)
    try:
        # The parser in C, where it is there, is ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(path, "YAML", type(error).__name__) from error
    if not isinstance(content, dict) or not isinstance(content.get("columns"), dict):
        raise _wrong(path, "a mapping with the key columns", "something else")
    if unknown := sorted(set(content) - _KEYS):
        raise _wrong(path, f"keys out of {sorted(_KEYS)}", f"{unknown}")
    columns = tuple(_read_column(path, name, entry) for name, entry in content["columns"].items())
    layout = FileLayout(
        name=path.stem,
        source=str(content.get("source", "")),
        target=str(content.get("target", "")),
        claim_type=str(content.get("claim_type", "NONE")),
        files=str(content.get("files", path.stem)),
        delimiter=str(content.get("delimiter", ",")),
        date_format=str(content.get("date_format", "")),
        columns=columns,
        required=tuple(name for entry in content.get("required", ()) for name in _expand(path, entry)),
        rules=tuple(_read_rule(path, rule) for rule in content.get("rules", ())),
        version_day=content.get("version_day"),
        version_instruction=content.get("version_instruction"),
        values={
            name: {str(key): str(value) for key, value in pairs.items()}
            for name, pairs in content.get("values", {}).items()
        },
        enrollment={key: tuple(map(str, values)) for key, values in content.get("enrollment", {}).items()},
    )
    _check(path, layout)
    return layout


def _wrong(path: Path, expected: str, found: str) -> ClaimDataError:
    return ClaimDataError("E_LAYOUT_FILE", f"{path.name}: expected {expected}, found {found}")


def _expand(path: Path, name: str) -> tuple[str, ...]:
    """Raw columns that a name with a range stands for."""
    match = _RANGE.search(name)
    if match is None:
        return (name,)
    first, last = match.groups()
    if first.isdigit() and last.isdigit() and int(first) <= int(last):
        parts: Sequence[str] = [str(number) for number in range(int(first), int(last) + 1)]
    elif first in _MONTHS and last in _MONTHS:
        parts = _MONTHS[_MONTHS.index(first) : _MONTHS.index(last) + 1]
    else:
        raise _wrong(path, f"a range such as <1..25> or <JAN..DEC> in {name}", match.group())
    return tuple(name.replace(match.group(), part) for part in parts)


def _read_column(path: Path, name: str, entry: Any) -> LayoutColumn:
    if not isinstance(entry, list) or not 2 <= len(entry) <= 3 or not all(isinstance(part, str) for part in entry):
        raise _wrong(path, f"[type, field] or [type, unused, why] for {name}", f"{entry!r}")
    kind, feeds = entry[:2]
    if kind not in _TYPES:
        raise _wrong(path, f"a type out of {', '.join(_TYPES)} for {name}", repr(kind))
    if (feeds == UNUSED) != (len(entry) == 3):
        raise _wrong(path, f"a reason for {name} if and only if it is unused", f"{entry!r}")
    return LayoutColumn(name, _expand(path, name), kind, feeds, entry[2] if len(entry) == 3 else "")


def _read_rule(path: Path, rule: Mapping[str, Any]) -> RowRule:
    keys = {"column", "verdict", "because"}
    is_listed = "in" in rule
    if set(rule) != keys | {"in" if is_listed else "not_in"}:
        raise _wrong(path, "a rule with column, in or not_in, verdict, because", f"{sorted(rule)}")
    if not str(rule["verdict"]).startswith(("R_", "D_", "W_")):
        raise _wrong(path, "a verdict R_..., D_... or W_...", repr(rule["verdict"]))
    values = tuple(str(value) for value in rule["in" if is_listed else "not_in"])
    return RowRule(str(rule["column"]), values, is_listed, str(rule["verdict"]), str(rule["because"]))


def _check(path: Path, layout: FileLayout) -> None:
    if layout.target not in _TARGETS:
        raise _wrong(path, f"a target out of {', '.join(_TARGETS)}", repr(layout.target))
    if layout.claim_type not in (*CLAIM_TYPES, "NONE"):
        raise _wrong(path, f"a claim_type out of {', '.join(CLAIM_TYPES)}", repr(layout.claim_type))
    if layout.date_format not in DATE_FORMATS:
        raise _wrong(path, f"a date_format out of {', '.join(DATE_FORMATS)}", repr(layout.date_format))
    names = layout.names
    if len(set(names)) < len(names):
        raise _wrong(path, "every column once", "a column twice")
    named = {*layout.required, *(rule.column for rule in layout.rules), *layout.values}
    named |= {name for name in (layout.version_day, layout.version_instruction) if name is not None}
    if missing := sorted(named - set(names)):
        raise _wrong(path, "only columns that are listed under columns", f"{missing}")
    for column in layout.columns:
        if column.feeds not in (UNUSED, ROWS) and column.feeds not in _fields(layout.target):
            raise _wrong(path, f"{column.name} to feed a field of {layout.target}", repr(column.feeds))
    if lacking := [feeds for feeds in _NEEDED[layout.target] if not layout.find(feeds)]:
        raise _wrong(path, f"columns that feed {', '.join(lacking)}", "none")
    if layout.target == "eligibility" and "entitled" not in layout.enrollment:
        raise _wrong(path, "enrollment with the values of a month that mean entitled", f"{sorted(layout.enrollment)}")


def _fields(target: str) -> frozenset[str]:
    """Fields, with their parts, that a column of a target can feed."""
    if target == "none":
        return frozenset()
    columns = [*SCHEMAS[target].names, *(["enrollment"] if target == "eligibility" else [])]
    whole = {name for name in columns if name not in _PARTS or name in _MIXED}
    parts = {f"{name}.{part}" for name in columns for part in _PARTS.get(name, ())}
    return frozenset(whole | parts)
