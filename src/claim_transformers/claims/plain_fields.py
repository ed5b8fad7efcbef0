"""Fields of a raw row that is in memory: what `fields` reads as expressions, for the few rows of a request.

Formats, fillers and words are those of `fields`; tests hold the two to equal values.
"""

import datetime as dt
import re
from decimal import ROUND_HALF_UP, Decimal

from claim_transformers.claims.fields import (
    AMOUNT_PATTERN,
    AROUND_ID,
    EARLIEST_DATE,
    FILLER_DATES,
    FORMULA,
    LATEST_DATE,
    NO_ID,
    NO_ID_WORDS,
    NO_NUMBER,
    WHOLE_PATTERN,
)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_AMOUNT, _WHOLE, _AROUND = re.compile(AMOUNT_PATTERN), re.compile(WHOLE_PATTERN), re.compile(AROUND_ID)
_FORMULA = re.compile(FORMULA)
_NO_ID, _NO_NUMBER = re.compile(NO_ID), re.compile(NO_NUMBER)
_FILLERS = frozenset(FILLER_DATES)
_CENT, _MAX_AMOUNT = Decimal("0.01"), Decimal(10) ** 10


def read_date(text: str | None) -> dt.date | None:
    """Read a date as `YYYY-MM-DD`, none if it is impossible, a filler or written otherwise."""
    if text is None or not EARLIEST_DATE <= text <= LATEST_DATE or text in _FILLERS or not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def is_filler_date(text: str | None) -> bool:
    """Whether a text stands for no date."""
    return text in _FILLERS


def read_amount(text: str | None) -> Decimal | None:
    """Read an amount in US dollars: a plain decimal or none."""
    if text is None or not _AMOUNT.fullmatch(text):
        return None
    return fit_amount(Decimal(text))


def fit_amount(amount: Decimal) -> Decimal | None:
    """An amount in whole cents, none if it does not fit."""
    rounded = amount.quantize(_CENT, ROUND_HALF_UP)
    return rounded if abs(rounded) < _MAX_AMOUNT else None


def read_number(text: str | None) -> float | None:
    """Read a quantity: a plain decimal or none."""
    return None if text is None or not _AMOUNT.fullmatch(text) else float(text)


def read_whole(text: str | None, bits: int) -> int | None:
    """Read a count that fits so many bits: a whole number or none."""
    if text is None or not _WHOLE.fullmatch(text):
        return None
    number = int(float(text))
    return number if -(1 << bits - 1) <= number < 1 << bits - 1 else None


def tidy_word(text: str | None) -> str | None:
    """Write a word of a closed vocabulary in lower case, without blanks around it; nothing but blanks is none."""
    return None if text is None else text.replace("\u00a0", " ").strip().lower() or None


def tidy_id(text: str | None) -> str | None:
    """Write the id of a person without blanks around it; what stands for none is none."""
    return _tidy(text, _NO_ID)


def tidy_number(text: str | None) -> str | None:
    """Write the number of a claim as an identifier; the first claim of a sender can be 0."""
    return _tidy(text, _NO_NUMBER)


def _tidy(text: str | None, none: re.Pattern[str]) -> str | None:
    if text is None:
        return None
    trimmed = _FORMULA.sub(r"\1", _AROUND.sub("", text))
    return None if trimmed.lower() in NO_ID_WORDS or none.search(trimmed) else trimmed
