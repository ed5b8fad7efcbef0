import json

import numpy as np
import pytest
from analysis.outcome_by_hand import outcome_config, outcome_model, outcome_patients, outcome_tokenizer

from claim_transformers.analysis import cohort_readout, outcome_readout, start_from_pretraining
from claim_transformers.models.claim import ClaimForSequenceClassification

DEFINITION = {
    "codes": {"asthma": ["ICD9CM/493"]},
    "label": {"codes": "asthma", "visit_types": ["IP"]},
    "index": {"rule": "fixed_date"},
}


@pytest.fixture(scope="module")
def tokenizer():
    return outcome_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    return outcome_model(outcome_config(tokenizer))


@pytest.fixture(scope="module")
def patients(tokenizer):
    return outcome_patients(tokenizer)


def test_the_question_of_the_cohort_chooses_the_head(model, tokenizer):
    found = cohort_readout(model, tokenizer, DEFINITION)
    expected = outcome_readout(model, tokenizer, ["ICD9CM/493"], is_inpatient=True)
    assert found.weight.equal(expected.weight)
    anywhere = {**DEFINITION, "label": {"codes": "asthma", "visit_types": ["IP", "OP"]}}
    assert not cohort_readout(model, tokenizer, anywhere).weight.equal(expected.weight)
    encounter = {**anywhere, "index": {"rule": "next_encounter"}}
    found = cohort_readout(model, tokenizer, encounter)
    if model.config.nvp_target == "category":
        assert found.weight.equal(outcome_readout(model, tokenizer, ["ICD9CM/493"], question="next_visit").weight)
    else:
        assert found is None


@pytest.mark.parametrize("kind", ["folder", "definition"])
def test_a_classifier_starts_at_the_head_of_its_cohort(kind, model, tokenizer, patients, tmp_path):
    import datasets

    table, labels = patients
    model.save_pretrained(tmp_path)
    classifier = ClaimForSequenceClassification.from_pretrained(tmp_path)
    before = classifier.classifier.weight.detach().clone()
    train = datasets.Dataset(table).add_column("label", labels.tolist())
    (tmp_path / "cohort.json").write_text(json.dumps(DEFINITION))
    given = (str(tmp_path), tmp_path) if kind == "folder" else (model, DEFINITION)
    assert start_from_pretraining(classifier, given[0], tokenizer, given[1], train)
    row = outcome_readout(model, tokenizer, ["ICD9CM/493"], is_inpatient=True).mean().weight[0].numpy()
    difference = (classifier.classifier.weight[1] - classifier.classifier.weight[0]).detach().numpy()
    assert abs(np.corrcoef(row, difference)[0, 1]) == pytest.approx(1.0, abs=1e-4)
    assert not classifier.classifier.weight.equal(before)


def test_a_model_without_a_head_for_the_question_leaves_the_classifier_as_it_is(model, tokenizer, patients):
    import datasets

    table, labels = patients
    classifier = ClaimForSequenceClassification(model.config)
    before = classifier.classifier.weight.detach().clone()
    train = datasets.Dataset(table).add_column("label", labels.tolist())
    many = {"label_names": ["no such category"]}
    assert not start_from_pretraining(classifier, model, tokenizer, many, train)
    assert classifier.classifier.weight.equal(before)
