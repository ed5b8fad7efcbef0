"""Months of the window in which claims are simulated, and how illness moves with the seasons."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Int = NDArray[np.signedinteger[Any]]
Bool = NDArray[np.bool_]
Key = NDArray[np.uint64]

_PAST_MONTHS = 276
_FUTURE_MONTHS = 24
# A day or month later than any: what never happens is never reached.
NEVER = np.int32(1 << 20)
# Days by which an elective visit moves, by day of the week from Monday on: Saturday to Friday, Sunday to Monday.
WEEKEND_SHIFT = np.array([0, 0, 0, 0, 0, -1, 1], dtype=np.int32)

# Relative rate in January to December; each profile is scaled to a mean of one. Sources: docs/simulation.md.
SEASONS: dict[str, tuple[float, ...]] = {
    "flat": (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    "rsv": (2.9, 2.4, 1.5, 0.7, 0.3, 0.15, 0.1, 0.1, 0.2, 0.5, 1.2, 2.4),
    "winter": (1.5, 1.5, 1.35, 1.0, 0.85, 0.65, 0.5, 0.6, 0.9, 1.05, 1.15, 1.3),
    "influenza": (2.6, 2.8, 1.7, 0.6, 0.2, 0.1, 0.1, 0.1, 0.3, 0.8, 1.1, 1.9),
    "asthma": (0.85, 0.9, 1.0, 1.1, 1.15, 0.7, 0.5, 0.65, 1.6, 1.45, 1.15, 0.95),
    "pollen": (0.6, 0.65, 1.0, 1.5, 1.6, 1.1, 0.75, 0.9, 1.35, 1.1, 0.75, 0.6),
    "summer": (0.7, 0.7, 0.85, 1.05, 1.25, 1.3, 1.3, 1.25, 1.15, 1.0, 0.8, 0.65),
    "school": (1.05, 1.1, 1.1, 1.15, 1.15, 0.8, 0.7, 0.8, 1.05, 1.1, 1.05, 0.95),
    "back_to_school": (0.85, 0.8, 0.85, 0.85, 0.9, 1.0, 1.25, 1.75, 1.2, 0.95, 0.8, 0.8),
}


def season_table(names: list[str]) -> Float:
    """Seasonal multipliers with a mean of one over the year."""
    table = np.array([SEASONS[name] for name in names], dtype=np.float64).reshape(len(names), 12)
    scaled: Float = (table / table.mean(axis=1, keepdims=True)).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Calendar:
    """Whole months between two dates, numbered from zero, with the months before and after them."""

    start: dt.date  # First day of the window, the first of a month.
    end: dt.date  # Last day of the window, the last of a month.
    months: int = field(init=False)
    first_days: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.start.day != 1:
            raise ValueError(
                f"expected a window of whole months, found one that starts on day {self.start.day} of a month"
            )
        if (self.end + dt.timedelta(days=1)).day != 1:
            raise ValueError("expected a window of whole months, found one that ends before the last day of a month")
        if self.end < self.start:
            raise ValueError("expected a window that ends after it starts, found an end before the start")
        months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month + 1
        if not 1 <= months <= 240:
            raise ValueError(f"expected a window of 1 to 240 months, found {months}")
        object.__setattr__(self, "months", months)
        first = np.datetime64(self.start, "M") - _PAST_MONTHS
        starts = np.arange(first, first + _PAST_MONTHS + months + _FUTURE_MONTHS + 1).astype("datetime64[D]")
        object.__setattr__(self, "first_days", starts.astype(np.int32))

    @property
    def first(self) -> int:
        """First day of the window, in days since 1970-01-01."""
        return int(self.first_days[_PAST_MONTHS])

    @property
    def last(self) -> int:
        """Last day of the window, in days since 1970-01-01."""
        return int(self.first_days[_PAST_MONTHS + self.months]) - 1

    def first_day(self, month: Int) -> Int:
        """First day of each month, in days since 1970-01-01."""
        days: Int = self.first_days[month + _PAST_MONTHS]
        return days

    def last_day(self, month: Int) -> Int:
        """Last day of each month, in days since 1970-01-01."""
        days: Int = self.first_days[month + (_PAST_MONTHS + 1)] - 1
        return days

    def month_of_year(self, month: Int) -> Int:
        """Month of the year, 0 for January."""
        months: Int = (month + (self.start.month - 1)) % 12
        return months

    def month_of_day(self, day: Int) -> Int:
        """Number of the month that holds each day, given in days since 1970-01-01."""
        months = day.astype("datetime64[D]").astype("datetime64[M]") - np.datetime64(self.start, "M")
        return months.astype(np.int32)

    def snapshots(self) -> Int:
        """Months of the window that begin on January 1 or July 1."""
        months = np.arange(self.months, dtype=np.int32)
        chosen: Int = months[self.month_of_year(months) % 6 == 0]
        return chosen


def calendar_of(start: str, end: str, example: str) -> Calendar:
    """Read the window between two dates in ISO form."""
    days = {}
    for name, text in (("start", start), ("end", end)):
        try:
            days[name] = dt.date.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"expected an ISO date such as {example} as {name}, found {text!r}") from error
    return Calendar(**days)
