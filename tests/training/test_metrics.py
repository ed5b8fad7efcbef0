import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from claim_transformers.training import auprc, auroc, brier, calibration_error, recall_at_k
from claim_transformers.training.metrics import weighted_mean

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 5)), min_size=2, max_size=60)


def columns(drawn):
    labels, scores, weights = (np.array(column) for column in zip(*drawn, strict=True))
    return labels.astype(int), scores / 12, weights.astype(float)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_metrics_with_ties_and_weights_are_those_of_scikit_learn(drawn):
    labels, scores, weights = columns(drawn)
    if not (weights[labels == 1].sum() > 0 and weights[labels == 0].sum() > 0):
        return
    assert auroc(labels, scores, weights) == pytest.approx(
        reference.roc_auc_score(labels, scores, sample_weight=weights)
    )
    expected = reference.average_precision_score(labels, scores, sample_weight=weights)
    assert auprc(labels, scores, weights) == pytest.approx(expected)
    assert brier(labels, scores, weights) == pytest.approx(
        reference.brier_score_loss(labels, scores, sample_weight=weights)
    )


@pytest.mark.parametrize("metric", [auroc, auprc, brier, calibration_error])
def test_many_sets_of_weights_are_each_computed_as_one(metric):
    generator = np.random.default_rng(0)
    labels, scores = generator.integers(0, 2, 50), generator.random(50).round(1)
    weights = generator.integers(0, 3, (7, 50)).astype(float)
    together = metric(labels, scores, weights)
    assert together.tolist() == pytest.approx([metric(labels, scores, one) for one in weights])


@pytest.mark.parametrize("metric", [auroc, auprc, brier])
def test_a_weight_of_two_is_a_row_twice(metric):
    labels, scores = np.array([0, 1, 1, 0, 1]), np.array([0.2, 0.3, 0.9, 0.4, 0.4])
    repeats = np.array([1, 2, 0, 3, 1])
    repeated = metric(np.repeat(labels, repeats), np.repeat(scores, repeats))
    assert metric(labels, scores, repeats) == pytest.approx(repeated)


def test_order_of_rows_does_not_matter():
    generator = np.random.default_rng(1)
    labels, scores = generator.integers(0, 2, 80), generator.random(80).round(1)
    order = generator.permutation(80)
    for metric in (auroc, auprc, brier, calibration_error):
        assert metric(labels, scores) == pytest.approx(metric(labels[order], scores[order]))


def test_one_class_has_no_area():
    assert np.isnan(auroc([1, 1], [0.1, 0.2]))
    assert np.isnan(auroc([0, 0], [0.1, 0.2]))
    assert np.isnan(auprc([0, 0], [0.1, 0.2]))


def test_calibration_error_is_the_gap_in_each_bin():
    labels = np.array([0] * 9 + [1] + [1] * 6 + [0] * 4)
    scores = np.array([0.3] * 10 + [0.8] * 10)
    assert calibration_error(labels, scores, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.2)
    assert calibration_error(labels, scores, bins=5, binning="uniform") == pytest.approx(0.2)


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_a_score_on_the_edge_of_a_calibration_bin_lies_below_it(binning):
    labels, scores = [0, 1, 0], [0.4, 0.5, 0.6]
    # Two bins with the edge 0.5, the middle of [0, 1] and of the scores: 0.4 and 0.5 are together, 0.6 is alone.
    expected = (abs(0.4 + 0.5 - 1) + 0.6) / 3
    assert calibration_error(labels, scores, bins=2, binning=binning) == pytest.approx(expected)


def test_calibrated_risks_have_an_error_of_the_size_that_sampling_leaves():
    generator = np.random.default_rng(2)
    risks = generator.beta(1, 9, 20_000)
    labels = generator.random(20_000) < risks
    assert calibration_error(labels, risks) < 2 * np.sqrt(0.1 * 0.9 * 10 / 20_000)
    assert calibration_error(labels, np.minimum(risks * 2, 1)) > 0.05


def test_recall_counts_true_codes_among_the_best():
    labels = [[1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    scores = [[4, 3, 1, 2], [4, 3, 2, 1], [4, 3, 2, 1]]
    assert recall_at_k(labels, scores, k=2) == pytest.approx((2 / 3 + 1) / 2)
    assert recall_at_k(labels, scores, k=1) == pytest.approx((1 / 3 + 0) / 2)
    assert recall_at_k(labels, scores, [0, 1, 3], k=1) == 0.0
    assert np.isnan(recall_at_k(labels, scores, [0, 5, 0], k=1))


def test_recall_at_one_is_top_k_accuracy_with_one_true_code():
    generator = np.random.default_rng(3)
    truth, scores = generator.integers(0, 6, 200), generator.random((200, 6))
    expected = reference.top_k_accuracy_score(truth, scores, k=2, labels=np.arange(6))
    assert recall_at_k(np.eye(6)[truth], scores, k=2) == pytest.approx(expected)


def test_mean_leaves_out_rows_without_a_value():
    assert weighted_mean([np.nan, 2.0, 4.0], [5, 1, 3]) == 3.5
    assert np.isnan(weighted_mean([np.nan]))


@pytest.mark.parametrize(
    ("metric", "labels", "scores", "message"),
    [
        (auroc, [0, 1], [0.5], "one label and one score per row"),
        (auroc, [0, 2], [0.5, 0.5], "labels 0 or 1"),
        (auprc, [0, 1], [0.5, float("nan")], "finite scores"),
        (brier, [0, 1], [0.5, 1.5], "apply a sigmoid"),
        (calibration_error, [0, 1], [-3.0, 1.0], "apply a sigmoid"),
        (recall_at_k, [0, 1], [0.5, 0.5], "shape \\(N, K\\)"),
        (recall_at_k, [[0, 1]], [[0.5, 0.5]], "k in 1 to 2, found 10"),
    ],
)
def test_input_that_cannot_be_scored_is_refused(metric, labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metric(labels, scores)


def test_weights_and_bins_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected 2 weights, found 3"):
        auroc([0, 1], [0.1, 0.2], [1, 1, 1])
    with pytest.raises(ValueError, match="at least one bin"):
        calibration_error([0, 1], [0.1, 0.2], bins=0)


def test_nobody_has_no_metric():
    for metric in (auroc, auprc, brier):
        assert np.isnan(metric([], []))


@pytest.mark.parametrize("metric", [auroc, auprc, brier, calibration_error])
def test_one_set_of_weights_gives_a_number_and_several_an_array(metric):
    labels, scores, weights = [0, 1, 1], [0.2, 0.4, 0.9], [1, 2, 3]
    assert isinstance(metric(labels, scores), float)
    assert isinstance(metric(labels, scores, weights), float)
    assert metric(labels, scores, [weights]).shape == (1,)


def test_defaults_are_ten_bins_of_equal_size_and_the_ten_best_codes():
    generator = np.random.default_rng(6)
    risks = generator.beta(1, 3, 500)
    labels = generator.random(500) < risks
    assert calibration_error(labels, risks) == calibration_error(labels, risks, bins=10, binning="quantile")
    codes, scores = generator.random((50, 40)) < 0.1, generator.random((50, 40))
    assert recall_at_k(codes, scores) == recall_at_k(codes, scores, k=10)
    assert recall_at_k(codes, scores, k=40) == 1.0


def test_probabilities_of_none_and_all_are_probabilities():
    assert brier([0, 1], [0.0, 1.0]) == calibration_error([0, 1], [0.0, 1.0]) == 0.0
    for beyond in (-1e-9, 1 + 1e-9):
        with pytest.raises(ValueError, match="apply a sigmoid"):
            brier([0, 1], [0.5, beyond])


def test_equal_scores_rank_by_their_column():
    assert recall_at_k([[0, 1, 0]], [[1, 1, 1]], k=1) == 0.0
    assert recall_at_k([[1, 0, 0]], [[1, 1, 1]], k=1) == 1.0


def test_bins_hold_equally_many_rows_or_are_equally_wide():
    # Rows 2 by 2: gaps 0.1 - 0 and 0.5 - 1. In halves of [0, 1] three rows stand together below and one above.
    labels, scores = [0, 0, 1, 0], [0.1, 0.2, 0.3, 0.9]
    in_pairs = (abs(0.1 + 0.2) + abs(0.3 + 0.9 - 1)) / 4
    in_halves = (abs(0.1 + 0.2 + 0.3 - 1) + 0.9) / 4
    assert calibration_error(labels, scores, bins=2) == pytest.approx(in_pairs)
    assert calibration_error(labels, scores, bins=2, binning="uniform") == pytest.approx(in_halves)
