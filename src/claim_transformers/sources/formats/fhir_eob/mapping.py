"""Dialects of ExplanationOfBenefit as files: which path of a resource gives which column.

The files are in `mappings`, one for each dialect, and hold what a reader has to know of it:

| key | meaning |
|---|---|
| `source` | where its facts are from |
| `prefixes` | short names of the beginnings of addresses |
| `told_by` | paths of which one is filled if a resource speaks the dialect |
| `over` | dialects whose marks such a resource also bears |
| `code_systems` | by address: of diagnoses and procedures what they are, of services those that are known |
| `claim_types` | paths with the claim types that their values mean; the first that gives one counts |
| `claim`, `lines`, `drugs` | columns by name, with one path or several, of which the first that is filled counts |
| `diagnoses`, `procedures`, `modifiers` | lists, and what their entries say |

How a path is written says [`sources.formats.fhir_eob.paths`].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from claim_transformers.claims.inputs import read_yaml
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.paths import Elements, Path, Seen, expand, first_of, list_entries

FOLDER = FilePath(__file__).parent / "mappings"
DIALECTS = ("stu3_v1", "carin_v2", "cms_v3")
# Columns of a claim and of a line, in the order in which they are staged.
CLAIM_COLUMNS = (
    *("claim", "claim_group", "patient", "status", "use", "updated", "final_action", "system_type", "start", "end"),
    *("admission", "discharge", "paid", "bill_type", "bill_frequency", "discharge_status", "admit_type"),
    *("admit_source", "drg", "billing_npi", "facility_npi", "paid_of_claim", "charge_of_claim", "payment_denied"),
    *("disposition", "query", "not_paid"),
)
LINE_COLUMNS = (
    *("line", "line_start", "line_end", "hcpcs", "revenue", "place", "units", "rendering_npi", "paid_amount"),
    *("allowed_amount", "charge_amount", "line_status"),
)
DRUG_COLUMNS = ("ndc", "quantity", "days_supply", "refills", "cost", "patient_share", "plan_paid")
_BILL_PARTS = ("bill_facility", "bill_class")
_KEYS = {
    *("source", "prefixes", "told_by", "over", "code_systems", "claim_types", "claim", "diagnoses", "procedures"),
    *("lines", "modifiers", "drugs"),
}
_OF_RESOURCE = "^"


@dataclass(frozen=True)
class Choice:
    """Paths of which the first that is filled counts; `^` before one that begins at the resource, not at the line."""

    paths: tuple[tuple[Path, bool, Path | None], ...]

    def to_sql(self, base: str, line: str = "") -> str:
        """SQL of the value, `line` for columns of a claim line."""
        return first_of(self._one(*entry, base, line) for entry in self.paths)

    def read(self, base: Any, line: Any = None, seen: Seen | None = None) -> str | None:
        """The value in a resource that is in memory; `seen` as [`Path`] takes it."""
        for path, is_of_resource, unless in self.paths:
            start = base if is_of_resource or line is None else line
            if unless is None or unless.read(start, line) is None:
                found = path.read(start, line, seen)
                if found is not None:
                    return found
        return None

    def add_to(self, elements: Elements, line: Elements | None = None) -> None:
        """Add the elements of all paths."""
        for path, is_of_resource, unless in self.paths:
            below = elements if line is None or is_of_resource else line
            path.add_to(below, line)
            if unless is not None:
                unless.add_to(below, line)

    @staticmethod
    def _one(path: Path, is_of_resource: bool, unless: Path | None, base: str, line: str) -> str:
        start = base if is_of_resource or not line else line
        text = path.to_sql(start, line)
        return text if unless is None else f"CASE WHEN {unless.to_sql(start, line)} IS NULL THEN {text} END"


@dataclass(frozen=True)
class ClaimTypeRule:
    """Values of a path and the claim types that they mean."""

    path: Path
    values: Mapping[str, str]
    only_if: Path | None
    is_bill: bool


@dataclass(frozen=True)
class Dialect:
    """One dialect file."""

    name: str
    source: str
    told_by: Choice
    over: tuple[str, ...]
    systems: Mapping[str, Mapping[str, str]]
    services: tuple[str, ...]
    claim_types: tuple[ClaimTypeRule, ...]
    claim: Mapping[str, Choice]
    diagnoses: Mapping[str, Choice]
    procedures: Mapping[str, Choice]
    lines: Mapping[str, Choice]
    drugs: Mapping[str, Choice]
    lists: Mapping[str, str]
    no_modifiers: tuple[str, ...]

    def elements(self) -> Elements:
        """Name the elements of a resource that some path of the file reads."""
        found: Elements = {}
        for choice in (self.told_by, *self.claim.values()):
            choice.add_to(found)
        for rule in self.claim_types:
            rule.path.add_to(found)
            if rule.only_if is not None:
                rule.only_if.add_to(found)
        for kind, columns in (("diagnoses", self.diagnoses), ("procedures", self.procedures)):
            entry = list_entries(found, self.lists[kind])
            entry.setdefault("sequence", {})
            for choice in columns.values():
                choice.add_to(entry)
            _add_codings(self.lists[f"{kind}.coding"], entry)
        line = list_entries(found, self.lists["lines"])
        for name, choice in (*self.lines.items(), *self.drugs.items()):
            if not name.startswith("detail_"):
                choice.add_to(found, line)
        _add_codings(self.lists["lines.service"], line)
        _add_codings("coding", list_entries(line, self.lists["modifiers"]))
        detail = list_entries(line, "detail")
        for name in ("detail_ndc", "detail_quantity"):
            self.drugs[name].add_to(detail)
        return found


def _add_codings(path: str, elements: Elements) -> None:
    """Add a list of codings at a path without brackets."""
    for name in path.split("."):
        elements = elements.setdefault(name, {})
    coding = elements.setdefault("", {})
    coding.setdefault("system", {})
    coding.setdefault("code", {})


@cache
def read_dialects() -> dict[str, Dialect]:
    """Read the dialect files, by their names in the order in which they are tried."""
    return {name: _read_dialect(FOLDER / f"{name}.yaml") for name in DIALECTS}


def _read_dialect(path: FilePath) -> Dialect:
    content = read_yaml(path)
    if not isinstance(content, dict) or set(content) - _KEYS or not _KEYS - {"over"} <= set(content):
        raise ClaimDataError("E_LAYOUT_FILE", f"{path.name}: expected the keys {sorted(_KEYS)}, found others")
    prefixes: dict[str, str] = content["prefixes"]
    systems = content["code_systems"]
    lists = {name: str(content[name]["list"]) for name in ("diagnoses", "procedures", "lines", "modifiers")}
    lists |= {f"{name}.coding": str(content[name]["coding"]) for name in ("diagnoses", "procedures")}
    lists["lines.service"] = str(content["lines"]["service"])
    columns = {
        name: {key: read_choice(value, prefixes) for key, value in content[name].items() if key not in left_out}
        for name, left_out in (
            ("claim", ()),
            ("diagnoses", ("list", "coding")),
            ("procedures", ("list", "coding")),
            ("lines", ("list", "service")),
            ("drugs", ()),
        )
    }
    known = {"claim": {*CLAIM_COLUMNS, *_BILL_PARTS}, "lines": {*LINE_COLUMNS}}
    known["drugs"] = {*DRUG_COLUMNS, "detail_ndc", "detail_quantity"}
    for name, of_table in known.items():
        if unknown := sorted(set(columns[name]) - of_table):
            raise ClaimDataError("E_LAYOUT_FILE", f"{path.name}: expected columns of {name}, found {unknown}")
    return Dialect(
        name=path.stem,
        source=content["source"],
        told_by=read_choice(content["told_by"], prefixes),
        over=tuple(content.get("over", ())),
        systems={kind: _expanded(systems[kind], prefixes) for kind in ("diagnosis", "procedure")},
        services=tuple(expand(text, prefixes) for text in systems["service"]),
        claim_types=tuple(_claim_type_rule(rule, prefixes) for rule in content["claim_types"]),
        **columns,
        lists=lists,
        no_modifiers=tuple(content["modifiers"]["not_of"]),
    )


def _expanded(pairs: Mapping[str, str], prefixes: Mapping[str, str]) -> dict[str, str]:
    return {expand(text, prefixes): system for text, system in pairs.items()}


def _claim_type_rule(rule: Mapping[str, Any], prefixes: Mapping[str, str]) -> ClaimTypeRule:
    only_if = rule.get("only_if")
    return ClaimTypeRule(
        Path(rule["path"], prefixes),
        {str(value): claim_type for value, claim_type in rule["values"].items()},
        None if only_if is None else Path(only_if, prefixes),
        bool(rule.get("is_bill", False)),
    )


def read_choice(entry: str | Mapping[str, str] | Sequence[Any], prefixes: Mapping[str, str]) -> Choice:
    """Read the paths of a column."""
    entries = [entry] if isinstance(entry, str | Mapping) else entry
    found: list[tuple[Path, bool, Path | None]] = []
    for one in entries:
        text, unless = (one, None) if isinstance(one, str) else (one["path"], Path(one["unless"], prefixes))
        found.append((Path(text.removeprefix(_OF_RESOURCE), prefixes), text.startswith(_OF_RESOURCE), unless))
    return Choice(tuple(found))
