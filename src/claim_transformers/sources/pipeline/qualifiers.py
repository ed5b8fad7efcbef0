"""Qualifiers of codes: the closed vocabulary of words that say ICD-9 or ICD-10."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.dates import MAX_CLAIM_DAYS
from claim_transformers.claims.engine import fetch_rows
from claim_transformers.claims.fields import DateFormat, parse_date
from claim_transformers.claims.planning import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

# CMS writes 9 and 0 (CCW, CCLF); the words are those of the Tuva terminology, without hyphens, blanks and dots.
_ICD9 = {"9", "09", "icd9", "icd09", "icd9cm", "icd09cm", "icd9pcs", "icd09pcs"}
_ICD10 = {"0", "10", "icd10", "icd10cm", "icd10pcs"}


@dataclass(frozen=True)
class Qualifiers:
    """Values of the qualifier columns of a table that say ICD-9, ICD-10 or neither, as they are spelt there.

    They are few, and each is read once here: patterns in the expressions would run on every row and column, which took
    an ingest of a million lines six times as long.
    """

    icd9: tuple[str, ...]
    icd10: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def read(cls, connection: Backend, rows: ir.Table, columns: tuple[str, ...]) -> Qualifiers:
        """Read the different values of the columns."""
        found: set[str] = set()
        for column in columns:
            values = [row["value"] for row in fetch_rows(connection, build(_different, rows, column))]
            found |= {value for value in values if value is not None}
        by_word = {value: _word_of(value) for value in sorted(found)}
        return cls(
            tuple(value for value, word in by_word.items() if word in _ICD9),
            tuple(value for value, word in by_word.items() if word in _ICD10),
            tuple(value for value, word in by_word.items() if word and word not in _ICD9 | _ICD10),
        )

    def says_icd10(self, text: ir.StringValue) -> ir.BooleanValue:
        """Tell whether a qualifier says ICD-10; null where it is blank or no word of the vocabulary."""
        return ibis.cases((text.isin(self.icd10), True), (text.isin(self.icd9), False), else_=ibis.null("boolean"))

    def is_none(self, text: ir.StringValue) -> ir.BooleanValue:
        """Tell whether a field is filled with a word that is not in the vocabulary."""
        return text.isin(self.others).fill_null(False)


def coding_day(start: ir.StringValue, ends: Sequence[ir.StringValue], date_format: DateFormat) -> ir.DateValue:
    """The day that decides how a claim was coded: the first end that can be one, else its start.

    ICD-10 is in force for discharges and services from `ICD10_START_DATE` on (45 CFR 162.1002).
    """
    begin = parse_date(start, date_format)
    days = [parse_date(end, date_format) for end in ends]
    real = [
        ibis.ifelse(day.delta(begin, unit="day").between(0, MAX_CLAIM_DAYS), day, ibis.null("date")) for day in days
    ]
    return ibis.coalesce(*real, begin)


def _different(rows: ir.Table, column: str) -> ir.Table:
    return rows.select(value=rows[column].cast("string")).distinct()


def _word_of(value: str) -> str:
    return re.sub(r"[-_. ]", "", re.sub(r"\.0+$", "", value.strip().lower()))
