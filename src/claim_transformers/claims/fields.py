"""Fields of a raw row: dates and amounts as expressions, strictly or not at all.

The format of a date is declared by the layout of its file and never guessed from the row. What does not parse is null
here; whether that costs the row is decided by the checks in [`quality`].
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

import ibis
import ibis.expr.datatypes as types
import ibis.expr.types as ir

DateFormat = Literal["YYYYMMDD", "YYYY-MM-DD"]

_PATTERNS: dict[str, str] = {"YYYYMMDD": "%Y%m%d", "YYYY-MM-DD": "%Y-%m-%d"}
# Fillers that systems write where no date is known. 9999-12-31, another one, lies beyond the latest date.
_SENTINEL_DATE = dt.date(1900, 1, 1)
_EARLIEST_DATE = dt.date(1850, 1, 1)
_LATEST_DATE = dt.date(2200, 12, 31)
# Births and deaths that systems write where none is known, beside what lies outside the dates above.
FILLER_DATES = ("1899-12-30", "1899-12-31", "1900-01-01", "2050-12-31", "2099-12-31", "2199-12-31")
_AMOUNT_PATTERN = r"^-?[0-9]{1,10}(\.[0-9]+)?$"


# DuckDB's own parser, because a cast accepts several formats where the layout declares one.
@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: types.string, pattern: types.string) -> types.timestamp:
    """Parse a text as a timestamp, null where it does not fit."""


def parse_date(text: ir.StringValue, date_format: DateFormat) -> ir.DateValue:
    """Read a date, null if it is impossible, a sentinel or not in the declared format."""
    pattern = _PATTERNS[date_format]
    earliest, latest, sentinel = (date.strftime(pattern) for date in (_EARLIEST_DATE, _LATEST_DATE, _SENTINEL_DATE))
    # The parser skips blanks and accepts one-digit months and days, hence the length. Both formats sort like the dates
    # they stand for, so the text is compared and parsed once.
    is_whole = (text.length() == len(sentinel)) & ~text.contains(" ")
    is_real = is_whole & text.between(earliest, latest) & (text != sentinel)
    return _try_strptime(ibis.ifelse(is_real, text, ibis.null("string")), pattern).date()


def parse_life_date(text: ir.StringValue, date_format: DateFormat) -> ir.DateValue:
    """Read a birth or a death, null if it is a filler or what `parse_date` does not read."""
    real = ibis.ifelse(text.isin(_fillers(date_format)), ibis.null("string"), text)
    return parse_date(real, date_format)


def is_filler(text: ir.StringValue, date_format: DateFormat) -> ir.BooleanValue:
    """Whether a birth or a death has the form of a date, or is all zeros or nines, and stands for none."""
    pattern = _PATTERNS[date_format]
    earliest, latest = (date.strftime(pattern) for date in (_EARLIEST_DATE, _LATEST_DATE))
    is_date = _try_strptime(text, pattern).notnull()
    return text.isin(_fillers(date_format)) | (is_date & ~text.between(earliest, latest))


def _fillers(date_format: DateFormat) -> list[str]:
    dates = [*FILLER_DATES, "0000-00-00", "9999-99-99"]
    return dates if date_format == "YYYY-MM-DD" else [date.replace("-", "") for date in dates]


def parse_amount(text: ir.StringValue) -> ir.DecimalValue:
    """Read an amount in US dollars: a plain decimal or null."""
    plain = ibis.ifelse(text.re_search(_AMOUNT_PATTERN), text, ibis.null("string"))
    return plain.try_cast("decimal(12, 2)")


def parse_number(text: ir.StringValue, number_type: Literal["float32", "int16", "int32"]) -> ir.NumericValue:
    """Read a count or a quantity: a plain decimal that fits the type, or null."""
    plain = ibis.ifelse(text.re_search(_AMOUNT_PATTERN), text, ibis.null("string"))
    return plain.try_cast("float64").try_cast(number_type)


def clean_word(text: ir.StringValue) -> ir.StringValue:
    """Write a word of a closed vocabulary in lower case, without blanks around it; nothing but blanks is null."""
    return text.replace("\u00a0", " ").strip().lower().nullif("")


def clean_id(text: ir.StringValue) -> ir.StringValue:
    """Trim an identifier; blank is null. Zeros and case stay as they are."""
    # Trimming is slow and nearly never needed. Blanks and control characters sort before the exclamation mark.
    is_padded = (text < "!") | text.endswith(" ")
    return ibis.ifelse(is_padded, text.strip().nullif(""), text)
