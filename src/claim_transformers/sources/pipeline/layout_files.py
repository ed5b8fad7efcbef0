r"""Layouts of raw tables as files: one YAML file says which columns there are, and what each is.

The layout files of a format are in its folder, `sources/formats/<name>/layouts`. A file holds:

| key | meaning |
|---|---|
| `source` | where its facts are from |
| `target` | `claim_line`, `rx_claim`, `eligibility`, `patients`, or `none` for files that are known and not read |
| `claim_type` | canonical claim type of all rows, for claims |
| `files` | regular expression that is searched in the file name, in any case |
| `delimiter`, `date_format` | of the whole file; dates are `DD-MON-YYYY`, `YYYYMMDD` or `YYYY-MM-DD` |
| `positions` | of fixed width: `NAME: [first character, length]` |
| `record_length` | of fixed width: list of the lengths of a line, those of older versions last |
| `quote` | what stands around fields, `"` if not given; empty if the format has none, so that a quote is a letter |
| `is_ordered` | `true` if another order of the columns is worth a note |
| `required` | columns without which a file cannot be used |
| `aliases` | other names of columns, such as those of an older version: `OTHER: NAME` |
| `from_file_name` | columns that may stand in the name of the file instead: `NAME: regular expression` |
| `version_day`, `version_instruction` | columns that tell versions of one claim apart |
| `rules` | values of a column that make a row leave or count, with a reason code and why |
| `values`, `enrollment` | what raw values mean |
| `columns` | `NAME: type` or, for all of them, `NAME: [type, field]`; `NAME: [type, unused, why]` for one not read |

A file of a layout with `positions` is of fixed width unless its first line names columns. Characters are counted from
1 on; the columns of a range stand one behind the other. A line of an older version ends early.

`<1..25>` and `<JAN..DEC>` in a name stand for many columns. The type says what a number would lose: zeros of `id`,
`code`, `icd` (a code that may have a dot), `ndc` and `modifier` (also any column that feeds `hcpcs_modifiers`) count,
so they may not come as numbers; a `flag` is a code of one sign or without zeros in front, which a whole number holds;
`text`, `date`, `time`, `amount` and `number` are what they say. Only a `time` may be a timestamp, without a time zone.

Where the columns say what they feed, the reader is driven by the files and reads a new version of the format without
new code: copy the folder, change and pass it. Where they only have a type, the code of the format says what becomes of
them, and `lineage` reads it there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers.claims.fields import clean_word
from claim_transformers.claims.inputs import check_inputs, cut_message, read_yaml
from claim_transformers.claims.patient_files import OPTIONAL_FIELDS, PATIENTS_SCHEMA
from claim_transformers.claims.plain_fields import tidy_word
from claim_transformers.claims.planning import holds_no_rows
from claim_transformers.claims.quality import RowCheck
from claim_transformers.claims.schema import CLAIM_TYPES, SCHEMAS
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.reading import Layout, describe_place

if TYPE_CHECKING:
    import ibis.expr.types as ir

_DATE_FORMATS = ("DD-MON-YYYY", "YYYYMMDD", "YYYY-MM-DD")
UNUSED = "unused"
ROWS = "rows"

_TYPES = ("id", "code", "icd", "ndc", "modifier", "flag", "text", "date", "time", "amount", "number")
_TARGETS = (*SCHEMAS, "patients", "none")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEPT", "OCT", "NOV", "DEC")
_MAX_RANGE = 1000
_RANGE = re.compile(r"<(\w+)\.\.(\w+)>")
# What a field is put together from, where one column is not the field itself.
_PARTS = {
    "diagnoses": tuple(
        f"{kind}.{part}" for kind in ("principal", "listed", "external", "line") for part in ("code", "version", "poa")
    ),
    "admitting_diagnosis": ("code", "version"),
    "procedures": ("code", "version", "date"),
    "bill_type_code": ("facility", "classification", "frequency"),
    "paid_amount": ("of_claim", "patient_share"),
    "charge_amount": ("of_claim",),
    "county_fips": ("month", "ssa_state", "ssa_county"),
    "medicare_status_code": ("month", "year"),
    "enrollment": ("year", "entitlement", "hmo"),
}
# Without these a row is no line, no span or no event.
_NEEDED = {
    "claim_line": ("patient_id", "claim_id", "claim_line_number", "claim_start_date", "claim_end_date"),
    "rx_claim": ("patient_id", "claim_id", "dispensing_date", "ndc_code"),
    "eligibility": ("patient_id", "birth_date", "enrollment.year", "enrollment.entitlement"),
    "patients": ("patient_id", "visit_day", "codes"),
    "none": (),
}
_MIXED = frozenset(("paid_amount", "charge_amount", "bill_type_code"))
# Keys of a file by what their value has to be.
_KEYS: Mapping[str, type] = {
    **dict.fromkeys(("source", "target", "claim_type", "files", "delimiter", "quote", "date_format"), str),
    **dict.fromkeys(("version_day", "version_instruction"), str),
    **dict.fromkeys(("required", "rules"), list),
    **dict.fromkeys(("aliases", "from_file_name", "values", "enrollment", "columns"), dict),
    "is_ordered": bool,
    "positions": dict,
    "record_length": list,
}
_NAMES = {str: "text", list: "a list", dict: "a mapping", bool: "true or false"}


@holds_no_rows
@dataclass(frozen=True)
class _LayoutColumn:
    """One raw column, or a run of numbered ones."""

    name: str  # As written in the file, with its range.
    names: tuple[str, ...]  # The raw columns.
    kind: str  # One of the types above.
    # Canonical field with its part, such as `diagnoses.listed.code`; `rows` for a column that only decides which rows
    # stay; `unused`; empty if the code of the format says it.
    feeds: str = ""
    because: str = ""  # Why it is unused.

    @property
    def field(self) -> str:
        """Canonical field without its part."""
        return self.feeds.partition(".")[0]

    @property
    def is_numbered(self) -> bool:
        """Whether it is a run of columns that are filled from the first on, with what they feed."""
        return bool(self.feeds) and self.feeds != UNUSED and re.search(r"<\d", self.name) is not None

    @property
    def run(self) -> str:
        """What the runs of one field have in common."""
        return self.feeds.rpartition(".")[0]


@holds_no_rows
@dataclass(frozen=True)
class _RowRule:
    """Values of a column that make a row leave, or count."""

    column: str
    values: tuple[str, ...]
    is_listed: bool  # Whether the values fail; else all others do. An empty field never fails.
    reason_code: str  # `D_...`, `R_...` or `W_...`.
    because: str  # What the values mean.

    def to_check(self) -> RowCheck:
        """Give the check that finds the rows."""

        def fails(rows: ir.Table) -> ir.BooleanValue:
            is_listed = clean_word(rows[self.column]).isin([value.lower() for value in self.values])
            return is_listed if self.is_listed else ~is_listed

        return RowCheck(self.reason_code, self.because, fails)

    def is_met_by(self, text: str | None) -> bool:
        """Say of one value in memory whether the row fails, as the check does."""
        word = None if text is None else tidy_word(text)
        return word is not None and (word in {value.lower() for value in self.values}) == self.is_listed


@holds_no_rows
@dataclass(frozen=True)
class FileLayout:
    """One layout file, with its keys as above."""

    name: str  # Name of the file without its ending; it names the raw table.
    source: str
    target: str
    claim_type: str  # `"NONE"` for eligibility and where rows differ.
    files: str
    delimiter: str
    date_format: str  # Empty if the file does not say.
    columns: tuple[_LayoutColumn, ...]
    required: tuple[str, ...]
    quote: str = '"'
    is_ordered: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    from_file_name: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[_RowRule, ...] = ()
    version_day: str | None = None
    version_instruction: str | None = None  # A column with `INSERT`, `UPDATE` or `DELETE`.
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # By column.
    enrollment: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # Values of a month, by what they say.
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # By raw column, ranges spelt out.
    record_lengths: tuple[int, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.source, self.target, self.files))

    @property
    def names(self) -> tuple[str, ...]:
        """All raw columns."""
        return tuple(name for column in self.columns for name in column.names)

    @property
    def kinds(self) -> dict[str, str]:
        """The types of all raw columns."""
        return {name: column.kind for column in self.columns for name in column.names}

    @property
    def denials(self) -> tuple[str, ...]:
        """Raw columns that say which claims or lines were denied."""
        return tuple(rule.column for rule in self.rules if rule.reason_code == "D_DENIED")

    def checks(self, verdicts: tuple[str, ...]) -> tuple[RowCheck, ...]:
        """Give the checks of the rules with one of some verdicts, such as `D_`."""
        return tuple(rule.to_check() for rule in self.rules if rule.reason_code.startswith(verdicts))

    @property
    def is_mapped(self) -> bool:
        """Whether the columns say what they feed."""
        return all(column.feeds for column in self.columns)

    def find(self, feeds: str) -> tuple[str, ...]:
        """Name the raw columns that feed a field or one part of it, such as `diagnoses.listed.code`."""
        return tuple(name for column in self.columns if column.feeds == feeds for name in column.names)

    def find_kind(self, kind: str) -> tuple[str, ...]:
        """Name the raw columns of a type."""
        return tuple(name for column in self.columns if column.kind == kind for name in column.names)

    def up_to_last(self, filled: Set[str]) -> FileLayout:
        """Leave out the columns at the end of each run of numbered ones that no file fills, all but the first.

        The parts of a field, such as codes and their dates, stay equally long.
        """
        runs: dict[str, int] = {}
        for column in self.columns:
            if column.is_numbered:
                last = max((place for place, name in enumerate(column.names, 1) if name in filled), default=1)
                runs[column.run] = max(last, runs.get(column.run, 1))
        columns = tuple(
            replace(column, names=column.names[: runs[column.run]]) if column.is_numbered else column
            for column in self.columns
        )
        return replace(self, columns=columns)

    def series(self, stem: str) -> tuple[str, ...]:
        """Name the numbered raw columns `STEM_1`, `STEM_2` and so on; there must be some."""
        (names,) = [column.names for column in self.columns if re.fullmatch(rf"{re.escape(stem)}_<.*>", column.name)]
        return names

    def to_layout(self, file_name: str = "") -> Layout:
        """Give the layout by which a file is read, without the columns that its name holds."""
        found = {name: re.search(pattern, file_name) for name, pattern in self.from_file_name.items()}
        constants = {name: match.group() for name, match in found.items() if match is not None}
        # Only a reader that is driven by its layout files takes others.
        advice = (
            f"copy the layout files, write delimiter: {{found}} into {self.name}.yaml and name their folder as "
            "layouts (--layouts)"
        )
        return Layout(
            tuple(name for name in self.names if name not in constants),
            tuple(name for name in self.required if name not in constants),
            kinds={name: column.kind for column in self.columns if column.feeds != UNUSED for name in column.names},
            aliases=self.aliases,
            delimiter=self.delimiter,
            quote=self.quote,
            constants=constants,
            is_ordered=self.is_ordered,
            delimiter_advice=advice if self.is_mapped else "",
            positions=self.positions,
            record_lengths=self.record_lengths,
        )


def read_layouts(folder: str | Path) -> dict[str, FileLayout]:
    """Read all layout files of a folder."""
    files = sorted(check_inputs(folder).glob("*.yaml"))
    if not files:
        raise ClaimDataError("E_LAYOUT_FILE", f"expected layout files *.yaml in {folder}, found none")
    return {file.stem: _read_layout(file) for file in files}


def find_layout_files(
    path: Path, layouts: Mapping[str, FileLayout], *, expected: str, suffixes: tuple[str, ...] = ("",)
) -> dict[str, list[Path]]:
    """Find the files of each layout in a folder by their names, both sorted; a file of two layouts is refused.

    `expected` says with names of files what was expected, for the message where no file becomes rows.
    """
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found: dict[str, list[Path]] = {}
    for candidate in candidates:
        if not candidate.is_file() or candidate.name.startswith("."):
            continue
        if not candidate.name.lower().endswith(suffixes):
            continue
        names = [name for name, layout in layouts.items() if re.search(layout.files, candidate.name, re.IGNORECASE)]
        if len(names) > 1:
            raise ClaimDataError(
                "E_LAYOUT_FILE", f"expected one layout for {candidate.name}, found {', '.join(sorted(names))}"
            )
        if names:
            found.setdefault(names[0], []).append(candidate)
    if not any(layouts[name].target != "none" for name in found):
        raise ClaimDataError(
            "E_NO_FILE",
            f"expected {expected}, found {describe_place(path, sum(one.is_file() for one in candidates))}",
        )
    return dict(sorted(found.items()))


def _read_layout(path: str | Path) -> FileLayout:
    """Read a layout file."""
    path = Path(path)
    content = _read_yaml(path)
    layout = FileLayout(
        name=path.stem,
        source=content.get("source", ""),
        target=content.get("target", ""),
        claim_type=content.get("claim_type", "NONE"),
        files=content.get("files", path.stem),
        delimiter=content.get("delimiter", ","),
        date_format=content.get("date_format", ""),
        columns=tuple(_read_column(path, str(name), entry) for name, entry in content["columns"].items()),
        required=tuple(name for entry in content.get("required", ()) for name in _expand(path, str(entry))),
        quote=content.get("quote", '"'),
        is_ordered=content.get("is_ordered", False),
        aliases=_texts(content.get("aliases", {})),
        from_file_name=_texts(content.get("from_file_name", {})),
        rules=tuple(_read_rule(path, rule) for rule in content.get("rules", ())),
        version_day=content.get("version_day"),
        version_instruction=content.get("version_instruction"),
        values={name: _texts(pairs) for name, pairs in content.get("values", {}).items()},
        enrollment={key: tuple(map(str, values)) for key, values in content.get("enrollment", {}).items()},
        positions=_read_positions(path, content.get("positions", {})),
        record_lengths=tuple(content.get("record_length", ())),
    )
    _check(path, layout)
    if layout.positions or layout.record_lengths:
        _check_positions(path, layout)
    if layout.is_mapped:
        _check_fields(path, layout)
    return layout


def _read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a layout file, each with a value of its kind."""
    try:
        content = read_yaml(path)
    except ValueError as error:
        if isinstance(error, ClaimDataError):
            raise
        raise ClaimDataError("E_LAYOUT_FILE", str(error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("columns"), dict):
        raise _wrong(path, "a mapping with the key columns", "something else")
    if unknown := sorted(map(str, set(content) - set(_KEYS))):
        raise _wrong(path, f"keys out of {sorted(_KEYS)}", f"{unknown}")
    for key, value in content.items():
        if not isinstance(value, _KEYS[key]):
            raise _wrong(path, f"{_NAMES[_KEYS[key]]} as {key}", type(value).__name__)
    for key, kind in (("values", dict), ("enrollment", list)):
        for name, value in content.get(key, {}).items():
            if not isinstance(value, kind):
                raise _wrong(path, f"{_NAMES[kind]} as {name} of {key}", type(value).__name__)
    return content


def _wrong(path: Path, expected: str, found: str) -> ClaimDataError:
    return ClaimDataError("E_LAYOUT_FILE", cut_message(f"{path.name}: expected {expected}, found {found}"))


def _texts(pairs: Mapping[Any, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in pairs.items()}


def _expand(path: Path, name: str) -> tuple[str, ...]:
    """Raw columns that a name with a range stands for."""
    match = _RANGE.search(name)
    if match is None:
        return (name,)
    first, last = match.groups()
    if first.isdigit() and last.isdigit() and 0 <= int(last) - int(first) < _MAX_RANGE:
        parts: Sequence[str] = [str(number) for number in range(int(first), int(last) + 1)]
    elif first in _MONTHS and last in _MONTHS:
        parts = _MONTHS[_MONTHS.index(first) : _MONTHS.index(last) + 1]
    else:
        raise _wrong(path, f"a range such as <1..25> or <JAN..DEC> in {name}", match.group())
    return tuple(name.replace(match.group(), part) for part in parts)


def _read_column(path: Path, name: str, entry: Any) -> _LayoutColumn:
    parts = [entry] if isinstance(entry, str) else entry
    if not isinstance(parts, list) or not 1 <= len(parts) <= 3 or not all(isinstance(part, str) for part in parts):
        raise _wrong(path, f"type, [type, field] or [type, unused, why] for {name}", f"{entry!r}")
    kind, feeds, because = [*parts, "", ""][:3]
    if kind not in _TYPES:
        raise _wrong(path, f"a type out of {', '.join(_TYPES)} for {name}", repr(kind))
    if (feeds == UNUSED) != bool(because):
        raise _wrong(path, f"a reason for {name} if and only if it is unused", f"{entry!r}")
    if feeds == "hcpcs_modifiers":
        kind = "modifier"
    return _LayoutColumn(name, _expand(path, name), kind, feeds, because)


def _read_positions(path: Path, entries: Mapping[Any, Any]) -> dict[str, tuple[int, int]]:
    """First character and length of each raw column; those of a range stand one behind the other."""
    positions: dict[str, tuple[int, int]] = {}
    for entry, place in entries.items():
        is_place = (
            isinstance(place, list) and len(place) == 2 and all(type(part) is int and part > 0 for part in place)
        )
        if not is_place:
            raise _wrong(path, f"[first character, length] as the position of {entry}", repr(place))
        for number, name in enumerate(_expand(path, str(entry))):
            positions[name] = (place[0] + number * place[1], place[1])
    return positions


def _check_positions(path: Path, layout: FileLayout) -> None:
    """Check that columns stand beside each other within a line, and that older versions end between two of them."""
    lengths = layout.record_lengths
    if (
        not lengths
        or any(type(one) is not int or one < 1 for one in lengths)
        or list(lengths) != sorted(set(lengths), reverse=True)
    ):
        raise _wrong(path, "whole numbers as record_length, the longest first", f"{list(lengths)}")
    if unknown := sorted(set(layout.positions) - set(layout.names)):
        raise _wrong(path, "only columns that are listed under columns", f"{unknown} in positions")
    if lacking := [name for name in layout.required if name not in layout.positions]:
        raise _wrong(path, "a position of every required column", f"none of {', '.join(lacking)}")
    last, before = 0, ""
    for name, (start, length) in sorted(layout.positions.items(), key=lambda item: item[1]):
        if start <= last:
            raise _wrong(path, f"{name} behind {before}", "columns that overlap")
        last, before = start + length - 1, name
        if torn := [one for one in lengths if start <= one < last]:
            raise _wrong(path, f"{name} within a line of {torn[0]} characters or behind it", "both")
        if name in layout.required and last > lengths[-1]:
            raise _wrong(path, f"{name} in every version, since it is required", f"it behind {lengths[-1]} characters")
    if last > lengths[0]:
        raise _wrong(path, f"columns within {lengths[0]} characters", f"{before} behind them")


def _read_rule(path: Path, rule: Any) -> _RowRule:
    keys = {"column", "verdict", "because"}
    is_listed = "in" in rule if isinstance(rule, dict) else False
    if not isinstance(rule, dict) or set(rule) != keys | {"in" if is_listed else "not_in"}:
        found = sorted(map(str, rule)) if isinstance(rule, dict) else type(rule).__name__
        raise _wrong(path, "a rule with column, in or not_in, verdict, because", f"{found}")
    if not isinstance(rule["in" if is_listed else "not_in"], list):
        raise _wrong(path, "a list as in or not_in of a rule", "something else")
    if not str(rule["verdict"]).startswith(("R_", "D_", "W_")):
        raise _wrong(path, "a verdict R_..., D_... or W_...", repr(rule["verdict"]))
    values = tuple(str(value) for value in rule["in" if is_listed else "not_in"])
    return _RowRule(str(rule["column"]), values, is_listed, str(rule["verdict"]), str(rule["because"]))


def _check(path: Path, layout: FileLayout) -> None:
    if layout.target not in _TARGETS:
        raise _wrong(path, f"a target out of {', '.join(_TARGETS)}", repr(layout.target))
    if layout.claim_type not in (*CLAIM_TYPES, "NONE"):
        raise _wrong(path, f"a claim_type out of {', '.join(CLAIM_TYPES)}", repr(layout.claim_type))
    if layout.quote not in ('"', ""):
        raise _wrong(path, "a double quote or nothing as quote", repr(layout.quote))
    is_dated = layout.is_mapped and bool(layout.find_kind("date"))
    if layout.date_format not in (_DATE_FORMATS if is_dated else (*_DATE_FORMATS, "")):
        raise _wrong(path, f"a date_format out of {', '.join(_DATE_FORMATS)}", repr(layout.date_format))
    for pattern in (layout.files, *layout.from_file_name.values()):
        try:
            re.compile(pattern)
        except re.error:
            raise _wrong(path, "regular expressions as files and in from_file_name", repr(pattern)) from None
    names = layout.names
    if len(set(names)) < len(names):
        raise _wrong(path, "every column once", "a column twice")
    named = {*layout.required, *(rule.column for rule in layout.rules), *layout.values}
    named |= {*layout.aliases.values(), *layout.from_file_name}
    named |= {name for name in (layout.version_day, layout.version_instruction) if name is not None}
    if missing := sorted(named - set(names)):
        raise _wrong(path, "only columns that are listed under columns", f"{missing}")
    if not layout.is_mapped and any(column.feeds not in ("", UNUSED) for column in layout.columns):
        raise _wrong(path, "all columns to say what they feed, or none", "some that do")


def _check_fields(path: Path, layout: FileLayout) -> None:
    """Check that the columns feed fields of the target, and all that a row needs."""
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
    if target == "patients":
        return frozenset((*PATIENTS_SCHEMA.names, *(field.name for field in OPTIONAL_FIELDS)))
    columns = [*SCHEMAS[target].names, *(["enrollment"] if target == "eligibility" else [])]
    whole = {name for name in columns if name not in _PARTS or name in _MIXED}
    parts = {f"{name}.{part}" for name in columns for part in _PARTS.get(name, ())}
    return frozenset(whole | parts)
