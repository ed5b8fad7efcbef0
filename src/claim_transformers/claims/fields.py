"""Fields of a raw row: dates and amounts as expressions, strictly or not at all.

The format of a date is declared by the layout of its file and never guessed from the row. What does not parse is null
here; whether that costs the row is decided by the checks in [`quality`].
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import ibis
import ibis.expr.datatypes as types
import ibis.expr.types as ir

DateFormat = Literal["YYYYMMDD", "YYYY-MM-DD"]

_PATTERNS: dict[str, str] = {"YYYYMMDD": "%Y%m%d", "YYYY-MM-DD": "%Y-%m-%d"}
# What systems write where a date is not known or an end is open: zeros and nines, the first days that Excel, SQL
# Server, COBOL and CMS know, the last days of payers, Oracle, pandas, SQL Server. No date, in any source and column.
FILLER_DATES = (
    *("0000-00-00", "0001-01-01", "1000-01-01", "1753-01-01", "1800-01-01"),
    *("1899-12-30", "1899-12-31", "1900-01-01"),
    *("2050-12-31", "2078-12-31", "2079-06-06", "2099-12-31", "2100-12-31", "2199-12-31", "2262-04-11", "2299-12-31"),
    *("2999-12-31", "3000-12-31", "4712-12-31", "8888-12-31", "9999-01-01", "9999-12-31", "9999-99-99"),
)
EARLIEST_DATE, LATEST_DATE = "1850-01-01", "2200-12-31"
# No filler lies between these two, and nearly every date does.
_FIRST_USUAL_DATE, _LAST_USUAL_DATE = "1900-01-02", "2050-12-30"
AMOUNT_PATTERN, WHOLE_PATTERN = r"^-?[0-9]{1,10}(\.[0-9]+)?$", r"^-?[0-9]{1,10}(\.0+)?$"
# Years of claims and coverage.
YEARS = 1900, 2099
# Words that systems write where nobody is known, in lower case.
NO_ID_WORDS = ("null", "(null)", "na", "n/a", "#n/a", "<na>", "nan", "none", "nil", "unknown", "unk", "missing")
_MAX_NO_ID = max(map(len, NO_ID_WORDS))
NO_ID, NO_NUMBER = r"^([0 -/:-@\[-`{-~]*|(9-?){7,})$", r"^[ -/:-@\[-`{-~]*$"
_PLAIN_ID = "^([1-8A-Za-z]|[!-<>-~][!-~]*[1-8A-Za-z])[!-~]*$"
# Blanks and control characters of Unicode, and characters without width.
_NO_WIDTH = "\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
_BLANK = f"\x01-\x20\x7f\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000{_NO_WIDTH}"
# So many columns of a row are read as a list, whose expression is planned once and not for each.
_MANY_VALUES = 5
_LISTED = "values in a list"
AROUND_ID = f"^[{_BLANK}]+|[{_BLANK}]+$|[{_NO_WIDTH}]"
# As spreadsheets keep zeros: a formula of nothing but a text.
FORMULA = f'^="[{_BLANK}]*([^"]*?)[{_BLANK}]*"$'


# DuckDB's own parser, because a cast accepts several formats where the layout declares one.
@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: types.string, pattern: types.string) -> types.timestamp:
    """Parse a text as a timestamp, null where it does not fit."""


def parse_date(text: ir.StringValue, date_format: DateFormat) -> ir.DateValue:
    """Read a date, null if it is impossible, a sentinel or not in the declared format."""
    earliest, latest = (_write(date, date_format) for date in (EARLIEST_DATE, LATEST_DATE))
    # The parser skips blanks and accepts one-digit months and days, hence the length. Both formats sort like the dates
    # they stand for, so the text is compared and parsed once.
    is_whole = (text.length() == len(latest)) & ~text.contains(" ")
    is_real = is_whole & text.between(earliest, latest) & ~is_filler(text, date_format)
    return _try_strptime(ibis.ifelse(is_real, text, ibis.null("string")), _PATTERNS[date_format]).date()


def is_filler(text: ir.StringValue, date_format: DateFormat) -> ir.BooleanValue:
    """Whether a text is one of `FILLER_DATES`."""
    first, last = (_write(date, date_format) for date in (_FIRST_USUAL_DATE, _LAST_USUAL_DATE))
    # The list is looked through for the few others only, and as one text: a list of literals for each of a hundred
    # columns is slow to plan.
    fillers = ibis.literal("".join(f"|{_write(date, date_format)}" for date in FILLER_DATES) + "|")
    return ibis.ifelse(text.between(first, last), False, fillers.contains("|" + text + "|"))


def _write(date: str, date_format: DateFormat) -> str:
    return date if date_format == "YYYY-MM-DD" else date.replace("-", "")


def is_no_life_date(text: ir.StringValue, date_format: DateFormat) -> ir.BooleanValue:
    """Whether a birth or a death stands for none: a filler, or a date of no insured person's life."""
    earliest, latest = (_write(date, date_format) for date in (EARLIEST_DATE, LATEST_DATE))
    is_out = _try_strptime(text, _PATTERNS[date_format]).notnull() & ~text.between(earliest, latest)
    return is_filler(text, date_format) | is_out


def parse_amount(text: ir.StringValue) -> ir.DecimalValue:
    """Read an amount in US dollars: a plain decimal or null."""
    return _plain(text, AMOUNT_PATTERN).try_cast("decimal(12, 2)")


def _plain(text: ir.StringValue, pattern: str) -> ir.StringValue:
    """The text where a pattern of all of it fits, else null, worked out once for each different text."""
    return text.re_extract(pattern, 0).nullif("")


def subtract_share(cost: ir.DecimalValue, share: ir.DecimalValue) -> ir.DecimalValue:
    """What is left of a cost without the share of somebody else, null if it does not fit an amount."""
    return (cost.cast("decimal(18, 2)") - share).try_cast("decimal(12, 2)")


def parse_number(
    text: ir.StringValue, number_type: Literal["float32", "int16", "int32"], *, within: tuple[int, int] | None = None
) -> ir.NumericValue:
    """Read a count or a quantity: a plain decimal that fits the type, a whole one if the type is, or null.

    What is computed with must lie `within` a range: the engine may compute a row before it is set aside.
    """
    pattern = AMOUNT_PATTERN if number_type == "float32" else WHOLE_PATTERN
    number = _plain(text, pattern).try_cast("float64")
    if within is not None:
        number = ibis.ifelse(number.between(*within), number, ibis.null("float64"))
    return number.try_cast(number_type)


def any_of(values: Sequence[ir.Value], is_so: Callable[[ir.Value], ir.BooleanValue]) -> ir.BooleanValue:
    """Whether something, never null, is true of any of some values of a row; planned once for all of them."""
    if len(values) < _MANY_VALUES:
        return ibis.or_(*map(is_so, values))
    return ibis.array(values).filter(is_so).length() > 0


def add_each(rows: ir.Table, values: Mapping[str, ir.Value], made_of: Callable[[ir.Value], ir.Value]) -> ir.Table:
    """Add a column made of each of some values of a row; of many it is planned once, over a list of them."""
    if len(values) < _MANY_VALUES:
        return rows.mutate(**{name: made_of(value) for name, value in values.items()})
    listed = rows.mutate(**{_LISTED: ibis.array([*values.values()]).map(made_of)})
    return listed.mutate(**{name: listed[_LISTED][place] for place, name in enumerate(values)}).drop([_LISTED])


def clean_word(text: ir.StringValue) -> ir.StringValue:
    """Write a word of a closed vocabulary in lower case, without blanks around it; nothing but blanks is null."""
    return text.replace("\u00a0", " ").strip().lower().nullif("")


def _is_plain_id(text: ir.StringValue) -> ir.BooleanValue:
    """Tell most identifiers that need no cleaning by one pattern: no blanks, and not only what can stand for none."""
    return ((text.length() > _MAX_NO_ID) & text.re_search(_PLAIN_ID)).fill_null(True)


def clean_id(text: ir.StringValue) -> ir.StringValue:
    """Write an identifier without blanks around it or invisible characters in it; what stands for none is null.

    Zeros and case stay as they are. No identifier are the words that say so, zeros or punctuation alone, and seven or
    more nines.
    """
    return _clean(text, NO_ID)


def clean_number(text: ir.StringValue) -> ir.StringValue:
    """Write the number of a claim as an identifier; the first claim of a sender can be 0."""
    return _clean(text, NO_NUMBER)


def _clean(text: ir.StringValue, none: str) -> ir.StringValue:
    trimmed = text.re_replace(AROUND_ID, "").re_replace(FORMULA, r"\1")
    is_none = trimmed.lower().isin(NO_ID_WORDS) | trimmed.re_search(none)
    return ibis.ifelse(_is_plain_id(text), text, ibis.ifelse(is_none, ibis.null("string"), trimmed))
