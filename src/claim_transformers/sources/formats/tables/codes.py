"""Diagnoses and procedures of a mapping: each code stands under the system of its row, in a column of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import clean_word, parse_date
from claim_transformers.claims.quality import RowCheck, warn_diagnosis_gap
from claim_transformers.codes.systems import ICD10_START_DATE
from claim_transformers.sources.formats.tables.dates import compact_date
from claim_transformers.sources.formats.tables.expressions import is_in, mapped, meaning_of
from claim_transformers.sources.formats.tables.mapping import BY_DATE, CodesMap, TableMap
from claim_transformers.sources.pipeline.contract import CodeColumns
from claim_transformers.sources.pipeline.lines import list_diagnoses, list_procedures, one_diagnosis
from claim_transformers.sources.pipeline.qualifiers import Qualifiers

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

CODING_DAY = mapped("coding_day")
_NO_CODE_TYPE = mapped("no_code_type")
_SYSTEMS = {
    "diagnoses": {"icd9": "ICD9CM", "icd10": "ICD10CM"},
    "admitting_diagnosis": {"icd9": "ICD9CM", "icd10": "ICD10CM"},
    "procedures": {"icd9": "ICD9PCS", "icd10": "ICD10PCS"},
}


@dataclass(frozen=True)
class _Code:
    """One code column: its place in the list, and the systems that it can be of."""

    column: str
    number: int
    group: CodesMap
    place: int

    @property
    def systems(self) -> tuple[str, ...]:
        return ("icd9", "icd10") if self.group.system == BY_DATE else (self.group.system,)


def _codes_of(table: TableMap, field: str) -> list[_Code]:
    """The code columns of a field in billed order."""
    columns = [
        (column, group, place) for group in table.codes.get(field, ()) for place, column in enumerate(group.columns)
    ]
    return [_Code(column, number, group, place) for number, (column, group, place) in enumerate(columns, start=1)]


def read_qualifiers(connection: Backend, rows: ir.Table, table: TableMap) -> dict[tuple[str, ...], Qualifiers]:
    """Read the words that qualifiers without `values` of their own have, by their columns."""
    groups = [group for groups in table.codes.values() for group in groups if group.qualifiers and not group.values]
    return {columns: Qualifiers.read(connection, rows, columns) for columns in {group.qualifiers for group in groups}}


def map_codes(rows: ir.Table, table: TableMap, words: Mapping[tuple[str, ...], Qualifiers]) -> dict[str, ir.Value]:
    """Columns that a row gets: each code once for each system that it can be of, null but under its own."""
    added: dict[str, ir.Value] = {}
    unknown: list[ir.BooleanValue] = []
    by_date = (rows[CODING_DAY] >= ibis.date(ICD10_START_DATE)).fill_null(False)
    for field in table.codes:
        for code in _codes_of(table, field):
            group, text = code.group, rows[code.column]
            if group.where is not None:
                text = ibis.ifelse(is_in(rows, group.where), text, ibis.null("string"))
            is_icd10: ir.BooleanValue = by_date
            if group.qualifiers:
                qualifier = rows[group.qualifiers[code.place if len(group.qualifiers) > 1 else 0]]
                if group.values:
                    said = meaning_of(qualifier, group.values)
                    is_none = clean_word(qualifier).notnull() & said.isnull()
                    says_icd10 = said == "icd10"
                else:
                    is_none = words[group.qualifiers].is_none(qualifier)
                    says_icd10 = words[group.qualifiers].says_icd10(qualifier)
                unknown.append(is_none & text.notnull())
                is_icd10 = says_icd10.fill_null(by_date)
            for system in code.systems:
                is_own = (
                    (is_icd10 if system == "icd10" else ~is_icd10) if len(code.systems) > 1 else ibis.literal(True)
                )
                added[_name(field, code, system)] = ibis.ifelse(is_own, text, ibis.null("string"))
            if group.dates:
                added[mapped(field, code.number, "date")] = compact_date(rows[group.dates[code.place]], table.dates)
    added[_NO_CODE_TYPE] = ibis.or_(*unknown) if unknown else ibis.literal(False)
    return added


def _name(field: str, code: _Code, system: str) -> str:
    return mapped(field, code.number, system)


def code_columns(table: TableMap) -> tuple[CodeColumns, ...]:
    """The columns of `map_codes` by system."""
    by_system: dict[str, list[str]] = {}
    for field, systems in _SYSTEMS.items():
        for code in _codes_of(table, field):
            for system in code.systems:
                by_system.setdefault(systems[system], []).append(_name(field, code, system))
    return tuple(CodeColumns(tuple(columns), system) for system, columns in by_system.items())


def warn_codes(table: TableMap) -> tuple[RowCheck, ...]:
    """Warnings about codes: a gap before a diagnosis, and a qualifier that says nothing."""
    found = []
    if len(columns := tuple(code.column for code in _codes_of(table, "diagnoses"))) > 1:
        found.append(warn_diagnosis_gap(columns))
    if any(group.qualifiers for groups in table.codes.values() for group in groups):
        text = "a qualifier that says neither ICD-9 nor ICD-10: the date decides"
        found.append(RowCheck("W_CODE_TYPE", text, lambda rows: rows[_NO_CODE_TYPE]))
    return tuple(found)


def dates_of_procedures(table: TableMap) -> tuple[str, ...]:
    """The columns that hold dates of procedures."""
    return tuple(
        mapped("procedures", code.number, "date") for code in _codes_of(table, "procedures") if code.group.dates
    )


def lists_of_codes(rows: ir.Table, table: TableMap) -> dict[str, ir.Value]:
    """The canonical columns of codes."""
    found: dict[str, ir.Value] = {}
    if codes := _codes_of(table, "diagnoses"):
        flags = [rows[code.group.flags[code.place]] if code.group.flags else ibis.null("string") for code in codes]
        lists = [
            list_diagnoses(_SYSTEMS["diagnoses"][system], _texts(rows, "diagnoses", codes, system), flags)
            for system in _systems_of(codes)
        ]
        found["diagnoses"] = _joined(lists)
    if codes := _codes_of(table, "procedures"):
        days = [
            parse_date(rows[mapped("procedures", code.number, "date")], "YYYYMMDD")
            if code.group.dates
            else ibis.null("date")
            for code in codes
        ]
        lists = [
            list_procedures(_SYSTEMS["procedures"][system], _texts(rows, "procedures", codes, system), days)
            for system in _systems_of(codes)
        ]
        found["procedures"] = _joined(lists)
    for code in _codes_of(table, "admitting_diagnosis"):
        texts = {
            _SYSTEMS["diagnoses"][system]: rows[_name("admitting_diagnosis", code, system)] for system in code.systems
        }
        first = next(iter(texts))
        system = ibis.ifelse(texts[first].notnull(), first, [*texts][-1])
        found["admitting_diagnosis"] = one_diagnosis(system, ibis.coalesce(*texts.values()))
    return found


def _systems_of(codes: Sequence[_Code]) -> list[str]:
    return [system for system in ("icd9", "icd10") if any(system in code.systems for code in codes)]


def _texts(rows: ir.Table, field: str, codes: Sequence[_Code], system: str) -> list[ir.StringValue]:
    return [rows[_name(field, code, system)] if system in code.systems else ibis.null("string") for code in codes]


def _joined(lists: Sequence[ir.ArrayValue]) -> ir.ArrayValue:
    return lists[0].concat(lists[1]) if len(lists) > 1 else lists[0]
