"""How much of a cohort a tokenizer knows, in one line."""

import pyarrow as pa

from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import describe_backoffs


def test_codes_are_known_back_off_or_are_unknown():
    codes = [[["ICD9CM/49392", "ICD9CM/49390", "NDC/1", "ICD9CM/4280"]]]
    table = pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes})
    line = describe_backoffs(ClaimTokenizer({"ICD9CM/49392": 3, "ICD9CM/493": 4}), table)
    assert line.startswith("4 codes: 25.00 % known, 25.00 % backed off")
    assert line.endswith("50.00 % unknown")


def test_no_codes_are_no_error():
    codes = pa.array([[[]]], pa.list_(pa.list_(pa.string())))
    table = pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes})
    assert describe_backoffs(ClaimTokenizer({"A/1": 3}), table).startswith("0 codes: 0.00 % known")
