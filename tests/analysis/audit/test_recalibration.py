"""Recalibration undoes what made risks wrong, keeps their order, and is measured with honest intervals."""

import json

import numpy as np
import pytest
from scipy.special import expit
from scipy.special import logit as scipy_logit

from claim_transformers.analysis.audit.calibration_measures import (
    calibration_line,
    calibration_table,
    logit,
    measure_calibration,
)
from claim_transformers.analysis.audit.recalibration import PriorCorrection, fit_isotonic, fit_platt
from claim_transformers.training import auroc, brier, calibration_error


def risks_and_outcomes(rows, seed, mean=-1.5):
    random = np.random.default_rng(seed)
    risks = expit(random.normal(mean, 1.2, rows))
    return risks, (random.random(rows) < risks).astype(int)


def test_platt_scaling_undoes_a_stretch_and_a_shift_of_log_odds():
    risks, labels = risks_and_outcomes(40_000, 0)
    wrong = expit(0.7 + 2.0 * scipy_logit(risks))
    line = fit_platt(labels, wrong)
    assert line.content["slope"] == pytest.approx(0.5, abs=0.03)
    assert line.content["intercept"] == pytest.approx(-0.35, abs=0.06)
    assert np.abs(line(wrong) - risks).max() < 0.03


def test_isotonic_regression_undoes_any_increasing_distortion():
    risks, labels = risks_and_outcomes(40_000, 1)
    curve = fit_isotonic(labels, risks**3)
    fresh, fresh_labels = risks_and_outcomes(20_000, 2)
    assert calibration_error(fresh_labels, curve(fresh**3)) < 0.015 < calibration_error(fresh_labels, fresh**3)
    assert (np.diff(curve(np.linspace(0, 1, 500))) >= 0).all()


def test_prior_correction_gives_the_risks_of_the_population_back_from_classes_sampled_three_to_one():
    risks, labels = risks_and_outcomes(60_000, 3, mean=-2.6)
    share = labels.mean()
    # So many negatives are kept that three stand beside each positive: odds grow by the inverse of the share kept.
    kept = 3 * share / (1 - share)
    balanced = expit(scipy_logit(risks) - np.log(kept))
    corrected = PriorCorrection(training_share=0.25, true_share=share)(balanced)
    assert np.allclose(corrected, risks)
    assert calibration_error(labels, corrected) < 0.01 < calibration_error(labels, balanced)


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_recalibration_hardly_changes_the_order_of_patients(fit):
    risks, labels = risks_and_outcomes(5_000, 4)
    assert abs(auroc(labels, fit(labels, risks)(risks)) - auroc(labels, risks)) < 0.01


def test_the_calibration_line_is_that_of_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    risks, labels = risks_and_outcomes(3_000, 5)
    wrong = expit(0.3 + 1.7 * scipy_logit(risks))
    shift, slope, intercept = calibration_line(labels, wrong)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(wrong)[:, None], labels)
    assert (slope, intercept) == pytest.approx((model.coef_[0, 0], model.intercept_[0]), abs=1e-4)
    assert expit(logit(wrong) + shift).sum() == pytest.approx(labels.sum())


def test_measures_of_true_risks_are_right_and_those_of_wrong_risks_are_not():
    risks, labels = risks_and_outcomes(20_000, 6)
    right = measure_calibration(labels, risks, replicates=200)
    for name, truth in {"observed/expected": 1.0, "intercept": 0.0, "slope": 1.0}.items():
        assert right[name].low < truth < right[name].high
    wrong = measure_calibration(labels, expit(0.5 + 1.5 * scipy_logit(risks)), replicates=200)
    assert wrong["slope"].high < 0.75
    assert measure_calibration(labels, risks * 0.8, replicates=200)["observed/expected"].low > 1.15
    assert wrong["Brier"].value > right["Brier"].value == pytest.approx(brier(labels, risks))


def test_one_step_replicates_are_those_of_fitting_again():
    risks, labels = risks_and_outcomes(1_500, 7)
    found = measure_calibration(labels, risks, replicates=400, seed=1)["slope"]
    random = np.random.default_rng(0)
    slopes = []
    for _ in range(400):
        drawn = random.integers(0, 1_500, 1_500)
        slopes.append(calibration_line(labels[drawn], risks[drawn])[1])
    low, high = np.quantile(slopes, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)


def test_intervals_widen_when_rows_share_patients():
    risks, labels = risks_and_outcomes(1_000, 8)
    copies = np.repeat(np.arange(1_000), 4)
    by_row = measure_calibration(labels[copies], risks[copies], replicates=200)["observed/expected"]
    by_patient = measure_calibration(labels[copies], risks[copies], copies, replicates=200)["observed/expected"]
    assert by_patient.high - by_patient.low > 1.6 * (by_row.high - by_row.low)


def test_the_table_has_a_row_for_each_prediction_and_plain_json():
    risks, labels = risks_and_outcomes(500, 9)
    table = calibration_table(labels, {"as trained": risks, "Platt": fit_platt(labels, risks)(risks)}, replicates=50)
    content = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert [row["prediction"] for row in content["rows"]] == ["as trained", "Platt"]
    assert "slope 1 are right" in table.to_markdown()
    assert "so its interval can lie above it" in table.to_markdown()


def test_saved_numbers_of_a_recalibration_are_enough_to_apply_it():
    risks, labels = risks_and_outcomes(400, 10)
    curve = fit_isotonic(labels, risks)
    content = json.loads(json.dumps(curve.to_dict()))
    assert np.allclose(np.interp(risks, content["knots"], content["values"]), curve(risks))
    assert set(fit_platt(labels, risks).to_dict()) == {"method", "intercept", "slope"}


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_one_class_and_scores_that_are_no_probabilities_are_refused(fit):
    with pytest.raises(ValueError, match="labels 0 and 1 in the validation split, found 1 distinct"):
        fit([0, 0], [0.1, 0.2])
    with pytest.raises(ValueError, match="probabilities in"):
        fit([0, 1], [-1.0, 2.0])


def test_log_odds_of_0_and_1_are_those_of_a_millionth():
    assert logit([0.0, 1.0, 0.5]) == pytest.approx(np.log([1e-6 / (1 - 1e-6), (1 - 1e-6) / 1e-6, 1.0]))
    assert logit([]).tolist() == []
    for beyond in (-1e-9, 1 + 1e-9):
        with pytest.raises(ValueError, match="probabilities in"):
            logit([0.5, beyond])


def test_the_line_of_one_class_and_the_slope_of_equal_risks_are_undefined():
    assert np.isnan(calibration_line([1, 1], [0.2, 0.3])).all()
    shift, slope, intercept = calibration_line([0, 1], [0.2, 0.2])
    assert shift == pytest.approx(-scipy_logit(0.2))
    assert np.isnan([slope, intercept]).all()
    # Where the risk tells the classes apart there is no largest slope.
    assert np.isnan(calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])[1:]).all()


def test_ten_bins_and_a_thousand_draws_of_seed_0_are_made_unless_others_are_asked_for():
    risks, labels = risks_and_outcomes(300, 11)
    found = measure_calibration(labels, risks)
    assert found == measure_calibration(labels, risks, bins=10, replicates=1000, seed=0)
    assert found["calibration error"].value == pytest.approx(calibration_error(labels, risks, bins=10))
    assert found["observed/expected"].value == pytest.approx(labels.sum() / risks.sum())
    assert found["intercept"].value == pytest.approx(calibration_line(labels, risks)[0], abs=1e-6)
    assert found["slope"].value == pytest.approx(calibration_line(labels, risks)[1], abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_none_and_all_cannot_be_corrected(share):
    for shares in ((share, 0.5), (0.5, share)):
        with pytest.raises(ValueError, match="shares between 0 and 1"):
            PriorCorrection(*shares)


def test_an_isotonic_curve_never_says_0_or_1():
    curve = fit_isotonic([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert curve([0.0, 1.0]).tolist() == [1e-6, 1 - 1e-6]


@pytest.mark.parametrize("labels", [[0, 1, 1], [[0, 1]]])
def test_labels_that_do_not_stand_beside_the_risks_are_refused(labels):
    with pytest.raises(ValueError, match="expected"):
        fit_platt(labels, [[0.1, 0.9]] if np.ndim(labels) == 2 else [0.1, 0.9])


def test_the_note_of_a_table_says_what_sampling_alone_leaves():
    labels, risks = np.arange(100) % 4 == 0, np.full(100, 0.25)
    note = calibration_table(labels, {"constant": risks}, replicates=5).to_markdown()
    assert f"about {np.sqrt(0.25 * 0.75 * 10 / 100):.3f}" in note


def test_a_calibration_table_of_few_events_shows_neither_how_many_nor_a_metric_of_them():
    labels, risks = np.r_[np.ones(6), np.zeros(194)], np.linspace(0.01, 0.2, 200)
    table = calibration_table(labels, {"as trained": risks}, replicates=5)
    assert "200 rows, <11 with the outcome" in table.notes[0]
    assert {cell for name, cell in table.rows[0].items() if name != "prediction"} == {None}
    assert "error of hidden" in table.notes[0]
