import numpy as np
import pyarrow as pa
import pytest
import torch
from analysis.outcome_by_hand import PATIENTS, outcome_config, outcome_model, outcome_patients, outcome_tokenizer

from claim_transformers.analysis.readout.outcome_head import (
    _read_out,
    count_tokens,
    outcome_probability,
    outcome_readout,
    start_from_readout,
)
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)


@pytest.fixture(scope="module")
def tokenizer() -> ClaimTokenizer:
    return outcome_tokenizer()


@pytest.fixture(scope="module")
def config(tokenizer) -> ClaimConfig:
    return outcome_config(tokenizer)


@pytest.fixture(scope="module")
def model(config) -> ClaimForPreTraining:
    return outcome_model(config)


@pytest.fixture(scope="module")
def patients(tokenizer) -> tuple[pa.Table, np.ndarray]:
    return outcome_patients(tokenizer)


def test_a_readout_is_the_rows_of_the_outcome(model, tokenizer):
    column = tokenizer.category_names.index("CCS/128")
    elsewhere = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    inpatient = outcome_readout(model, tokenizer, ["ICD9CM/493"], is_inpatient=True)
    following = outcome_readout(model, tokenizer, ["ICD9CM/493"], question="next_visit")
    assert torch.equal(elsewhere.weight[0], model.horizon_decoder.weight[column])
    assert torch.equal(inpatient.weight[0], model.horizon_decoder.weight[tokenizer.num_categories + column])
    assert torch.equal(following.bias[0], model.nvp_decoder.bias[column])


def test_a_category_that_is_wider_than_the_outcome_stands_in_for_it(model, tokenizer):
    wide = outcome_readout(model, tokenizer, ["ICD9CM/E950"])
    named = outcome_readout(model, tokenizer, ["CCS/662"])
    assert torch.equal(wide.weight, named.weight)


def test_the_probability_is_that_of_any_category(model, tokenizer, patients):
    table, _ = patients
    both = outcome_probability(model, table, tokenizer, ["CCS/128", "CCS/125"])
    one, other = (outcome_probability(model, table, tokenizer, [name]) for name in ("CCS/128", "CCS/125"))
    np.testing.assert_allclose(both, 1 - (1 - one) * (1 - other), rtol=1e-6)


def test_a_classifier_starts_at_the_scaled_readout(model, config, tokenizer, patients, tmp_path):
    table, labels = patients
    model.save_pretrained(tmp_path)
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path)
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    start_from_readout(classifier, readout, table, labels)
    logit = _difference(classifier, table, tokenizer)
    before = _read_out(model, table, readout)[:, 0]
    slope, shift = np.polyfit(before, logit, 1)
    np.testing.assert_allclose(logit, slope * before + shift, atol=1e-4)
    # A fitted logistic regression with an intercept predicts the prevalence on average.
    assert (1 / (1 + np.exp(-logit))).mean() == pytest.approx(labels.mean(), abs=0.01)


@pytest.mark.parametrize("half_life_days", [None, 90])
def test_counts_of_codes_are_weighed_beside_the_readout(half_life_days, model, config, tokenizer, patients, tmp_path):
    table, labels = patients
    model.save_pretrained(tmp_path)
    options = {"code_skip": True, "code_skip_half_life_days": half_life_days}
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path, **options)
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    start_from_readout(classifier, readout, table, labels, inverse_penalty=1.0)
    weight = (classifier.code_skip.weight[:, 1] - classifier.code_skip.weight[:, 0]).detach().numpy()
    assert weight[tokenizer.convert_tokens_to_ids("ICD9CM/49390")] == weight.max() > 0
    row = classifier.classifier.weight[1] - classifier.classifier.weight[0]
    bias = classifier.classifier.bias[1] - classifier.classifier.bias[0]
    by_hand = _read_out(model, table, type(readout)(row.detach()[None], bias.detach()[None]))[:, 0]
    by_hand = by_hand + count_tokens(table, len(tokenizer), half_life_days=half_life_days) @ weight
    np.testing.assert_allclose(_difference(classifier, table, tokenizer), by_hand, atol=1e-4)


def test_one_class_and_a_head_that_is_not_there_are_refused(model, config, tokenizer, patients):
    table, labels = patients
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    classifier = ClaimForSequenceClassification(config)
    with pytest.raises(ValueError, match="expected two classes in the training rows, found 1"):
        start_from_readout(classifier, readout, table, np.zeros_like(labels))
    with pytest.raises(ValueError, match="expected one row per label, 3, found 1"):
        start_from_readout(classifier, readout, table, np.zeros((PATIENTS, 3), np.int64))
    plain = ClaimForPreTraining(ClaimConfig(**{**config.to_diff_dict(), "horizon_days": 0}))
    with pytest.raises(ValueError, match="expected a model with horizon_days above 0, found 0"):
        outcome_readout(plain, tokenizer, ["ICD9CM/493"])


def test_a_model_without_pretraining_heads_is_named(config, tokenizer, patients):
    masked = ClaimForMaskedLM(ClaimConfig(**{**config.to_diff_dict(), "visit_pooling": "none"}))
    for question in ("horizon", "next_visit"):
        with pytest.raises(TypeError, match=r"expected a ClaimForPreTraining.* found ClaimForMaskedLM"):
            outcome_readout(masked, tokenizer, ["ICD9CM/493"], question=question)
    with pytest.raises(TypeError, match="found ClaimForMaskedLM"):
        outcome_probability(masked, patients[0], tokenizer, ["ICD9CM/493"])


def _difference(classifier, table, tokenizer):
    from claim_transformers.training import DataCollatorForClaimClassification

    batch = DataCollatorForClaimClassification(tokenizer)(table)
    with torch.no_grad():
        logits = classifier.eval()(**batch).logits.double().numpy()
    return logits[:, 1] - logits[:, 0]
