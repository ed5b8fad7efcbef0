"""The Medicare checkpoint of the package: it loads by name, offline, and says what it said when it shipped."""

import json

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
from transformers import AutoModelForMaskedLM

from claim_transformers.models.claim import (
    ClaimForMaskedLM,
    ClaimForSequenceClassification,
    ClaimModel,
    ClaimTokenizer,
)

NAME = "medicare-encoder-base"
GOLDEN = {
    "heart failure, hidden": -1.50288,
    "DRG of heart failure, hidden": -1.48910,
    "DRG of a hip replaced, hidden": -8.19576,
    "norm of the patient vector": 12.64232,
}
STAY = {
    "birth_day": -12_000,
    "index_day": 15_001,
    "sex": "F",
    "patient_codes": ["RACE/WHITE", "ENTITLEMENT/0", "DUAL/NA"],
    "county_measures": {"DEPRIVATION_INDEX": None, "IS_RURAL": 0.0},
    "visit_day": [14_920, 14_950, 14_990, 15_000],
    "visit_type": ["CAR", "CAR", "OP", "IP"],
    "codes": [
        ["ICD9CM/4280", "HCPCS/99213"],
        ["ICD10CM/I10"],
        ["ICD10CM/I509", "ICD9CM/78650"],
        ["ICD10CM/I509", "ICD10CM/N186", "DRG/291", "DISP/01"],
    ],
    "visit_amount": [50.0, 30.0, 150.0, None],
    "length_of_stay_days": 6,
}
# The same in the words of the tokenizer.
WRITTEN = {
    **{name: STAY[name] for name in ("birth_day", "index_day", "sex", "visit_day", "visit_type")},
    "patient_codes": ["RACE/WHITE", "ENTITLEMENT/0", "DUAL/NA", "COUNTY/IS_RURAL-0"],
    "codes": [
        ["CCSR/CIR019", "HCPCSGROUP/992", "PAID/4"],
        ["CCSR/CIR007", "PAID/3"],
        ["CCSR/CIR019", "CCSR/CIR012", "PAID/7"],
        ["CCSR/CIR019", "CCSR/GEN003", "DRG/291", "DISP/01", "LOS/5"],
    ],
}


@pytest.fixture(scope="module")
def tokenizer() -> ClaimTokenizer:
    return ClaimTokenizer.from_pretrained(NAME)


@pytest.fixture(scope="module")
def model() -> ClaimForMaskedLM:
    return ClaimForMaskedLM.from_pretrained(NAME)


@pytest.fixture(scope="module")
def batch(tokenizer) -> dict[str, torch.Tensor]:
    return encode(tokenizer, STAY)


def _hidden(model, tokenizer, batch, code):
    """Log probabilities at the place of a code of the index stay that is masked."""
    ids = batch["input_ids"].clone()
    last = batch["visit_ids"] == batch["visit_ids"].max()
    place = ((ids == tokenizer.convert_tokens_to_ids(code)) & last)[0].nonzero().item()
    ids[0, place] = tokenizer.mask_token_id
    with torch.no_grad():
        return model(**{**batch, "input_ids": ids}).logits[0, place].double().log_softmax(0)


def test_golden_logits(model, tokenizer, batch):
    drg, failure = (_hidden(model, tokenizer, batch, code) for code in ("DRG/291", "CCSR/CIR019"))
    with torch.no_grad():
        vector = model.claim(**batch).pooler_output[0]
    found = {
        "heart failure, hidden": failure[tokenizer.convert_tokens_to_ids("CCSR/CIR019")].item(),
        "DRG of heart failure, hidden": drg[tokenizer.convert_tokens_to_ids("DRG/291")].item(),
        "DRG of a hip replaced, hidden": drg[tokenizer.convert_tokens_to_ids("DRG/470")].item(),
        "norm of the patient vector": vector.norm().item(),
    }
    assert found == pytest.approx(GOLDEN, abs=1e-3)


def test_claims_and_claims_in_its_words_are_the_same_tokens(tokenizer):
    assert tokenizer(STAY) == tokenizer(WRITTEN)


def test_a_hidden_code_is_read_off_what_stands_around_it(model, tokenizer, batch):
    codes = [["ICD10CM/M169"], ["ICD10CM/M169"], ["ICD10CM/M169"], ["ICD10CM/M169", "DRG/291", "DISP/01"]]
    hip = {**STAY, "codes": codes, "visit_amount": [None] * 4}
    other = encode(tokenizer, hip)
    failing, replaced = (_hidden(model, tokenizer, one, "DRG/291") for one in (batch, other))
    column = tokenizer.convert_tokens_to_ids("DRG/291")
    assert failing[column] > replaced[column] + 1


def test_the_days_between_codes_matter(model, batch):
    assert model.claim.time_bias.weight.abs().max() > 0.1
    moved = {**batch, "visit_days": batch["visit_days"].clone()}
    moved["visit_days"][0, 2:] += 200
    moved["visit_days"][0, 0] += 200
    with torch.no_grad():
        near, far = (model.claim(**one).pooler_output for one in (batch, moved))
    assert not torch.allclose(near, far, atol=1e-2)


@pytest.mark.parametrize("head", [ClaimModel, ClaimForSequenceClassification])
def test_every_head_takes_its_encoder(head, model):
    assert has_encoder_of(head.from_pretrained(NAME), model)


def test_auto_classes_take_its_folder(model):
    expected = (ClaimModel, ClaimForMaskedLM, model.config.vocab_size)
    assert read_by_auto_classes(NAME, AutoModelForMaskedLM) == expected


def test_it_is_small_and_holds_nothing_but_a_checkpoint():
    files = files_of(NAME)
    assert files.keys() == EVERY_CHECKPOINT | {"form.json"}
    assert size_of(NAME) <= MOST_BYTES
    assert json.loads(files["pretraining.json"].read_text())["simulation"]["population"] == "medicare"


def test_its_form_writes_tokens_that_its_vocabulary_has(tokenizer):
    form, vocabulary = tokenizer.form, tokenizer.get_vocab()
    assert form.depth == "category"
    assert {word for name in form.bins for word in form.number_words(name)} <= vocabulary.keys()
    counties = {word for name in form.county_bins for word in form.county_words(name)}
    assert counties == {token for token in vocabulary if token.startswith("COUNTY/")}


def test_its_card_says_what_it_is_for_and_how_it_was_made():
    assert missing_in_card(NAME, ["--seed 21", "by the tokenizer itself"]) == []
