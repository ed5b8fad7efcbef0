import torch

from claim_transformers.analysis.explanation.average_codes import average_rows, reason_kinds, token_kinds
from claim_transformers.models.claim import ClaimTokenizer

TOKENS = ["SEX/F", "SEX/M", "TYPE/OP", "GAP/START", "GAP/1", "UNK/ICD10CM", "ICD10CM/A00", "HCPCS/99213", "RACE/1"]


def test_codes_are_one_kind_and_what_describes_a_patient_or_a_visit_has_its_own():
    tokenizer = ClaimTokenizer({token: number for number, token in enumerate(TOKENS, 3)})
    kinds = token_kinds(tokenizer)
    assert kinds == [None] * 3 + ["SEX", "SEX", "TYPE", "time", "time", "codes", "codes", "codes", "RACE"]
    assert reason_kinds(kinds)[5:9].tolist() == ["visit type", "time", "time", "code"]


def test_a_row_becomes_the_mean_of_its_kind_and_of_all_where_it_is_alone():
    table = torch.tensor([[100.0], [1.0], [3.0], [8.0]])
    assert average_rows(table, [None, "SEX", "SEX", "TYPE"]).flatten().tolist() == [4.0, 2.0, 2.0, 4.0]
