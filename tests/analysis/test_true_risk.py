"""The true risk reaches the right patient at the right date, or fails."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.analysis import true_risk_scores

DEFINITION = {"name": "asthma_exacerbation", "label": {"horizon_days": 365}, "sampled_share": [1.0, 1.0]}
EXAMPLES = pa.table({"patient_id": ["b", "a"], "index_day": pa.array([100, 100], pa.int32())})


def risks(rows):
    names = ("patient_id", "index_date", "outcome", "horizon_days", "risk")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    columns["index_date"] = pa.array(columns["index_date"], pa.int32()).cast(pa.date32())
    return pa.table(columns)


def test_each_example_gets_the_risk_of_its_own_date_horizon_and_outcome():
    table = risks(
        [
            ("a", 100, "asthma_hospitalization", 365, 0.1),
            ("b", 100, "asthma_hospitalization", 365, 0.2),
            ("b", 100, "asthma_hospitalization", 30, 0.9),
            ("b", 131, "asthma_hospitalization", 365, 0.8),
            ("b", 100, "suicide_attempt", 365, 0.7),
        ]
    )
    assert true_risk_scores(EXAMPLES, table, DEFINITION).tolist() == [0.2, 0.1]


def test_sampling_of_controls_raises_the_odds_by_the_ratio_of_the_shares():
    table = risks([(name, 100, "asthma_hospitalization", 365, 0.1) for name in "ab"])
    found = true_risk_scores(EXAMPLES, table, DEFINITION | {"sampled_share": [0.25, 0.5]})
    assert np.allclose(found / (1 - found), 2 * 0.1 / 0.9)


def test_a_missing_risk_is_an_error_and_not_a_zero():
    table = risks([("a", 100, "asthma_hospitalization", 365, 0.1)])
    with pytest.raises(ValueError, match="missing for 1 of 2 examples"):
        true_risk_scores(EXAMPLES, table, DEFINITION)


def test_a_cohort_that_the_simulator_does_not_know_is_refused():
    with pytest.raises(ValueError, match="found 'readmission'"):
        true_risk_scores(EXAMPLES, risks([("a", 1, "x", 1, 0.1)]), DEFINITION | {"name": "readmission"})
