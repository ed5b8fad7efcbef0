"""Definitions in memory: what goes together, and what another seed means."""

from dataclasses import replace

import pytest

from claim_transformers.cohorts import load_definition
from claim_transformers.cohorts.event.definition import IndexRule, Sampling

ASTHMA = load_definition("asthma_exacerbation", "event")
DIAGNOSES = load_definition("next_diagnoses", "event")


def test_the_sizes_of_the_paper_are_those_of_the_built_in_cohorts():
    suicide = load_definition("suicide_attempt", "event").sampling
    assert (suicide.cases, round(suicide.controls_per_case * suicide.cases)) == (163, 326)
    assert (ASTHMA.sampling.cases, round(ASTHMA.sampling.controls_per_case * ASTHMA.sampling.cases)) == (572, 1097)


def test_unpaid_visits_are_hidden_by_every_built_in_cohort():
    for name in ("asthma_exacerbation", "hospital_admission", "next_diagnoses", "next_year_cost", "suicide_attempt"):
        assert load_definition(name).hide_unpaid


def test_seeds_give_different_splits_and_the_first_keeps_the_salt_it_always_had():
    salts = [ASTHMA.with_sampling(seed=seed).split_salt for seed in range(3)]
    assert salts[0] == "cohort/asthma_exacerbation"
    assert len(set(salts)) == 3


def test_sizes_that_do_not_fit_the_label_are_refused():
    with pytest.raises(ValueError, match="an event has cases and controls"):
        ASTHMA.with_sampling(patients=10)
    with pytest.raises(ValueError, match="has no cases"):
        DIAGNOSES.with_sampling(cases=10)
    with pytest.raises(ValueError, match=r"sampling\.patients: expected at least 1"):
        Sampling(patients=0)


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="first_date not after last_date"):
        IndexRule("next_encounter", first_date="2014-01-01", last_date="2013-01-01")


def test_a_next_encounter_is_one_day_long():
    with pytest.raises(ValueError, match=r"needs label\.horizon_days 1, found 365"):
        replace(ASTHMA, index=IndexRule("next_encounter", first_date="2013-01-01", last_date="2013-12-31"))
