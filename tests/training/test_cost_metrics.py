"""Metrics of predicted amounts against their plain definitions, and weights against repeated rows."""

import numpy as np
import pytest

from claim_transformers.training import COST_METRICS, gini, predictive_ratios, r2, score_amounts, top_capture

GENERATOR = np.random.default_rng(3)
LABELS = np.where(GENERATOR.random(400) < 0.2, 0.0, GENERATOR.lognormal(7, 1.5, 400)).round(2)
SCORES = (LABELS * GENERATOR.lognormal(0, 0.8, 400) + 100).round()


@pytest.mark.parametrize("name", COST_METRICS)
def test_a_weight_is_a_repeated_row(name):
    metric, times = COST_METRICS[name], GENERATOR.integers(0, 4, len(LABELS))
    rows = np.repeat(np.arange(len(LABELS)), times)
    weighted = metric(LABELS, SCORES, np.stack([times, np.ones_like(times)]))
    assert weighted == pytest.approx([metric(LABELS[rows], SCORES[rows]), metric(LABELS, SCORES)], rel=1e-9)


def test_r2_and_gini_are_those_of_their_definitions():
    squared = ((LABELS - SCORES) ** 2).sum() / ((LABELS - LABELS.mean()) ** 2).sum()
    assert r2(LABELS, SCORES) == pytest.approx(1 - squared)
    assert r2(LABELS, np.full(400, LABELS.mean())) == pytest.approx(0.0)
    apart = np.abs(LABELS[:, None] - LABELS[None, :]).sum() / (2 * 400**2 * LABELS.mean())
    assert gini(LABELS, LABELS) == pytest.approx(apart)
    assert gini(LABELS, -LABELS) == pytest.approx(-apart)


def test_the_most_expensive_are_found_by_the_truth_and_by_chance_at_the_share():
    assert top_capture(LABELS, LABELS, share=0.05) == 1.0
    far = np.sort(LABELS)
    assert top_capture(far, -far, share=0.05) == 0.0
    found = set(np.argsort(-LABELS, kind="stable")[:20]) & set(np.argsort(-SCORES, kind="stable")[:20])
    assert top_capture(LABELS, SCORES, share=0.05) == pytest.approx(len(found) / 20)


def test_ratios_are_by_group_or_by_tenth_and_intervals_hold_the_value():
    groups = np.where(np.arange(400) % 3 == 0, "b", "a")
    ratios = predictive_ratios(LABELS, SCORES, groups, replicates=50)
    assert ratios["b"].value == pytest.approx(SCORES[groups == "b"].sum() / LABELS[groups == "b"].sum())
    tenths = predictive_ratios(LABELS, SCORES, replicates=50)
    fifth = np.argsort(SCORES, kind="stable")[160:200]
    assert tenths["tenth 5"].value == pytest.approx(SCORES[fifth].sum() / LABELS[fifth].sum())
    assert len(tenths) == 10
    assert tenths["tenth 1"].value is None
    for interval in score_amounts(LABELS, SCORES, np.arange(400) // 2, replicates=60).values():
        assert interval.low <= interval.value <= interval.high
        assert interval.clusters == 200


def test_what_is_no_amount_is_refused():
    with pytest.raises(ValueError, match="expected finite scores"):
        r2([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="one label and one score per row"):
        score_amounts([1.0], [1.0, 2.0])
