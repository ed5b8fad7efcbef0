"""Forms of values: what looks like a code, a date or an amount, counted over the sampled values of a column.

A form says what a value can be and not what it is: `250` is a diagnosis, a group of stays and a revenue centre. Names
of columns decide between them, in `guesses`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.fields import FORMULA
from claim_transformers.sources.formats.tables.dates import pattern_of
from claim_transformers.sources.formats.tables.expressions import MONEY_PATTERN

_DATE_FORMATS = (
    *("YYYY-MM-DD", "YYYYMMDD", "MM/DD/YYYY", "DD/MM/YYYY", "M/D/YYYY", "D/M/YYYY", "DD-MON-YYYY", "DDMONYYYY"),
    *("YYYY/MM/DD", "MM-DD-YYYY", "DD-MM-YYYY", "DD.MM.YYYY"),
    *(f"{one} hh:mm:ss" for one in ("YYYY-MM-DD", "MM/DD/YYYY", "DD/MM/YYYY", "M/D/YYYY", "D/M/YYYY")),
)
_FORMS: Mapping[str, str] = {
    "icd10": r"^[A-TV-Z][0-9][0-9AB]([.]?[0-9A-Z]{1,4})?$",
    "icd9": r"^([0-9]{3}([.]?[0-9]{1,2})?|V[0-9]{2}([.]?[0-9]{1,2})?|E[0-9]{3}([.]?[0-9])?)$",
    "icd10pcs": r"^[0-9A-HJ-NP-Z]{7}$",
    "icd9pcs": r"^[0-9]{2}[.]?[0-9]{1,2}$",
    "ndc": r"^([0-9]{11}|[0-9]{5}-[0-9]{4}-[0-9]{2}|[0-9]{4}-[0-9]{4}-[0-9]{2}|[0-9]{5}-[0-9]{3}-[0-9]{2})$",
    "hcpcs": r"^([0-9]{5}|[A-V][0-9]{4}|[0-9]{4}[FTU])([0-9A-Z]{2})?$",
    "modifier": r"^[0-9A-Z]{2}$",
    "bill_type": r"^0?[1-8][1-9][0-9A-Z]$",
    "drg": r"^[0-9]{1,3}$",
    "revenue": r"^0?[0-9]{3}$",
    "place": r"^[0-9]{1,2}$",
    "disposition": r"^[0-9]{1,2}$",
    "npi": r"^[12][0-9]{9}$",
    "amount": MONEY_PATTERN,
    "number": r"^-?[0-9]{1,6}([.][0-9]+)?$",
    "sex_word": r"^(F|M|U|FEMALE|MALE|UNKNOWN)$",
    "sex_digit": r"^[0-3]$",
    "version": r"^(0?9|10|0|ICD[- ]?(0?9|10)([- ]?(CM|PCS))?)$",
    "year": r"^(19|20)[0-9]{2}$",
}
_MOST_VALUES = 20_000


@dataclass(frozen=True)
class Profile:
    """What was seen of a column."""

    name: str  # Its name.
    num_rows: int  # Rows that were looked at.
    filled: int  # Rows with a value.
    distinct: int  # Different values among them.
    counts: Mapping[str, int]  # Rows with a value of each form, or of a date in each format.
    # The different values, to compare columns with; never shown.
    values: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))
    is_typed_date: bool = False  # Whether its type says that it is a date.
    is_typed_number: bool = False  # The same of a number.

    def share(self, form: str) -> float:
        """Share of the filled rows that have a form."""
        return self.counts.get(form, 0) / self.filled if self.filled else 0.0

    def formats(self) -> list[str]:
        """Formats in which nearly all values are dates, the likeliest first."""
        found = [one for one in _DATE_FORMATS if self.share(one) >= 0.95]
        return sorted(found, key=lambda one: (-self.counts[one], len(one) < 10, _DATE_FORMATS.index(one)))


def profile(name: str, column: pa.ChunkedArray | pa.Array) -> Profile:
    """Count the forms of the values of a column.

    Examples:
        >>> found = profile("dx1", pa.array(["E11.9", '="I10"', None]))
        >>> found.filled, found.counts["icd10"], found.counts["ndc"]
        (2, 2, 0)
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    texts = column.cast(kind).cast(pa.string()) if kind != column.type else column.cast(pa.string())
    texts = pc.replace_substring_regex(pc.utf8_upper(pc.utf8_trim_whitespace(texts)), FORMULA, r"\1")
    filled = texts.filter(pc.fill_null(pc.not_equal(texts, ""), False))
    counted = pc.value_counts(filled)
    values, numbers = counted.field("values"), counted.field("counts")
    counts = {
        form: int(pc.sum(numbers.filter(pc.match_substring_regex(values, pattern))).as_py() or 0)
        for form, pattern in (*_FORMS.items(), *((one, _date_pattern(one)) for one in _DATE_FORMATS))
    }
    return Profile(
        name,
        len(column),
        len(filled),
        len(values),
        counts,
        values.slice(0, _MOST_VALUES),
        bool(pa.types.is_date(kind)),
        bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)),
    )


def _date_pattern(date_format: str) -> str:
    """The pattern of a format, with months from 1 to 12 and days from 1 to 31, in capitals."""
    parts = re.findall(r"YYYY|MON|MM|M|DD|D", date_format.removesuffix(" hh:mm:ss"))
    ranges = {
        "YYYY": "(1[89][0-9]{2}|20[0-9]{2}|9999)",
        "MM": "(0[1-9]|1[0-2])",
        "M": "(0?[1-9]|1[0-2])",
        "DD": "(0[1-9]|[12][0-9]|3[01])",
        "D": "(0?[1-9]|[12][0-9]|3[01])",
        "MON": "(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)",
    }
    groups = iter(parts)
    return re.sub(r"\((\[0-9\]|\[A-Za-z\])\{[^}]*\}\)", lambda _: ranges[next(groups)], pattern_of(date_format))
