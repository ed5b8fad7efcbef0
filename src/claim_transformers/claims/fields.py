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
_AMOUNT_PATTERN = r"^-?[0-9]{1,10}(\.[0-9]+)?$"
# Words that systems write where nobody is known, in lower case.
_NO_IDS = ("null", "(null)", "na", "n/a", "#n/a", "<na>", "nan", "none", "nil", "unknown", "unk", "missing")
_MAX_NO_ID = max(map(len, _NO_IDS))
_NO_ID = r"^([-0./_?*# ]*|(9-?){7,})$"
# Blanks and control characters of Unicode, and characters without width.
_NO_WIDTH = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_BLANK = f"\x01-\x20\x7f\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000{_NO_WIDTH}"
_AROUND_ID = f"^[{_BLANK}]+|[{_BLANK}]+$|[{_NO_WIDTH}]"


# DuckDB's own parser, because a cast accepts several formats where the layout declares one.
@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: types.string, pattern: types.string) -> types.timestamp:
    """Parse a text as a timestamp, null where it does not fit."""


@ibis.udf.scalar.builtin(name="strlen")  # type: ignore[untyped-decorator]
def _strlen(text: types.string) -> types.int64:
    """Count the bytes of a text."""


def parse_date(text: ir.StringValue, date_format: DateFormat) -> ir.DateValue:
    """Read a date, null if it is impossible, a sentinel or not in the declared format."""
    pattern = _PATTERNS[date_format]
    earliest, latest, sentinel = (date.strftime(pattern) for date in (_EARLIEST_DATE, _LATEST_DATE, _SENTINEL_DATE))
    # The parser skips blanks and accepts one-digit months and days, hence the length. Both formats sort like the dates
    # they stand for, so the text is compared and parsed once.
    is_whole = (text.length() == len(sentinel)) & ~text.contains(" ")
    is_real = is_whole & text.between(earliest, latest) & (text != sentinel)
    return _try_strptime(ibis.ifelse(is_real, text, ibis.null("string")), pattern).date()


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


def is_plain_id(text: ir.StringValue) -> ir.BooleanValue:
    """Tell identifiers that need no cleaning by their ends and their bytes, because patterns are slow."""
    is_plain = (text.length() > _MAX_NO_ID) & (_strlen(text) == text.length()) & text.between("0", "~")
    is_plain &= text.right(1).between("!", "~") & ~(text.startswith("?") | text.startswith("_"))
    is_plain &= ~ibis.or_(*(text.startswith(digit) & text.endswith(digit) for digit in "09"))
    return is_plain.fill_null(True)


def clean_id(text: ir.StringValue) -> ir.StringValue:
    """Write an identifier without blanks around it or invisible characters in it; what stands for none is null.

    Zeros and case stay as they are. No identifier are the words that say so, zeros or punctuation alone, and seven or
    more nines.
    """
    trimmed = text.re_replace(_AROUND_ID, "")
    is_none = trimmed.lower().isin(_NO_IDS) | trimmed.re_search(_NO_ID)
    return ibis.ifelse(is_plain_id(text), text, ibis.ifelse(is_none, ibis.null("string"), trimmed))
