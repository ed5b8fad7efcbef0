import pytest
from analysis.outcome_by_hand import outcome_config, outcome_model, outcome_tokenizer

from claim_transformers.analysis import cohort_readout, outcome_readout

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
