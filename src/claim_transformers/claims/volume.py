"""Months of odd volume: a partition that is missing or cut shows as a month with far fewer rows than the others."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_LOW_SHARE = 0.5
# Of fewer rows a month, half as many are no surprise.
_MIN_MEDIAN_ROWS = 20


class MonthCounts:
    """Rows by month and group, collected batch by batch."""

    def __init__(self, num_groups: int) -> None:
        self.rows: list[dict[int, int]] = [{} for _ in range(num_groups)]

    def add(self, dates: pa.Array, groups: npt.NDArray[np.int64]) -> None:
        """Count rows that have a date; groups are numbered from 0."""
        is_dated = dates.is_valid().to_numpy(zero_copy_only=False)
        days = dates.drop_null().cast(pa.int32()).to_numpy()
        if not len(days):
            return
        start = days.min()
        months = np.arange(start, days.max() + 1).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        first, width = months[0], int(months[-1] - months[0]) + 1
        counts = np.bincount(groups[is_dated] * width + (months - first)[days - start])
        for place in np.flatnonzero(counts).tolist():
            rows, month = self.rows[place // width], place % width + int(first)
            rows[month] = rows.get(month, 0) + int(counts[place])


def low_months(rows: Mapping[int, int]) -> list[str]:
    """Months with less than half of the rows of the median month, between the first and last that have as many.

    Months before and after are the beginning and the end of the data, or single rows far away.
    """
    least = _LOW_SHARE * float(np.median(list(rows.values()))) if rows else 0.0
    if least < _LOW_SHARE * _MIN_MEDIAN_ROWS:
        return []
    full = [month for month, number in rows.items() if number >= least]
    low = [month for month in range(min(full), max(full)) if rows.get(month, 0) < least]
    return [str(np.datetime64(month, "M")) for month in low]
