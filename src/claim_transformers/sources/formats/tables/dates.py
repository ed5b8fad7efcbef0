"""Dates in the format that a mapping declares, rewritten as `YYYYMMDD`, so that the checks of all sources apply.

A format is put together from `YYYY`, `MM` or `MON` (JAN) and `DD`, with signs between them, such as `MM/DD/YYYY`; `M`
and `D` stand for one digit or two. A time behind it, ` hh:mm:ss`, tells versions apart and is else not read. Years of
two digits are refused, and nothing else is guessed: what has not the format stays unreadable, and the checks find it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import ibis

from claim_transformers.claims.fields import parse_date

if TYPE_CHECKING:
    import ibis.expr.types as ir

_PARTS = re.compile(r"YYYY|MON|MM|M|DD|D")
_PATTERNS = {
    "YYYY": "([0-9]{4})",
    "MM": "([0-9]{2})",
    "M": "([0-9]{1,2})",
    "MON": "([A-Za-z]{3})",
    "DD": "([0-9]{2})",
    "D": "([0-9]{1,2})",
}
TIME = " hh:mm:ss"
_TIME_PATTERN = "[ T]([012]?[0-9])(:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?)(?: ?([AaPp])[Mm])?"
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTH_NUMBERS = {month: f"{number:02d}" for number, month in enumerate(_MONTHS, start=1)}
_UNREADABLE = "unreadable"


def is_format(text: str, *, of_month: bool = False) -> bool:
    """Whether a text is a format of dates, or of months, that this file reads."""
    parts, rest = _split(text)
    kinds = sorted({"MON": "M", "MM": "M", "DD": "D"}.get(part, part) for part in parts)
    known = [["D", "M", "YYYY"]] + ([["M", "YYYY"]] if of_month else [])
    return kinds in known and re.fullmatch(r"[-/. ]*", rest) is not None


def _split(text: str) -> tuple[list[str], str]:
    """The parts of a format, and the signs that are left of it."""
    bare = text.removesuffix(TIME)
    return _PARTS.findall(bare), _PARTS.sub("", bare)


@cache
def pattern_of(date_format: str) -> str:
    """Regular expression of a format, with one group for each of its parts."""
    bare = date_format.removesuffix(TIME)
    pattern, place = "", 0
    for match in _PARTS.finditer(bare):
        pattern += bare[place : match.start()].replace(".", "[.]") + _PATTERNS[match.group()]
        place = match.end()
    pattern += bare[place:].replace(".", "[.]")
    return f"^{pattern}{_TIME_PATTERN if bare != date_format else ''}$"


def compact_date(text: ir.StringValue, date_format: str) -> ir.StringValue:
    """Write a date as `YYYYMMDD`; of a format without a day, the first of the month."""
    if date_format == "YYYYMMDD":
        return text
    pattern, (parts, _) = pattern_of(date_format), _split(date_format)
    groups = {part: text.re_extract(pattern, number) for number, part in enumerate(parts, start=1)}
    if "MON" in groups:
        month = groups["MON"].upper().cases(*_MONTH_NUMBERS.items(), else_=_UNREADABLE)
    else:
        month = groups["MM"] if "MM" in groups else groups["M"]
    day = groups.get("DD", groups.get("D", ibis.literal("01")))
    compact = groups["YYYY"] + month.lpad(2, "0") + day.lpad(2, "0")
    # A row without the format would be put together from nothing.
    return ibis.ifelse(text.isnull() | text.re_search(pattern), compact, _UNREADABLE)


def version_order(text: ir.StringValue, date_format: str) -> ir.Value:
    """What the later of two versions has more of, a number or with a format a date and its time; null of neither."""
    if not date_format:
        return text.try_cast("decimal(38, 6)")  # Times run together have more digits than a float.
    compact = compact_date(text, date_format)
    day = parse_date(compact, "YYYYMMDD")
    if not date_format.endswith(TIME):
        return day
    first = len(_split(date_format)[0]) + 1
    hour, rest, half = (text.re_extract(pattern_of(date_format), first + place) for place in range(3))
    hours = hour.try_cast("int16")
    hours = half.upper().cases(("A", hours % 12), ("P", hours % 12 + 12), else_=hours)
    return ibis.ifelse(day.notnull(), compact + hours.cast("string").lpad(2, "0") + rest, ibis.null("string"))
