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
    "asthma within a year, inpatient": -7.11112,
    "asthma within a year, elsewhere": -1.04921,
    "asthma at the next visit": -1.73798,
    "all next visits": 1.42767,
    "norm of the patient vector": 12.90285,
}
CHILD: dict[str, Any] = {
    "birth_day": 12_000,
    "index_day": 15_700,
    "sex": "F",
    "visit_day": [15_000, 15_010, 15_300, 15_301, 15_600],
    "visit_type": ["OP", "RX", "OP", "IP", "OP"],
    "codes": [
        ["ICD10CM/J45909", "HCPCS/99213"],
        ["ICD10CM/Z00129"],
        ["ICD10CM/J45901", "HCPCS/99284"],
        ["ICD10CM/J45902", "DRG/203"],
        ["ICD10CM/J209", "HCPCS/99213"],
    ],
}
EARLIER = {"J45909": "49390", "Z00129": "V202", "J45901": "49392", "J45902": "49391", "J209": "4660"}


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
        "asthma within a year, inpatient": _logit(model, tokenizer, batch, "CCSR/RSP009", is_inpatient=True),
        "asthma within a year, elsewhere": _logit(model, tokenizer, batch, "CCSR/RSP009", is_inpatient=False),
        "asthma at the next visit": following[tokenizer.category_names.index("CCSR/RSP009")].item(),
        "all next visits": following.double().logsumexp(0).item(),
        "norm of the patient vector": vector.norm().item(),
    }
    assert found == pytest.approx(GOLDEN, abs=1e-3)


def test_an_asthmatic_child_is_at_more_risk_than_the_same_child_without_asthma(model, tokenizer, batch):
    healthy = {**CHILD, "codes": [[code for code in codes if "/J45" not in code] for codes in CHILD["codes"]]}
    other = encode(tokenizer, healthy)
    with_asthma, without = (_logit(model, tokenizer, one, "CCSR/RSP009", is_inpatient=True) for one in (batch, other))
    assert with_asthma > without + 1


def test_the_same_child_has_the_same_tokens_in_icd9_and_in_icd10(tokenizer, batch):
    def in_icd9(code: str) -> str:
        system, _, bare = code.partition("/")
        return f"ICD9CM/{EARLIER[bare]}" if system == "ICD10CM" else code

    other = encode(tokenizer, {**CHILD, "codes": [[in_icd9(code) for code in codes] for codes in CHILD["codes"]]})
    assert all(torch.equal(other[name], batch[name]) for name in batch)


def test_the_earlier_version_loads_by_its_name():
    earlier = ClaimTokenizer.from_pretrained(NAME, revision="v1")
    assert ClaimModel.from_pretrained(NAME, revision="v1").config.vocab_size == len(earlier)
    assert "ICD9CM/49392" in earlier.get_vocab()
    with pytest.raises(OSError, match="expected a version of 'claim-pt-base' out of 'main', 'v1'"):
        ClaimModel.from_pretrained(NAME, revision="v7")


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
