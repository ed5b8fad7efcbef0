import numpy as np
import pyarrow as pa
import pytest
import torch
from analysis.outcome_by_hand import PATIENTS, outcome_config, outcome_model, outcome_patients, outcome_tokenizer

from claim_transformers.analysis.readout.outcome_head import (
    Readout,
    _vectors,
    count_tokens,
    outcome_probability,
    outcome_readout,
    start_from_readout,
)
from claim_transformers.analysis.readout.zero_shot import next_visit_probability
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.training.metrics import auroc


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


def test_an_outcome_in_another_writing_is_the_outcome(model, tokenizer):
    expected = outcome_readout(model, tokenizer, ["ICD9CM/4939"])
    for written in ("icd9cm/493.9", " ICD9CM/493.9", "ICD9CM/493"):
        assert torch.equal(outcome_readout(model, tokenizer, [written]).weight, expected.weight)


@pytest.mark.parametrize("codes", [["CCS/129"], ["CCS/128", "CCS/129"], ["ICD9CM/493", "CCS/129"], ["493", "CCS/128"]])
def test_an_outcome_that_the_checkpoint_does_not_know_is_refused_with_the_nearest_names(
    codes, model, tokenizer, patients
):
    for ask in (outcome_probability, next_visit_probability):
        with pytest.raises(ValueError, match=r"found \['(CCS/129|493)'\]; the nearest names are .*CCS/128"):
            ask(model, patients[0], tokenizer, codes)


def test_rows_that_the_checkpoint_does_not_know_are_refused(model, tokenizer):
    def rows(**changes):
        patient = {"visit_day": [3], "visit_type": ["OP"], "codes": [["ICD9CM/49390"]], "index_day": 4, **changes}
        return tokenizer.encode_table(pa.Table.from_pylist([patient, {**patient, "codes": [["NDC/1"]]}]))

    assert len(outcome_probability(model, rows(), tokenizer, ["CCS/128"])) == 2
    faults = {
        "<11 of <11 rows without one; add index_day": rows(index_day=None),
        "found none in any visit": rows(codes=[["ICD10CM/J45"]]),
        "tokenised by another tokenizer": rows().set_column(0, "input_ids", pa.array([[1, 99], [1, 1]])),
    }
    for message, table in faults.items():
        with pytest.raises(ValueError, match=message):
            outcome_probability(model, table, tokenizer, ["CCS/128"])
    nobody = pa.table({"visit_day": [[]], "visit_type": [[]], "codes": [[]]})
    assert len(outcome_probability(model, tokenizer.encode_table(nobody), tokenizer, ["CCS/128"])) == 1


def test_a_classifier_starts_at_the_readout_and_at_what_its_cohort_tells_of_vectors(
    model, config, tokenizer, patients, tmp_path
):
    table, labels = patients
    model.save_pretrained(tmp_path)
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path)
    of_noise = Readout(torch.zeros(1, config.hidden_size), torch.zeros(1))
    start_from_readout(classifier, of_noise, table, labels)
    of_vectors = _difference(classifier, table, tokenizer)
    assert auroc(labels, of_vectors) > 0.7
    # A fitted logistic regression with an intercept predicts the prevalence on average.
    assert (1 / (1 + np.exp(-of_vectors))).mean() == pytest.approx(labels.mean(), abs=0.03)
    # A readout that says what the vectors cannot tell in so few rows is believed.
    exact = np.linalg.lstsq(_vectors(model, table), 4.0 * labels - 2, rcond=None)[0]
    start_from_readout(classifier, Readout(torch.tensor(exact[None]).float(), torch.zeros(1)), table, labels)
    with_readout, said = _difference(classifier, table, tokenizer), _vectors(model, table) @ exact
    assert np.corrcoef(with_readout, said)[0, 1] > np.corrcoef(of_vectors, said)[0, 1]
    assert classifier.config.classifier_rate == 0
    classifier.save_pretrained(tmp_path / "started")
    loaded = ClaimForSequenceClassification.from_pretrained(tmp_path / "started")
    assert np.array_equal(_difference(loaded, table, tokenizer), _difference(classifier, table, tokenizer))


@pytest.mark.parametrize("half_life_days", [None, 90])
def test_counts_of_codes_are_weighed_beside_the_readout(half_life_days, model, config, tokenizer, patients, tmp_path):
    table, labels = patients
    model.save_pretrained(tmp_path)
    options = {"code_skip": True, "code_skip_half_life_days": half_life_days, "classifier_rate": 0}
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path, **options)
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    start_from_readout(classifier, readout, table, labels)
    weight = (classifier.code_skip.weight[:, 1] - classifier.code_skip.weight[:, 0]).detach().numpy()
    assert weight[tokenizer.convert_tokens_to_ids("ICD9CM/49390")] == weight.max() > 0
    row = classifier.classifier.weight[1] - classifier.classifier.weight[0]
    bias = classifier.classifier.bias[1] - classifier.classifier.bias[0]
    by_hand = Readout(row.detach()[None], bias.detach()[None]).apply(_vectors(model, table))[:, 0]
    by_hand = by_hand + count_tokens(table, len(tokenizer), half_life_days=half_life_days) @ weight
    np.testing.assert_allclose(_difference(classifier, table, tokenizer), by_hand, atol=1e-4)


def test_one_class_and_a_head_that_is_not_there_are_refused(model, config, tokenizer, patients):
    table, labels = patients
    readout = outcome_readout(model, tokenizer, ["ICD9CM/493"])
    classifier = ClaimForSequenceClassification(config)
    with pytest.raises(ValueError, match="expected two classes in the training rows, found 1"):
        start_from_readout(classifier, readout, table, np.zeros_like(labels))
    with pytest.raises(ValueError, match="two or more training rows of each class, found fewer"):
        start_from_readout(classifier, readout, table, np.eye(1, PATIENTS, dtype=np.int64)[0])
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
