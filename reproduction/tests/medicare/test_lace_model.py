"""The LACE index becomes a probability that rises with its points."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.cohorts.readmission.definition import ReadmissionDefinition
from reproduction.medicare.lace_model import LaceModel, check_same_stays, lace_definition


def make_stays(rows, seed):
    random = np.random.default_rng(seed)
    days = random.integers(1, 15, rows)
    return pa.table(
        {
            "visit_day": pa.array([[int(day)] for day in days], pa.list_(pa.int32())),
            "visit_type": [["IP"]] * rows,
            "codes": [[["ICD9CM/486"]]] * rows,
            "admission_day": pa.array([0] * rows, pa.int32()),
            "discharge_day": pa.array(days, pa.int32()),
            "label": pa.array((random.random(rows) < days / 20).astype(np.int8)),
        }
    )


def test_probabilities_rise_with_the_points_and_are_those_of_the_validation_split():
    validation, test = make_stays(600, seed=1), make_stays(300, seed=2)
    model = LaceModel.fit(validation)
    scores, days = model.predict(test), test["discharge_day"].to_numpy()
    assert scores[days >= 14].mean() > scores[days <= 2].mean() + 0.3
    assert (np.diff(scores[np.argsort(days)]) >= 0).all()
    assert model.predict(validation).mean() == pytest.approx(validation["label"].to_numpy().mean())


def test_the_definition_keeps_the_stays_and_widens_what_is_seen():
    definition = ReadmissionDefinition("unplanned", look_back_days=365, code_columns=("diagnoses", "rev"), seed=3)
    wide = lace_definition(definition)
    assert (wide.rule, wide.seed, wide.look_back_days) == ("unplanned", 3, 365)
    assert list(wide.code_columns) == ["diagnoses", "rev", "pos"]


def test_stays_of_another_number_or_day_are_refused():
    stays = pa.table({"patient_id": ["a", "a"], "discharge_day": [7, 9]})
    with pytest.raises(ValueError, match="found 2 and 1 of them"):
        check_same_stays(stays, stays.slice(1))
    with pytest.raises(ValueError, match="found 1 of 2 rows"):
        check_same_stays(stays, pa.table({"patient_id": ["a", "a"], "discharge_day": [7, 8]}))
