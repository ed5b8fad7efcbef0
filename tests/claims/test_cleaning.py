"""Which rows leave: duplicates, claims of two patients, failed checks, reversals."""

import pyarrow as pa
import pytest

from claim_transformers.claims.cleaning import (
    find_duplicates,
    find_failing_rows,
    find_repeated_keys,
    find_reversals,
    find_reversed_claims,
    find_shared_claims,
)
from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.quality import RowCheck, check_id


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def _rows(connection, **columns):
    num_rows = len(next(iter(columns.values())))
    table = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    numbers = {"source_file": ["f"] * num_rows, "row_no": list(range(1, num_rows + 1))}
    return load(connection, "raw_rows", pa.table(table | numbers))


def _numbers(connection, rows) -> list[int]:
    return sorted(fetch(connection, rows)["row_no"].to_pylist())


def test_only_copies_after_the_first_are_duplicates(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "2", "1"], paid=["5", "5", "5", "5"])
    copies = find_duplicates(rows, ["claim"], find_repeated_keys(rows, ["claim"]))
    assert _numbers(connection, copies) == [2, 4]


def test_rows_that_share_a_key_but_differ_elsewhere_are_no_duplicates(connection) -> None:
    rows = _rows(connection, claim=["1", "1"], paid=["5", "6"])
    assert _numbers(connection, find_duplicates(rows, ["claim"], find_repeated_keys(rows, ["claim"]))) == []


def test_rows_are_duplicates_also_where_columns_are_null(connection) -> None:
    rows = _rows(connection, claim=["1", "1"], segment=[None, None], paid=[None, None])
    copies = find_duplicates(rows, ["claim", "segment"], find_repeated_keys(rows, ["claim", "segment"]))
    assert _numbers(connection, copies) == [2]


def test_clean_rows_have_no_repeated_key(connection) -> None:
    rows = _rows(connection, claim=["1", "2"])
    assert fetch(connection, find_repeated_keys(rows, ["claim"])).num_rows == 0


def test_a_claim_without_patient_does_not_count_as_a_second_patient(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "2", "2"], patient=["a", None, "b", "c"])
    assert fetch(connection, find_shared_claims(rows, "claim", "patient")).num_rows == 1


def test_claims_without_id_are_not_one_shared_claim(connection) -> None:
    rows = _rows(connection, claim=[None, " "], patient=["a", "b"])
    assert fetch(connection, find_shared_claims(rows, "claim", "patient")).num_rows == 0


def test_the_first_failing_check_names_the_reason(connection) -> None:
    rows = _rows(connection, patient=[" ", "a", "b"])
    always = RowCheck("R_ALWAYS", "all rows", lambda rows: rows.patient.notnull() | rows.patient.isnull())
    found = fetch(connection, find_failing_rows(rows, [check_id("patient"), always]).order_by("row_no"))
    assert found["reason_code"].to_pylist() == ["R_NO_ID", "R_ALWAYS", "R_ALWAYS"]


def test_a_check_that_is_null_passes(connection) -> None:
    rows = _rows(connection, amount=[None])
    check = RowCheck("R_X", "compares with null", lambda rows: rows.amount > "1")
    assert fetch(connection, find_failing_rows(rows, [check])).num_rows == 0


def test_no_checks_is_a_mistake_of_the_caller(connection) -> None:
    with pytest.raises(ValueError, match="at least one check"):
        find_failing_rows(_rows(connection, claim=["1"]), [])


def _reversals(connection, rows, key) -> list[int]:
    claims = find_reversed_claims(rows, ["claim"], "paid")
    return _numbers(connection, find_reversals(rows, key, "paid", ["claim"], claims))


def test_a_charge_and_its_reversal_leave_together(connection) -> None:
    rows = _rows(connection, claim=["1", "1"], code=["x", "x"], paid=["12.50", "-12.5"])
    assert _reversals(connection, rows, ["claim", "code"]) == [1, 2]


@pytest.mark.parametrize(
    ("codes", "amounts"),
    [(["x", "x"], ["12.50", "-12.40"]), (["x", "y"], ["12.50", "-12.50"]), (["x", "x"], ["-5", "-5"])],
    ids=["other amount", "other code", "no charge"],
)
def test_rows_that_do_not_cancel_stay(connection, codes, amounts) -> None:
    rows = _rows(connection, claim=["1", "1"], code=codes, paid=amounts)
    assert _reversals(connection, rows, ["claim", "code"]) == []


def test_two_charges_and_one_reversal_leave_one_charge(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "1"], code=["x"] * 3, paid=["5", "-5", "5"], note=["b", "c", "a"])
    assert _reversals(connection, rows, ["claim", "code"]) == [2, 3]


def test_which_charge_stays_does_not_depend_on_the_order_of_rows(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "1"], code=["x"] * 3, paid=["5", "5", "-5"], note=["a", "b", "c"])
    assert _reversals(connection, rows, ["claim", "code"]) == [1, 3]


def test_a_zero_amount_reverses_nothing(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "1"], code=["x"] * 3, paid=["0", "-5", "5"])
    assert _reversals(connection, rows, ["claim", "code"]) == [2, 3]
