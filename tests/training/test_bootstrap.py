import json
from functools import partial

import numpy as np
import pytest
from scipy import stats

from claim_transformers.training import auroc, bootstrap, brier, clustered_interval, paired_difference, recall_at_k
from claim_transformers.training.bootstrap import ClusterDraws, MetricInterval, percentile_interval
from claim_transformers.training.metrics import weighted_mean


def patients(generator, count, shared=0.0):
    """Two classes of normal scores one standard deviation apart, whose AUROC is known; rows of a patient may share."""
    rows_of_patient = 4
    labels = generator.integers(0, 2, count)
    own = generator.normal(size=(count, rows_of_patient)) * np.sqrt(1 - shared)
    scores = labels[:, None] + own + generator.normal(size=(count, 1)) * np.sqrt(shared)
    clusters = np.repeat(np.arange(count), rows_of_patient)
    return np.repeat(labels, rows_of_patient), scores.ravel(), clusters


TRUE_AUROC = stats.norm.cdf(1 / np.sqrt(2))


def test_intervals_of_correlated_rows_cover_the_truth():
    generator = np.random.default_rng(0)
    covered, covered_by_rows = 0, 0
    for seed in range(150):
        labels, scores, clusters = patients(generator, 100, shared=0.9)
        by_patient = clustered_interval(auroc, labels, scores, clusters, replicates=200, seed=seed)
        by_row = clustered_interval(auroc, labels, scores, replicates=200, seed=seed)
        covered += by_patient.low <= TRUE_AUROC <= by_patient.high
        covered_by_rows += by_row.low <= TRUE_AUROC <= by_row.high
    assert covered >= 134  # 143 expected at 95 %, less three standard errors
    assert covered_by_rows < 120  # rows taken for patients promise too much


def test_intervals_of_paired_differences_cover_the_truth():
    generator = np.random.default_rng(1)
    covered = 0
    for seed in range(150):
        labels, scores, clusters = patients(generator, 80)
        rival = scores + generator.normal(size=len(scores))
        truth = TRUE_AUROC - stats.norm.cdf(1 / np.sqrt(4))
        interval = paired_difference(auroc, labels, scores, rival, clusters, replicates=200, seed=seed)
        covered += interval.low <= truth <= interval.high
    assert covered >= 134


def test_a_pair_is_judged_more_sharply_than_two_intervals():
    labels, scores, clusters = patients(np.random.default_rng(2), 300)
    rival = scores + np.random.default_rng(3).normal(scale=0.3, size=len(scores))
    one = clustered_interval(auroc, labels, scores, clusters)
    pair = paired_difference(auroc, labels, scores, rival, clusters)
    assert pair.high - pair.low < 0.5 * (one.high - one.low)


def test_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = np.random.default_rng(4).normal(size=400)
    mean = lambda labels, scores, weights=None: weighted_mean(scores, weights)  # noqa: E731
    interval = clustered_interval(mean, np.zeros(400), values, replicates=4000)
    half = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_names_of_patients_do_not_matter():
    labels, scores, clusters = patients(np.random.default_rng(5), 60)
    first = clustered_interval(auroc, labels, scores, clusters, replicates=300, seed=7)
    renamed = np.array([f"P{cluster:04d}" for cluster in clusters])
    assert first == clustered_interval(auroc, labels, scores, renamed, replicates=300, seed=7)
    assert first != clustered_interval(auroc, labels, scores, clusters, replicates=300, seed=8)


def test_many_rows_are_drawn_in_blocks_without_changing_the_count(monkeypatch):
    monkeypatch.setattr("claim_transformers.training.bootstrap._NUMBERS_PER_BLOCK", 1_000)
    labels, scores, clusters = patients(np.random.default_rng(6), 50)
    interval = clustered_interval(brier, labels, scores.clip(0, 1), clusters, replicates=101)
    assert (interval.replicates, interval.clusters) == (101, 50)


def test_one_class_is_undefined_with_a_reason_and_is_json():
    interval = clustered_interval(auroc, [1, 1, 1], [0.1, 0.2, 0.3])
    assert interval.reason.startswith("W_ONE_CLASS")
    assert json.loads(json.dumps(interval.to_dict(), allow_nan=False))["value"] is None
    assert str(interval).startswith("undefined")


def test_replicates_of_one_class_are_left_out_and_counted():
    interval = clustered_interval(auroc, [0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4], replicates=500)
    assert 0 < interval.replicates < 500
    assert interval.value == interval.low == interval.high == 1.0


def test_rankings_have_intervals_too():
    generator = np.random.default_rng(8)
    labels, scores = generator.integers(0, 2, (90, 5)), generator.random((90, 5))
    interval = clustered_interval(partial(recall_at_k, k=2), labels, scores, np.repeat(np.arange(30), 3))
    assert interval.low < interval.value < interval.high


def test_rows_and_clusters_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one cluster for each of 2 rows, found 3"):
        clustered_interval(auroc, [0, 1], [0.1, 0.2], [1, 2, 3])
    with pytest.raises(ValueError, match="at least one row"):
        clustered_interval(auroc, [], [])


def test_the_interval_holds_the_middle_95_of_100_replicates():
    found = percentile_interval(0.5, np.r_[np.nan, np.arange(101) / 100], clusters=9)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert (found.value, found.clusters, found.replicates) == (0.5, 9, 101)
    assert percentile_interval(np.nan, np.ones(3), 9).replicates == 0
    alone = percentile_interval(0.5, np.full(3, np.nan), 9)
    assert (alone.low, alone.replicates, alone.clusters) == (None, 0, 9)


@pytest.mark.parametrize("numbers_per_block", [1, 40, 120, 4_000_000])
def test_each_replicate_draws_as_many_patients_as_there_are_in_blocks_of_any_size(numbers_per_block, monkeypatch):
    monkeypatch.setattr(bootstrap, "_NUMBERS_PER_BLOCK", numbers_per_block)
    blocks = list(ClusterDraws(40, np.repeat(np.arange(20), 2), replicates=7, seed=3).weights())
    assert all(block.size <= max(numbers_per_block, 40) for block in blocks)
    weights = np.concatenate(blocks)
    assert weights.shape == (7, 40)
    assert (weights.sum(axis=1) == 40).all()
    assert len(np.unique(weights, axis=0)) == 7
    assert weights.max() > 1


def test_a_thousand_replicates_of_seed_0_are_drawn_unless_others_are_asked_for():
    labels, scores = [0, 1] * 20, np.linspace(0, 1, 40)
    assert clustered_interval(brier, labels, scores) == clustered_interval(
        brier, labels, scores, replicates=1000, seed=0
    )
    assert paired_difference(brier, labels, scores, scores[::-1]) == paired_difference(
        brier, labels, scores, scores[::-1], replicates=1000, seed=0
    )
    assert clustered_interval(brier, labels, scores).replicates == 1000


def test_a_single_row_is_a_patient_and_no_row_is_refused():
    assert clustered_interval(brier, [1], [0.5], replicates=3).clusters == 1
    with pytest.raises(ValueError, match="at least one row"):
        clustered_interval(brier, [], [])


def test_an_interval_is_written_with_what_it_has():
    assert (
        str(MetricInterval(0.5, None, 0.7, 1, 1)) == str(MetricInterval(0.5, 0.2, None, 1, 1)) == "0.500 (no interval)"
    )
    assert str(MetricInterval(0.5, 0.2, 0.7, 1, 1)) == "0.500 (0.200 to 0.700)"
    assert str(MetricInterval(None, None, None, 1, 0, reason="W")) == "undefined (W)"


def test_a_difference_is_the_first_metric_less_the_second_and_so_are_its_ends():
    labels = np.array([0, 1] * 20)
    good, bad = np.where(labels == 1, 0.9, 0.1), np.full(40, 0.5)
    found = paired_difference(brier, labels, good, bad, replicates=50)
    assert (found.value, found.low, found.high) == pytest.approx((-0.24,) * 3)
    back = paired_difference(brier, labels, bad, good, replicates=50)
    assert (back.value, back.low, back.high) == pytest.approx((0.24,) * 3)
