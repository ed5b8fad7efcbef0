"""Calibrations as plain values do what those do that were fitted."""

import numpy as np
import pytest

from claim_transformers.analysis import PriorCorrection, fit_isotonic, fit_platt
from claim_transformers.training import Calibration, save_calibration
from claim_transformers.training.scoring.calibration import fit_calibration, read_calibration


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


def test_a_distorted_model_is_put_right_and_a_shift_is_of_the_model_alone():
    random = np.random.default_rng(0)
    truth = 0.05 + 0.9 * random.random(20_000) ** 3
    labels = random.random(20_000) < truth
    odds = 2.0 * np.log(truth / (1 - truth)) + 1.5
    found = fit_calibration(labels, 1 / (1 + np.exp(-odds)))
    assert found is not None
    assert found.content["slope"] == pytest.approx(0.5, abs=0.02)
    assert found.content["intercept"] == pytest.approx(-0.75, abs=0.05)
    shifted = fit_calibration(labels, 1 / (1 + np.exp(-odds)), 3.0)
    assert shifted is not None
    moved = 1 / (1 + np.exp(-(odds + 3.0)))
    assert np.abs(shifted(moved) - found(1 / (1 + np.exp(-odds)))).max() < 1e-6


def test_too_few_rows_or_risks_without_order_have_no_calibration(caplog):
    rising = np.linspace(0.1, 0.9, 100)
    assert fit_calibration(np.arange(100) >= 90, rising) is None
    assert fit_calibration(rising < 0.5, rising) is None
    assert fit_calibration(rising > 0.5, np.full(100, 0.3)) is None
    assert caplog.text.count("NO CALIBRATION") == 3
    perfect = fit_calibration(rising > 0.5, rising)
    assert perfect is not None
    assert np.ptp(perfect(rising)) < 1.0


def test_a_calibration_of_other_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"first")
    save_calibration(tmp_path, fitted("platt"))
    assert read_calibration(tmp_path) == Calibration(fitted("platt").to_dict())
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match="found that of others"):
        read_calibration(tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path):
    assert read_calibration(tmp_path) is None
    for text in ("{", "[]"):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(ValueError, match="expected"):
            read_calibration(tmp_path)
