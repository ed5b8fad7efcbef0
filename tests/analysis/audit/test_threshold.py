"""The G-mean threshold is that of the paper's equations, and its intervals cover what they promise."""

import numpy as np
import pytest

from claim_transformers.analysis.audit.threshold import (
    _METRICS,
    _both_splits,
    _threshold_metrics,
    flagged,
    gmean_threshold,
    score_at_threshold,
    threshold_table,
)


def outcomes(rows, seed, rows_of_patient=1):
    random = np.random.default_rng(seed)
    labels = np.repeat(random.random(rows // rows_of_patient) < 0.25, rows_of_patient).astype(int)
    shared = np.repeat(random.normal(size=rows // rows_of_patient), rows_of_patient)
    return labels, labels + 0.8 * shared + 0.6 * random.normal(size=rows)


def gmean_by_hand(labels, scores, alpha):
    """Equations 1 to 3, a line each."""
    predicted = scores > alpha
    sensitivity = (predicted & (labels == 1)).sum() / (labels == 1).sum()
    specificity = (~predicted & (labels == 0)).sum() / (labels == 0).sum()
    return np.sqrt(sensitivity * specificity)


@pytest.mark.parametrize("digits", [9, 1, 0])
def test_no_threshold_has_a_larger_gmean_than_the_chosen_one(digits):
    labels, scores = outcomes(400, seed=digits)
    scores = scores.round(digits)
    chosen = gmean_threshold(labels, scores)
    best = max(gmean_by_hand(labels, scores, alpha) for alpha in [*scores, scores.min() - 1])
    assert gmean_by_hand(labels, scores, chosen) == pytest.approx(best)


def test_the_metrics_are_those_of_scikit_learn():
    from sklearn.metrics import f1_score, precision_score, recall_score

    labels, scores = outcomes(300, seed=1)
    predicted = scores > 0.3
    found = dict(zip(_METRICS, _threshold_metrics(labels, scores, 0.3), strict=True))
    assert found["recall"] == pytest.approx(recall_score(labels, predicted))
    assert found["specificity"] == pytest.approx(recall_score(1 - labels, ~predicted))
    assert found["precision"] == pytest.approx(precision_score(labels, predicted))
    assert found["F1"] == pytest.approx(f1_score(labels, predicted))
    assert found["share flagged"] == pytest.approx(predicted.mean())


def test_whole_weights_are_copies_of_rows_for_thresholds_and_metrics():
    labels, scores = outcomes(60, seed=2)
    weights = np.random.default_rng(0).integers(0, 3, (5, 60))
    chosen = gmean_threshold(labels, scores, weights)
    found = _threshold_metrics(labels, scores, chosen, weights)
    for row, counts in enumerate(weights):
        copied_labels, copied_scores = np.repeat(labels, counts), np.repeat(scores, counts)
        # Between the copies' neighbouring scores any threshold is the same one.
        own = gmean_threshold(copied_labels, copied_scores)
        assert np.array_equal(copied_scores > own, copied_scores > chosen[row])
        assert _threshold_metrics(copied_labels, copied_scores, own) == pytest.approx(found[row])


def test_among_equally_good_thresholds_the_lowest_is_taken():
    # Both at 0.25 and at 0.45 one of two positives or one of two negatives is wrong.
    assert gmean_threshold([0, 1, 0, 1], [0.2, 0.3, 0.4, 0.5]) == pytest.approx(0.25)


def test_nobody_flagged_has_no_precision_and_no_recall():
    found = dict(zip(_METRICS, _threshold_metrics([0, 1], [0.1, 0.2], 0.9), strict=True))
    assert found["recall"] == 0
    assert found["specificity"] == 1
    assert np.isnan(found["precision"])


def test_fixed_intervals_cover_the_recall_of_the_threshold_with_rows_that_share_patients():
    covered = 0
    for seed in range(60):
        labels, scores = outcomes(600, seed, rows_of_patient=3)
        patients = np.repeat(np.arange(200), 3)
        validation = np.r_[[0] * 50, [1] * 50], np.r_[[0.0] * 50, [1.0] * 50]
        result = score_at_threshold(validation, (labels, scores), test_patients=patients, replicates=200, seed=seed)
        interval = result.metrics["recall"]
        # The threshold is 0.5, and a score of a positive is 1 plus a standard normal number.
        covered += interval.low <= 0.6915 <= interval.high
    assert covered >= 52  # 57 expected at 95 %, less three standard errors


def test_choosing_again_in_each_replicate_widens_the_intervals_and_gives_the_threshold_one():
    validation, test = outcomes(200, seed=3), outcomes(2000, seed=4)
    fixed = score_at_threshold(validation, test, replicates=300)
    chosen = score_at_threshold(validation, test, rechoose=True, replicates=300)
    assert fixed.threshold.value == chosen.threshold.value
    assert fixed.threshold.low is None
    assert chosen.threshold.low < chosen.threshold.value < chosen.threshold.high
    for metric in ("recall", "specificity"):
        one, other = fixed.metrics[metric], chosen.metrics[metric]
        assert one.value == other.value
        assert other.high - other.low > 1.5 * (one.high - one.low)


def test_a_validation_split_of_one_class_is_refused():
    with pytest.raises(ValueError, match="expected both classes in the validation split, found one"):
        score_at_threshold(([0, 0], [0.1, 0.2]), ([0, 1], [0.1, 0.2]))
    with pytest.raises(ValueError, match="one patient for each of 2 rows, found 3"):
        score_at_threshold(([0, 1], [0.1, 0.2]), ([0, 1], [0.1, 0.2]), test_patients=[1, 2, 3], rechoose=True)


def test_the_table_says_how_the_threshold_was_held():
    split = outcomes(100, seed=5)
    table = threshold_table({"LR": score_at_threshold(split, split, replicates=50)})
    assert "held fixed" in table.to_markdown()
    assert table.to_csv().startswith("model,threshold,threshold_low,threshold_high,recall,")
    with pytest.raises(ValueError, match="at least one model"):
        threshold_table({})


def test_a_score_at_the_threshold_is_not_flagged():
    assert flagged(np.array([0.1, 0.2, np.nextafter(0.2, 1)]), 0.2).tolist() == [False, False, True]


def test_metrics_of_a_threshold_are_those_of_its_counts():
    labels, scores = np.array([1, 1, 1, 0, 0, 0, 0, 0]), np.array([9, 8, 1, 7, 1, 1, 1, 1.0])
    found = dict(zip(_METRICS, _threshold_metrics(labels, scores, 5.0), strict=True))
    recall, specificity, precision = 2 / 3, 4 / 5, 2 / 3
    assert found == pytest.approx({
        "recall": recall, "specificity": specificity, "precision": precision, "share flagged": 3 / 8,
        "F1": 2 * recall * precision / (recall + precision), "G-mean": np.sqrt(recall * specificity),
    })  # fmt: skip


def test_a_threshold_lies_in_the_middle_between_two_scores_or_below_all():
    assert gmean_threshold([0, 1], [0.2, 0.6]) == pytest.approx(0.4)
    assert gmean_threshold([1, 0], [0.2, 0.6]) == pytest.approx(-0.8)
    assert np.isnan(gmean_threshold([1, 1], [0.2, 0.6]))
    assert gmean_threshold([0, 1], [0.2, 0.6], [[1, 1]]).shape == (1,)
    assert isinstance(gmean_threshold([0, 1], [0.2, 0.6], [1, 1]), float)


@pytest.mark.parametrize(
    ("labels", "scores"), [([], []), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, np.inf]), ([0], [0.1, 0.2]), ([[0]], [[1]])]
)
def test_rows_that_no_threshold_fits_are_refused(labels, scores):
    with pytest.raises(ValueError, match="expected"):
        gmean_threshold(labels, scores)


def test_patients_of_the_two_splits_are_drawn_as_different_people():
    both = _both_splits(3, ["a", "b", "a"], 2, ["b", "b"])
    assert both.tolist() == [0, 1, 0, 2, 2]
    assert _both_splits(2, None, 3, None).tolist() == [0, 1, 2, 3, 4]


def test_one_score_for_everybody_has_a_threshold_below_it():
    assert gmean_threshold([0, 1], [0.5, 0.5]) == pytest.approx(-0.5)


def test_weights_of_one_set_give_one_row_of_metrics():
    plain = _threshold_metrics([0, 1, 1], [0.1, 0.2, 0.9], 0.5)
    assert _threshold_metrics([0, 1, 1], [0.1, 0.2, 0.9], 0.5, [1, 1, 1]).tolist() == plain.tolist()


def test_a_fixed_threshold_draws_nobody_and_the_table_says_which_it_is():
    split = outcomes(100, seed=5)
    fixed, chosen = (score_at_threshold(split, split, replicates=50, rechoose=rechoose) for rechoose in (False, True))
    assert (fixed.threshold.clusters, fixed.threshold.replicates) == (0, 0)
    assert "re-chosen in each replicate" in threshold_table({"LR": chosen}).to_markdown()
    assert "re-chosen" not in threshold_table({"LR": fixed}).to_markdown()
    assert fixed.metrics == score_at_threshold(split, split, replicates=50, seed=0).metrics


def test_a_row_of_the_table_has_no_metric_that_gives_a_count_of_1_to_10_back():
    # Of 100 events 4 are missed, of 200 others 50 are flagged.
    labels = np.r_[np.ones(100), np.zeros(200)]
    scores = np.r_[np.full(96, 0.9), np.full(4, 0.1), np.full(50, 0.9), np.full(150, 0.1)]
    result = score_at_threshold((labels, scores), (labels, scores), replicates=20)
    row = result.to_row("LR")
    assert {name for name, cell in row.items() if cell is None} == {
        "recall", "precision", "F1", "G-mean", "share flagged"
    }  # fmt: skip
    assert result.metrics["recall"].value == 0.96
