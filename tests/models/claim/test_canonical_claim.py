"""What a patient is written with and the tokenizer would leave out is refused, with the name that was meant."""

import pyarrow as pa
import pytest

from claim_transformers.models.claim import ClaimTokenizer

TOKENIZER = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5})
VISIT = {"day": 3, "type": "OP", "codes": ["ICD9CM/493"]}
ROW = {"sex": "F", "visit_day": [3], "visit_type": ["OP"], "codes": [["ICD9CM/493"]]}


@pytest.mark.parametrize(
    ("patient", "message"),
    [
        ({"gender": "F", "visits": [VISIT]}, "write gender as sex"),
        ({"Sex": "F", "visits": [VISIT]}, "write Sex as sex"),
        ({"birthday": "1960-01-01", "visits": [VISIT]}, "write birthday as birth_day"),
        ({"member": 7, "visits": [VISIT]}, "found member, which would be left out"),
        ({"visits": [{**VISIT, "code": "X"}]}, r"visits\[0\], found code, .* write code as codes"),
        ({"visits": [VISIT, {**VISIT, "paid": 3.0}]}, r"visits\[1\], found paid, .* remove what is not read"),
        ({"birthday": 3, **ROW}, "write birthday as birth_day"),
    ],
)
def test_a_key_that_is_not_read_is_named_with_the_one_that_is_near(patient, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER(patient)
    with pytest.raises(ValueError, match=message):
        TOKENIZER([patient, patient])


def test_rows_and_tables_may_hold_columns_of_their_own_but_none_that_is_misspelt():
    table = pa.table({**{name: [value] for name, value in ROW.items()}, "fold": [2], "patient_id": ["a"]})
    assert TOKENIZER.encode_table(table, keep_columns=[]).num_rows == 1
    assert TOKENIZER({**ROW, "fold": 2})["input_ids"] == TOKENIZER(ROW)["input_ids"]
    with pytest.raises(ValueError, match="write birthday as birth_day"):
        TOKENIZER.encode_table(table.append_column("birthday", [[3]]), keep_columns=[])
