"""Reversals: charges and what takes them back leave together, by whatever measure is negative."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.reversals import Reversal, find_reversals, is_negative

REVERSAL = Reversal(("patient", "code"), ("claim", "line"), ("paid", "allowed"), ("quantity", "days"))
_CONNECTION = connect(threads=1)
_COLUMNS = ("patient", "code", "claim", "line", "paid", "allowed", "quantity", "days", "date", "note")
CHARGE = dict(zip(_COLUMNS, ["a", "x", "1", "1", "12.00", "15.00", "30", "30", "0105", ""], strict=True))


def _net(*changes: dict) -> list[int]:
    """Numbers of the netted rows, from 1; each is a charge with changes."""
    table = {name: pa.array([(CHARGE | change)[name] for change in changes], pa.string()) for name in _COLUMNS}
    numbers = {"source_file": ["f"] * len(changes), "row_no": list(range(1, len(changes) + 1))}
    rows = load(_CONNECTION, "raw_rows", pa.table(table | numbers))
    negative = rows.filter(is_negative(rows, REVERSAL.measures)).select("source_file", "row_no")
    kinds = {name: "amount" if name in REVERSAL.measures else "code" for name in _COLUMNS}
    pairs = find_reversals(_CONNECTION, rows, negative, REVERSAL, kinds, rows.date)
    return sorted(fetch(_CONNECTION, pairs)["row_no"].to_pylist())


_OPPOSITE = {"paid": "-12", "allowed": "-15.0", "quantity": "-30.000", "days": "-30"}


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: value for name, value in _OPPOSITE.items() if name in names}
          for size in (1, 2, 4) for names in itertools.combinations(_OPPOSITE, size)],
        *[{**_OPPOSITE, "line": "2"}, {**_OPPOSITE, "claim": "9"}, {**_OPPOSITE, "date": "0102", "code": "X "}],
        *[{**_OPPOSITE, "paid": "", "allowed": ""}, {**_OPPOSITE, "paid": "0.00", "allowed": "0"}],
        *[{**_OPPOSITE, "quantity": "", "days": "0"}, {"paid": "-12", "quantity": None, "days": None}],
    ],
)  # fmt: skip
def test_a_reversal_by_any_measure_leaves_with_its_charge_in_either_order(changes) -> None:
    assert _net({}, changes) == _net(changes, {}) == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        *[{}, {"paid": "-11.99"}, {**_OPPOSITE, "quantity": "-10"}, {**_OPPOSITE, "days": "-29"}],
        *[{**_OPPOSITE, "patient": "b"}, {**_OPPOSITE, "code": "y"}, {"paid": "0"}, {"paid": "12-00"}],
    ],
)
def test_rows_that_do_not_cancel_stay(changes) -> None:
    assert _net({}, changes) == []


def test_two_fills_and_one_void_leave_one_fill_that_of_the_other_claim() -> None:
    assert _net({}, {"claim": "2"}, {**_OPPOSITE, "claim": "2"}) == [2, 3]
    assert _net({"line": "2"}, {}, {**_OPPOSITE, "line": "7"}, {"claim": "0"}) in ([1, 3], [2, 3])


def test_of_equal_charges_the_earliest_was_taken_back() -> None:
    assert _net({"date": "0301"}, {"date": "0105"}, {**_OPPOSITE, "date": "0201"}) == [2, 3]


def test_each_reversal_takes_one_charge() -> None:
    assert _net({}, {"note": "b"}, _OPPOSITE, {**_OPPOSITE, "note": "b"}, {**_OPPOSITE, "note": "c"})[:2] == [1, 2]
    assert len(_net({}, _OPPOSITE, {**_OPPOSITE, "claim": "2"})) == 2


def test_a_charge_without_any_measure_is_not_reversed() -> None:
    nothing = dict.fromkeys(REVERSAL.measures)
    assert _net(nothing, nothing) == []


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("12"), st.booleans()), min_size=1, max_size=6), st.randoms())
def test_what_stays_does_not_depend_on_the_order_of_rows(drawn, random) -> None:
    changes = [
        {"claim": claim, "note": str(number)} | (_OPPOSITE if is_reversal else {})
        for number, (claim, is_reversal) in enumerate(drawn)
    ]
    shuffled = random.sample(changes, len(changes))
    found = [{rows[number - 1]["note"] for number in _net(*rows)} for rows in (changes, shuffled)]
    assert found[0] == found[1]
    assert len(found[0]) == 2 * min(sum(is_reversal for _, is_reversal in drawn), sum(not one for _, one in drawn))
