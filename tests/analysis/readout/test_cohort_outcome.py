import pytest
from analysis.outcome_by_hand import outcome_config, outcome_model, outcome_tokenizer

from claim_transformers.analysis import cohort_readout, outcome_readout
from claim_transformers.analysis.readout.cohort_outcome import outcome_prefixes
from claim_transformers.cohorts import load_definition

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


def test_the_codes_of_a_shipped_cohort_are_written_as_beginnings_inside_the_set_alone():
    found, _ = outcome_prefixes(load_definition("suicide_attempt", "event").to_dict())
    assert {"ICD9CM/E950", "ICD10CM/T1491XA", "ICD10CM/T360X2A"} <= set(found)
    outside = ("ICD10CM/T1491XD", "ICD10CM/T360X1A", "ICD9CM/E9590")
    assert not [code for code in outside if code.startswith(tuple(found))]


def test_wildcards_of_a_system_without_a_list_are_refused():
    with pytest.raises(ValueError, match="expected no wildcards in codes of HCPCS"):
        outcome_prefixes({**DEFINITION, "codes": {"asthma": ["HCPCS/992[0-9]"]}})


def test_an_outcome_of_any_codes_is_refused_with_the_way_to_go():
    anything = {**DEFINITION, "codes": {}, "label": {"codes": None, "visit_types": ["IP"]}}
    with pytest.raises(ValueError, match=r"found one of any: start at the checkpoint"):
        outcome_prefixes(anything)
