"""Changing the codes of every visit at once, against the same done visit by visit."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.claims.visit_codes import add_number_codes, drop_codes, roll_up_visits
from claim_transformers.codes.roll_up import RollUp

CODES = [
    [["ICD9CM/49390", "ICD9CM/49392", "NDC/00093014505"], []],
    [],
    [["HCPCS/99213"]],
    [["ICD9PCS/8154", "DRG/470"], ["ICD9CM/4019"]],
]
TABLE = pa.table(
    {
        "patient_id": ["a", "b", "c", "d"],
        "codes": pa.array(CODES, pa.list_(pa.list_(pa.string()))),
        "visit_amount": pa.array([[10, None], [], [500], [None, 20]], pa.list_(pa.float32())),
        "length_of_stay_days": pa.array([3, 4, None, 9], pa.int32()),
    }
)
BINS = NumberBins({"PAID": (100.0,), "LOS": (4.0, 8.0)})


@pytest.mark.parametrize("depth", ["code", "category", "chapter"])
def test_rolling_up_equals_rolling_up_visit_by_visit(depth):
    roll_up = RollUp(depth)
    expected = [[sorted({roll_up.code(code) for code in visit}) for visit in visits] for visits in CODES]
    assert roll_up_visits(TABLE, roll_up)["codes"].to_pylist() == expected


def test_a_slice_and_several_chunks_give_the_same():
    whole = roll_up_visits(TABLE, RollUp("chapter"))["codes"].to_pylist()
    assert roll_up_visits(TABLE.slice(2), RollUp("chapter"))["codes"].to_pylist() == whole[2:]
    chunks = pa.concat_tables([TABLE.slice(0, 2), TABLE.slice(2)])
    assert roll_up_visits(chunks, RollUp("chapter"))["codes"].to_pylist() == whole


def test_amounts_stand_on_their_visit_and_the_length_of_stay_on_the_last():
    added = add_number_codes(TABLE, BINS)["codes"].to_pylist()
    assert added == [
        [[*CODES[0][0], "PAID/0"], ["LOS/0"]],
        [],
        [["HCPCS/99213", "PAID/1"]],
        [["ICD9PCS/8154", "DRG/470"], ["ICD9CM/4019", "PAID/0", "LOS/2"]],
    ]


def test_only_what_was_fitted_is_added_and_other_columns_stay():
    added = add_number_codes(TABLE, NumberBins({"LOS": (4.0,)}))
    assert added.drop_columns("codes").equals(TABLE.drop_columns("codes"))
    assert "PAID/0" not in str(added["codes"].to_pylist())


def test_a_table_without_rows_stays_empty():
    empty = TABLE.slice(0, 0)
    assert roll_up_visits(empty, RollUp("chapter")).num_rows == 0
    assert add_number_codes(empty, BINS).num_rows == 0


def test_rolled_up_codes_of_many_visits_are_distinct_and_sorted():
    draw = np.random.default_rng(1)
    codes = [[[f"ICD9CM/{n}" for n in draw.integers(390, 460, 8)] for _ in range(3)] for _ in range(200)]
    table = pa.table({"codes": pa.array(codes, pa.list_(pa.list_(pa.string())))})
    for visits in roll_up_visits(table, RollUp("category"))["codes"].to_pylist():
        assert all(visit == sorted(set(visit)) for visit in visits)


def test_codes_of_a_prefix_are_dropped_and_emptied_visits_stay():
    table = pa.table(
        {"codes": [[["DISP/02", "DRG/470"], ["DISP/01"]], []], "patient_codes": [["RACE/X", "DUAL/1"], None]}
    )
    assert drop_codes(table, "DISP/")["codes"].to_pylist() == [[["DRG/470"], []], []]
    assert drop_codes(table, "RACE/", column="patient_codes")["patient_codes"].to_pylist() == [["DUAL/1"], []]
    sliced = drop_codes(table.slice(1), "DISP/")
    assert sliced["codes"].to_pylist() == [[]]
