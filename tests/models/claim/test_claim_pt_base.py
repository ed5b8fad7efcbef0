"""The checkpoint in the package: it loads by name without a network, and says what it said when it shipped."""

import re
from importlib import resources

import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer

from claim_transformers.models.claim import (
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    ClaimTokenizer,
)
from claim_transformers.models.claim.names_claim import resolve_checkpoint

NAME = "claim-pt-base"
GOLDEN = {
    "asthma within a year, inpatient": -7.83489,
    "asthma within a year, elsewhere": -2.20492,
    "asthma at the next visit": -2.58881,
    "all next visits": 1.33550,
    "norm of the patient vector": 12.83307,
}
CHILD = {
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
    names = ("input_ids", "visit_ids", "visit_days", "attention_mask")
    encoded = tokenizer([CHILD], padding=True, return_tensors="pt")
    return {name: encoded[name] for name in names}


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
    encoded = tokenizer([healthy], padding=True, return_tensors="pt")
    other = {name: encoded[name] for name in batch}
    with_asthma, without = (_logit(model, tokenizer, one, "CCS/128", is_inpatient=True) for one in (batch, other))
    assert with_asthma > without + 1


@pytest.mark.parametrize("head", [ClaimModel, ClaimForSequenceClassification, ClaimForVisitClassification])
def test_every_head_takes_its_encoder(head, model):
    loaded = head.from_pretrained(NAME)
    encoder = loaded if head is ClaimModel else loaded.claim
    for one, other in zip(encoder.parameters(), model.claim.parameters(), strict=True):
        assert torch.equal(one, other)


def test_auto_classes_take_its_folder(model):
    folder = resolve_checkpoint(NAME)
    assert type(AutoModel.from_pretrained(folder)) is ClaimModel
    assert type(AutoModelForPreTraining.from_pretrained(folder)) is ClaimForPreTraining
    assert len(AutoTokenizer.from_pretrained(folder)) == model.config.vocab_size


def test_it_is_small_and_holds_nothing_but_a_checkpoint():
    files = {path.name: path for path in resources.files("claim_transformers").joinpath("checkpoints", NAME).iterdir()}
    tokenizer = {"tokenizer_config.json", "vocab.json", "categories.json"}
    assert files.keys() == {"config.json", "model.safetensors", "pretraining.json", "README.md", *tokenizer}
    assert sum(len(path.read_bytes()) for path in files.values()) <= 10_000_000


def test_its_card_says_what_it_is_for_and_how_it_was_made():
    card = resources.files("claim_transformers").joinpath("checkpoints", NAME, "README.md").read_text(encoding="utf-8")
    for expected in ("not for clinical use", "simulated", "--seed 11", "run_pretraining.py", "11 "):
        assert expected in card
    assert not re.search(r"TODO|TBD", card)
