"""Calibrations as plain values do what those do that were fitted."""

import numpy as np
import pytest

from claim_transformers.analysis import PriorCorrection, fit_isotonic, fit_platt
from claim_transformers.training import Calibration, save_calibration
from claim_transformers.training.scoring.calibration import read_calibration


def fitted(kind: str):
    random = np.random.default_rng(0)
    scores = random.random(400)
    labels = random.random(400) < scores**2
    if kind == "prior":
        return PriorCorrection(training_share=0.5, true_share=0.2)
    return (fit_platt if kind == "platt" else fit_isotonic)(labels, scores)


@pytest.mark.parametrize("kind", ["platt", "isotonic", "prior"])
def test_a_file_gives_what_was_fitted(kind, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_calibration(tmp_path, fitted(kind))
    scores = np.array([0.0, 1e-9, 0.1, 0.5, 0.97, 1.0])
    found = read_calibration(tmp_path)
    assert found is not None
    assert np.abs(found(scores) - fitted(kind)(scores)).max() < 1e-9


@pytest.mark.parametrize(
    "content",
    [
        {"method": "platt", "slope": 1.0},
        {"method": "platt", "slope": float("nan"), "intercept": 0.0},
        {"method": "prior", "training_share": 0.5, "true_share": 1.0},
        {"method": "isotonic", "knots": [0.1, 0.5], "values": [0.4, 0.2]},
        {"method": "isotonic", "knots": [0.1, 0.5], "values": [0.4, 1.2]},
        {"method": "isotonic", "knots": [0.1], "values": []},
    ],
)
def test_a_calibration_that_is_none_is_refused(content):
    with pytest.raises(ValueError, match="of the calibration"):
        Calibration(content)


def test_a_file_that_is_none_is_refused(tmp_path):
    assert read_calibration(tmp_path) is None
    for text in ("{", "[]"):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(ValueError, match="expected"):
            read_calibration(tmp_path)
