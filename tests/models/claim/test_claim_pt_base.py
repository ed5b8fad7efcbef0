"""The checkpoint in the package: it loads by name without a network, and says what it said when it shipped."""

from typing import Any

import pytest
import torch
from models.claim.packaged_checkpoints import (
    EVERY_CHECKPOINT,
    MOST_BYTES,
    encode,
    files_of,
    has_encoder_of,
    missing_in_card,
    read_by_auto_classes,
    size_of,
)
from transformers import AutoModelForPreTraining

from claim_transformers.models.claim import (
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    ClaimTokenizer,
)

NAME = "claim-pt-base"
GOLDEN = {
    "asthma within a year, inpatient": -7.83489,
    "asthma within a year, elsewhere": -2.20492,
    "asthma at the next visit": -2.58881,
    "all next visits": 1.33550,
    "norm of the patient vector": 12.83307,
}
CHILD: dict[str, Any] = {
    "birth_day": 12_000,
    "index_day": 15_700,
    "sex": "F",
    "visit_day": [15_000, 15_010, 15_300, 15_301, 15_600],
    "visit_type": ["OP", "RX", "OP", "IP", "OP"],
    "codes": [
        ["ICD9CM/49390", "HCPCS/99213"],
        ["ICD9CM/V202"],
        ["ICD9CM/49392", "HCPCS/99284"],
        ["ICD9CM/49391", "REV/0120"],
        ["ICD9CM/4660", "HCPCS/99213"],
    ],
}


@pytest.fixture(scope="module")
def tokenizer() -> ClaimTokenizer:
    return ClaimTokenizer.from_pretrained(NAME)


@pytest.fixture(scope="module")
def model() -> ClaimForPreTraining:
    return ClaimForPreTraining.from_pretrained(NAME)


@pytest.fixture(scope="module")
def batch(tokenizer) -> dict[str, torch.Tensor]:
    return encode(tokenizer, CHILD)


def _logit(model, tokenizer, batch, category, *, is_inpatient):
    column = tokenizer.category_names.index(category) + is_inpatient * tokenizer.num_categories
    with torch.no_grad():
        return model.horizon_decoder(model.claim(**batch).pooler_output)[0, column].item()


def test_golden_logits(model, tokenizer, batch):
    with torch.no_grad():
        following = model.predict_next_visit(**batch)[0]
        vector = model.claim(**batch).pooler_output[0]
    found = {
        "asthma within a year, inpatient": _logit(model, tokenizer, batch, "CCS/128", is_inpatient=True),
        "asthma within a year, elsewhere": _logit(model, tokenizer, batch, "CCS/128", is_inpatient=False),
        "asthma at the next visit": following[tokenizer.category_names.index("CCS/128")].item(),
        "all next visits": following.double().logsumexp(0).item(),
        "norm of the patient vector": vector.norm().item(),
    }
    assert found == pytest.approx(GOLDEN, abs=1e-3)


def test_an_asthmatic_child_is_at_more_risk_than_the_same_child_without_asthma(model, tokenizer, batch):
    healthy = {**CHILD, "codes": [[code for code in codes if "/493" not in code] for codes in CHILD["codes"]]}
    other = encode(tokenizer, healthy)
    with_asthma, without = (_logit(model, tokenizer, one, "CCS/128", is_inpatient=True) for one in (batch, other))
    assert with_asthma > without + 1


@pytest.mark.parametrize("head", [ClaimModel, ClaimForSequenceClassification, ClaimForVisitClassification])
def test_every_head_takes_its_encoder(head, model):
    assert has_encoder_of(head.from_pretrained(NAME), model)


def test_auto_classes_take_its_folder(model):
    expected = (ClaimModel, ClaimForPreTraining, model.config.vocab_size)
    assert read_by_auto_classes(NAME, AutoModelForPreTraining) == expected


def test_it_is_small_and_holds_nothing_but_a_checkpoint():
    assert files_of(NAME).keys() == EVERY_CHECKPOINT
    assert size_of(NAME) <= MOST_BYTES


def test_its_card_says_what_it_is_for_and_how_it_was_made():
    assert missing_in_card(NAME, ["--seed 11"]) == []
