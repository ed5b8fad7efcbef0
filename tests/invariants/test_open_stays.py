"""A stay that shows its admission alone, a visit of its type without codes, in tokenizer, collators and models."""

import pyarrow as pa
import pytest
import torch
from claim_batches import randomise

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification
from claim_transformers.training import DataCollatorForClaimClassification, DataCollatorForClaimPretraining

VOCABULARY = {"SEX/F": 3, "TYPE/OP": 4, "TYPE/IP": 5, "ICD9CM/493": 6, "ICD9CM/428": 7, "DAY/0-0": 8}
SIZE = {"vocab_size": 60, "num_categories": 7, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
PATIENT = {
    "patient_id": "P1", "sex": "F", "birth_day": -5000, "index_day": 30, "label": 1,
    "visit_day": [7, 20, 25], "visit_type": ["OP", "IP", "SNF"], "codes": [["ICD9CM/49392"], [], []],
    "visit_end_day": [7, None, None], "visit_paid_day": [9, None, 29],
}  # fmt: skip


@pytest.fixture
def tokenizer():
    return ClaimTokenizer(VOCABULARY, time_tokens="none")


def table(**changes):
    return pa.Table.from_pylist([PATIENT | changes])


@pytest.mark.parametrize("column", ["visit_end_day", "visit_paid_day"])
def test_the_days_on_which_visits_ended_and_were_paid_never_become_tokens(tokenizer, column):
    row = PATIENT | {column: [29, 29, 29]}
    assert tokenizer.encode_table(pa.Table.from_pylist([row])).equals(tokenizer.encode_table(table()))
    assert dict(tokenizer(row)) == dict(tokenizer(PATIENT))


def test_an_admission_is_the_token_of_its_type_and_nothing_where_the_vocabulary_lacks_the_type(tokenizer):
    (row,) = tokenizer.encode_table(table()).to_pylist()
    assert row["input_ids"] == [3, 4, 6, 5]
    assert row["visit_ids"] == [0, 1, 1, 2]
    assert row["visit_days"] == [23, 0, 13, 18]
    assert dict(tokenizer(PATIENT))["input_ids"] == row["input_ids"]


@pytest.mark.parametrize("pooling", ["max", "sum", "none", "recurrent"])
def test_models_read_an_admission_and_stay_finite(tokenizer, pooling):
    if pooling == "recurrent":
        model = randomise(RecurrentForSequenceClassification(RecurrentConfig(vocab_size=60, hidden_size=16))).eval()
    else:
        config = ClaimConfig(**SIZE, nvp_context="none", visit_pooling=pooling)
        model = randomise(ClaimForSequenceClassification(config)).eval()
    collate = DataCollatorForClaimClassification(tokenizer)
    without = {"visit_day": [7], "visit_type": ["OP"], "codes": [["ICD9CM/49392"]]}
    logits = [model(**collate(tokenizer.encode_table(table(**changes)))).logits for changes in ({}, without)]
    assert torch.isfinite(torch.cat(logits)).all()
    assert not torch.allclose(*logits)


def test_pretraining_on_visits_without_codes_has_a_finite_loss(tokenizer):
    model = randomise(ClaimForPreTraining(ClaimConfig(**SIZE, nvp_context="none"))).eval()
    batch = DataCollatorForClaimPretraining(tokenizer)(tokenizer.encode_table(table()))
    assert torch.isfinite(model(**batch).loss)
