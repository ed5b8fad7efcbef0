"""Spans that merge, demographics of which the latest counts, and births that cannot be one person's."""

import datetime as dt
import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.enrollment import (
    ELIGIBILITY_COLUMNS,
    EligibilityRows,
    days_of,
    merge_eligibility,
    overruled,
    years_apart,
)
from claim_transformers.claims.packing import NULL_DAY

EPOCH = dt.date(1970, 1, 1)


def rows_of(*rows):
    """Rows of patient, start, end and, optionally, sex, birth and death."""
    full = [(*row, *(-1, NULL_DAY, NULL_DAY)[len(row) - 3 :]) for row in rows]
    patients, starts, ends, sexes, births, deaths = (np.array(column) for column in zip(*full, strict=True))
    days = [column.astype(np.int32) for column in (births, deaths, starts, ends)]
    return EligibilityRows(patients, sexes.astype(np.int8), *days)


def spans(merged):
    starts, ends = merged.span_starts.tolist(), merged.span_ends.tolist()
    return [
        list(zip(starts[first:last], ends[first:last], strict=True))
        for first, last in zip(merged.span_offsets[:-1], merged.span_offsets[1:], strict=True)
    ]


@pytest.mark.parametrize(
    ("second", "merged"),
    [
        ((5, 9), [(0, 10)]),
        ((10, 20), [(0, 20)]),
        ((11, 20), [(0, 20)]),
        ((12, 20), [(0, 10), (12, 20)]),
        ((0, 10), [(0, 10)]),
        ((-5, -1), [(-5, 10)]),
        ((-5, -2), [(-5, -2), (0, 10)]),
        ((15, 14), [(0, 10)]),
        ((15, 15), [(0, 10), (15, 15)]),
        ((NULL_DAY, 20), [(0, 10)]),
        ((15, NULL_DAY), [(0, 10)]),
    ],
)
def test_spans_merge_when_no_day_lies_between_them(second, merged):
    assert spans(merge_eligibility(rows_of((0, 0, 10), (0, *second)), 1)) == [merged]


def test_a_long_span_swallows_all_that_lie_inside_it():
    rows = rows_of((0, 0, 100), (0, 5, 9), (0, 50, 60), (0, 101, 120), (0, 122, 130))
    assert spans(merge_eligibility(rows, 1)) == [[(0, 120), (122, 130)]]


def test_spans_of_neighbours_never_merge():
    rows = rows_of((0, 0, 40_000), (1, -9, 5), (3, 40_001, 40_002))
    assert spans(merge_eligibility(rows, 5)) == [[(0, 40_000)], [(-9, 5)], [], [(40_001, 40_002)], []]


def test_an_open_span_ends_on_the_last_day_of_the_data():
    assert spans(merge_eligibility(rows_of((0, 3, NULL_DAY)), 1, last_day=30)) == [[(3, 30)]]
    assert spans(merge_eligibility(rows_of((0, 31, NULL_DAY)), 1, last_day=30)) == [[]]
    assert spans(merge_eligibility(rows_of((0, 3, 9)), 1, last_day=30)) == [[(3, 9)]]


def test_enrollment_is_known_of_whom_a_source_or_a_span_tells():
    rows = rows_of((0, 3, 9), (1, 9, 3), (2, 9, 3))
    assert merge_eligibility(rows, 3).is_known.tolist() == [True, False, False]
    assert merge_eligibility(rows, 3, is_known=np.array([False, False, True])).is_known.tolist() == [True, False, True]


def test_the_latest_known_sex_birth_and_death_win():
    rows = rows_of((0, 0, 5, 0, 100, 900), (0, 6, 9, 1, NULL_DAY, 901), (0, 10, 12, -1, 102, NULL_DAY), (1, 0, 5, 0))
    merged = merge_eligibility(rows, 3)
    assert merged.sexes.tolist() == [1, 0, -1]
    assert merged.birth_days.tolist() == [102, NULL_DAY, NULL_DAY]
    assert merged.death_days.tolist() == [901, NULL_DAY, NULL_DAY]
    # Of rows that begin on one day the one that ends last, and of equal spans the larger value.
    assert merge_eligibility(rows_of((0, 0, 5, 1, 9), (0, 0, 6, 0, 8)), 1).birth_days.tolist() == [8]
    assert merge_eligibility(rows_of((0, 0, 5, 1, 9), (0, 0, 5, 0, 8)), 1).birth_days.tolist() == [9]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 30), st.integers(0, 30), st.integers(-1, 1), st.integers(0, 3),
        st.just(NULL_DAY),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(ROWS, st.randoms())
def test_merged_spans_hold_the_days_of_all_rows_in_any_order(rows, random):
    merged = merge_eligibility(rows_of(*rows), 3)
    for patient, found in enumerate(spans(merged)):
        days = {day for who, start, end, *_ in rows if who == patient for day in range(start, end + 1)}
        assert [day for start, end in found for day in range(start, end + 1)] == sorted(days)
        assert all(later > end + 1 for (_, end), (later, _) in itertools.pairwise(found))
    random.shuffle(rows)
    again = merge_eligibility(rows_of(*rows), 3)
    assert spans(again) == spans(merged)
    assert (again.sexes.tolist(), again.birth_days.tolist()) == (merged.sexes.tolist(), merged.birth_days.tolist())


def test_a_row_is_overruled_where_it_knows_otherwise_than_the_latest():
    rows = rows_of(
        (0, 0, 5, 0, 100, 900), (0, 6, 9, 0, 101, 900), (1, 0, 5, 1, 7), (1, 6, 7, 0, 7),
        (2, 0, 1, 1, 1, 5), (2, 3, 4, 1, 1, 6), (2, 3, 4, -1, NULL_DAY, NULL_DAY),
    )  # fmt: skip
    assert overruled(rows, merge_eligibility(rows, 3)).tolist() == [True, False, True, False, True, False, False]


def test_years_between_births_are_those_of_the_calendar():
    day = lambda text: (dt.date.fromisoformat(text) - EPOCH).days  # noqa: E731
    births = np.array([day("1990-12-31"), day("1991-01-01"), day("1991-01-01"), day("1991-12-31"), NULL_DAY, NULL_DAY,
                       day("1988-06-01"), day("1960-01-01"), day("1950-01-01"), day("1969-05-05")])  # fmt: skip
    patients = np.array([0, 0, 1, 1, 2, 3, 3, 4, 4, 4])
    assert years_apart(patients, births, 6).tolist() == [1, 0, 0, 0, 19, 0]


def test_rows_of_a_table_are_those_of_known_patients_and_the_others_are_named_once():
    values = {
        "patient_id": ["a", "x", "b", "x", None, "a"],
        "gender": ["F", "M", " male ", "F", "M", "?"],
        **{name: pa.array([dt.date(1970, 1, 2), None] * 3, pa.date32()) for name in ELIGIBILITY_COLUMNS[2:]},
    }
    batch = pa.RecordBatch.from_pydict(values)
    place = {"a": 0, "b": 1}
    position = lambda ids: np.array([place.get(one, -1) for one in ids.to_pylist()])  # noqa: E731
    rows, others = EligibilityRows.of_batches([batch, batch.slice(5)], position)
    assert rows.patients.tolist() == [0, 1, 0, 0]
    assert rows.sexes.tolist() == [0, 1, -1, -1]
    assert rows.birth_days.tolist() == [1, 1, NULL_DAY, NULL_DAY]
    assert others.to_pylist() == ["x"]
    nobody, none = EligibilityRows.of_batches([], position)
    assert (len(nobody.patients), none.to_pylist()) == (0, [])


def test_days_are_counted_from_1970_whatever_the_type_of_the_date():
    dates = pa.array([dt.date(1970, 1, 3), None, dt.date(1969, 12, 31)])
    for kind in (pa.date32(), pa.timestamp("us")):
        assert days_of(dates.cast(kind)).tolist() == [2, NULL_DAY, -1]


def test_no_rows_are_nobody():
    merged = merge_eligibility(EligibilityRows.empty(), 2)
    assert (merged.sexes.tolist(), merged.is_known.tolist(), merged.span_starts.tolist()) == (
        [-1] * 2,
        [False] * 2,
        [],
    )
