"""Which rows leave: duplicates, claims of two patients, failed checks, versions."""

import pyarrow as pa
import pytest

from claim_transformers.claims.cleaning import (
    find_duplicates,
    find_failing_rows,
    find_repeated_keys,
    find_shared_claims,
    find_superseded,
    hash_of_ids,
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
    copies = find_duplicates(rows, find_repeated_keys(rows, ["claim"], {}), {})
    assert _numbers(connection, copies) == [2, 4]


def test_rows_that_share_a_key_but_differ_elsewhere_are_no_duplicates(connection) -> None:
    rows = _rows(connection, claim=["1", "1"], paid=["5", "6"])
    assert _numbers(connection, find_duplicates(rows, find_repeated_keys(rows, ["claim"], {}), {})) == []


def test_rows_are_duplicates_also_where_columns_are_null(connection) -> None:
    rows = _rows(connection, claim=["1", "1"], segment=[None, None], paid=[None, None])
    copies = find_duplicates(rows, find_repeated_keys(rows, ["claim", "segment"], {}), {})
    assert _numbers(connection, copies) == [2]


def test_clean_rows_have_no_repeated_key(connection) -> None:
    rows = _rows(connection, claim=["1", "2"])
    assert fetch(connection, find_repeated_keys(rows, ["claim"], {})).num_rows == 0


def test_a_claim_without_patient_does_not_count_as_a_second_patient(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "2", "2"], patient=["a", None, "b", "c"])
    assert fetch(connection, find_shared_claims(rows, ["claim"], "patient")).num_rows == 1


def test_claims_without_id_are_not_one_shared_claim(connection) -> None:
    rows = _rows(connection, claim=[None, None], patient=["a", "b"])
    assert fetch(connection, find_shared_claims(rows, ["claim"], "patient")).num_rows == 0


def test_a_claim_is_shared_only_within_its_data_source(connection) -> None:
    rows = _rows(connection, source=["x", "y", "y"], claim=["1"] * 3, patient=["a", "b", "c"])
    found = fetch(connection, find_shared_claims(rows, ["source", "claim"], "patient"))["claim_hash"].to_pylist()
    hashes = fetch(connection, rows.select(hash=hash_of_ids(rows, ["source", "claim"])))["hash"].to_pylist()
    assert found == [hashes[1]] != [hashes[0]]


def test_the_first_failing_check_names_the_reason(connection) -> None:
    rows = _rows(connection, patient=[None, "a", "b"])
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


@pytest.mark.parametrize(
    ("kind", "one", "other", "is_same"),
    [
        *[("amount", "50.0", "50.00", True), ("amount", "50", " 50 ", True), ("amount", "50.0", "50.01", False)],
        *[("number", "01", "1.0", True), ("number", "1", "-1", False), ("amount", "x", "X ", True)],
        *[("code", "E11.9", " e119", True), ("code", "E119", "E118", False), ("code", "", None, True)],
        *[("ndc", "0093-0145-05", "00093014505 ", True), ("ndc", "0093-0145-05", "00093-0145-06", False)],
        *[("ndc", "not one", "Not one", True), ("ndc", "93014505", "00093014505", False)],
        *[("id", "7", "\u30007\u200b", True), ("id", "7", "07", False), ("id", "a1", "A1", False)],
        *[("date", "2018-01-02", "2018-01-02 00:00:00", True), ("date", "02-MAR-2018", "02-Mar-2018 ", True)],
        *[("date", "2018-01-02", "2018-01-03", False), ("text", "Plan A", "plan a ", True), ("text", "a", "b", False)],
    ],
)
def test_rows_are_duplicates_in_whatever_writing_their_type_allows(connection, kind, one, other, is_same) -> None:
    rows = _rows(connection, claim=["1", "1", "1 "], value=[one, other, other], file_name=["x", "y", "z"])
    kinds = {"claim": "id", "value": kind}
    copies = find_duplicates(rows, find_repeated_keys(rows, ["claim"], kinds), kinds)
    assert fetch(connection, copies).num_rows == (2 if is_same else 1)


def test_which_copy_stays_does_not_depend_on_the_order_of_rows(connection) -> None:
    kinds = {"claim": "id", "payer": "text"}
    for payers in (["Plan", "PLAN"], ["PLAN", "Plan"]):
        rows = _rows(connection, claim=["1", "1"], payer=payers)
        (left,) = _numbers(connection, find_duplicates(rows, find_repeated_keys(rows, ["claim"], kinds), kinds))
        assert payers[left - 1] == "Plan"


def test_of_versions_the_last_stays_with_all_that_share_its_order(connection) -> None:
    rows = _rows(connection, claim=["1", "1", "1", "2", "3", "3"], day=["1", "2", "2", "1", None, "1"])
    assert _numbers(connection, find_superseded(rows, ["claim"], rows.day, {})) == [1]
