"""The area as a sum over rows, against every pair of rows compared."""

import numpy as np
import pytest

from claim_transformers.analysis.audit.auroc_parts import auroc_parts, estimated_auroc


def by_pairs(scores, positive, weights):
    """The area with every pair of different rows compared, and partly positive rows in both roles."""
    wins = pairs = 0.0
    for first in range(len(scores)):
        for second in range(len(scores)):
            if first != second:
                weight = weights[first] * positive[first] * weights[second] * (1 - positive[second])
                pairs += weight
                wins += weight * ((scores[first] > scores[second]) + 0.5 * (scores[first] == scores[second]))
    return wins / pairs


@pytest.mark.parametrize("is_partial", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_area_is_that_of_all_pairs_and_the_shares_are_its_derivatives(seed, is_partial):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, 12) / 5
    positive = generator.random(12) if is_partial else np.arange(12) % 3 == 0
    area, shares = auroc_parts(scores, positive)
    ones = np.ones(12)
    assert area == pytest.approx(by_pairs(scores, positive, ones))
    assert shares.sum() == pytest.approx(0, abs=1e-12)
    for row in range(12):
        step = np.where(np.arange(12) == row, 1e-5, 0)
        slope = (by_pairs(scores, positive, ones + step) - by_pairs(scores, positive, ones - step)) / 2e-5
        assert shares[row] == pytest.approx(slope, abs=1e-8)


def test_without_labels_the_area_is_that_of_the_risks_and_moves_with_the_weights():
    risks = np.random.default_rng(9).random(30).round(1)
    weights = np.ones((2, 30))
    weights[1, :3] = 1.001
    first, second = np.asarray(estimated_auroc(risks, weights))
    assert first == pytest.approx(estimated_auroc(risks)) == pytest.approx(by_pairs(risks, risks, weights[0]))
    assert second == pytest.approx(by_pairs(risks, risks, weights[1]), abs=1e-7)
    assert second != first


@pytest.mark.parametrize("positive", [[0, 0], [1, 1], []])
def test_rows_of_one_kind_have_no_area(positive):
    area, shares = auroc_parts([0.1] * len(positive), positive)
    assert np.isnan(area)
    assert len(shares) == len(positive)
    assert np.isnan(shares).all()


@pytest.mark.parametrize(
    ("scores", "positive"),
    [([0.1], [0, 1]), ([[0.1]], [[1]]), ([0.1, np.nan], [0, 1]), ([0.1, 0.2], [0, 1.1]), ([0.1, 0.2], [-0.1, 1])],
)
def test_rows_that_have_no_area_by_their_shape_or_values_are_refused(scores, positive):
    with pytest.raises(ValueError, match="expected"):
        auroc_parts(scores, positive)


def test_one_pair_is_enough_for_an_area():
    assert [auroc_parts(scores, [0, 1])[0] for scores in ([0.1, 0.2], [0.2, 0.1], [0.1, 0.1])] == [1.0, 0.0, 0.5]
