"""Ages in calendar years: a year is full on the birthday, whatever leap days lie between.

Somebody born on 29 February has a birthday on 1 March of other years, as their age in whole months has it.
"""

import numpy as np
import numpy.typing as npt


def whole_years(birth_day: npt.ArrayLike, day: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Ages on a day in full calendar years, both in days since 1970-01-01; negative before birth."""
    born, now = _dates(birth_day), _dates(day)
    months = (
        _months(now).astype(np.int64) - _months(born).astype(np.int64) - (_day_of_month(now) < _day_of_month(born))
    )
    years: npt.NDArray[np.int64] = months // 12
    return years


def birthday(birth_day: npt.ArrayLike, age_years: int) -> npt.NDArray[np.int64]:
    """The day on which somebody is that many years old, in days since 1970-01-01."""
    born = _dates(birth_day)
    day: npt.NDArray[np.int64] = (
        (_months(born) + 12 * age_years).astype("datetime64[D]") + _day_of_month(born)
    ).astype(np.int64)
    return day


def _dates(days: npt.ArrayLike) -> npt.NDArray[np.datetime64]:
    return np.asarray(days, np.int64).astype("datetime64[D]")


def _months(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    return dates.astype("datetime64[M]")


def _day_of_month(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.timedelta64]:
    """Days since the first of the month."""
    days: npt.NDArray[np.timedelta64] = dates - _months(dates)
    return days
