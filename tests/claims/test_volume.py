import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims.volume import MonthCounts, low_months


def low_months_of(*rows_by_month):
    """January 2015 on, rows a month, in batches of a third of the rows in a fixed shuffled order."""
    months = np.repeat(np.datetime64("2015-01") + np.arange(len(rows_by_month)), rows_by_month)
    days = np.random.default_rng(1).permutation(months.astype("datetime64[D]") + 14)
    counts = MonthCounts(num_groups=2)
    for part in np.array_split(days, 3):
        counts.add(pa.array(part), np.ones(len(part), np.int64))
    assert low_months(counts.rows[0]) == []
    return low_months(counts.rows[1])


@pytest.mark.parametrize(
    ("rows_by_month", "expected"),
    [
        ((100, 100, 50, 100, 100), []),
        ((100, 100, 49, 100, 100), ["2015-03"]),
        ((100, 100, 0, 0, 100), ["2015-03", "2015-04"]),
        ((100, 100, 100, 30), []),
        ((1, 100, 100, 20, 100), ["2015-04"]),
        ((100, 100, 100, *[0] * 40, 1), []),
        ((20, 20, 9, 20, 20), ["2015-03"]),
        ((20, 20, 10, 20, 20), []),
        ((50, 0, 100, 100, 100), ["2015-02"]),
        ((19, 19, 0, 19, 19), []),
        ((), []),
    ],
)
def test_a_month_of_less_than_half_the_median_is_low_inside_the_data(rows_by_month, expected):
    assert low_months_of(*rows_by_month) == expected


def test_rows_without_a_date_are_no_month():
    counts = MonthCounts(num_groups=1)
    counts.add(pa.array([None, None], pa.date32()), np.zeros(2, np.int64))
    assert low_months(counts.rows[0]) == []


def test_groups_are_counted_apart():
    counts = MonthCounts(num_groups=3)
    for group, months in ((0, (0, 2, 3)), (2, (0, 1, 3))):
        days = np.repeat([np.datetime64("1969-11", "M") + month for month in months], 30).astype("datetime64[D]")
        counts.add(pa.array([*days.tolist(), None]), np.full(91, group))
    assert [list(low_months(counts.rows[group])) for group in range(3)] == [["1969-12"], [], ["1970-01"]]
