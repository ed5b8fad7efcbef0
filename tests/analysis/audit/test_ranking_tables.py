"""Bands and thresholds: counts by hand, and nothing that tells of few people."""

import numpy as np
import pytest

from claim_transformers.analysis import alert_table, decile_table

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.random(400)
LABELS = (RANDOM.random(400) < SCORES).astype(int)


def test_bands_hold_what_a_sort_says():
    table = decile_table(LABELS, SCORES, raw_counts=True, replicates=20)
    order = np.argsort(-SCORES)
    assert [row["rows"] for row in table.rows] == [40] * 10
    for band, row in enumerate(table.rows):
        own = LABELS[order[40 * band : 40 * band + 40]]
        assert row["observed"].value == pytest.approx(own.mean())
        assert row["lift"].value == pytest.approx(own.mean() / LABELS.mean())
        assert row["share found"].value == pytest.approx(LABELS[order[: 40 * band + 40]].sum() / LABELS.sum())


def test_a_threshold_costs_what_a_count_says():
    table = alert_table(LABELS, SCORES, threshold=0.6, shares=(0.1, 0.5), raw_counts=True, replicates=20)
    assert [row["chosen"] for row in table.rows].count("yes") == 1
    for row in table.rows:
        flagged = row["threshold"] < SCORES
        assert row["alerts per 1,000"] == pytest.approx(1000 * flagged.mean())
        assert row["PPV"].value == pytest.approx(LABELS[flagged].mean())
        assert row["sensitivity"].value == pytest.approx(LABELS[flagged].sum() / LABELS.sum())
        assert row["specificity"].value == pytest.approx((LABELS[~flagged] == 0).sum() / (LABELS == 0).sum())
        assert row["to evaluate"].value == pytest.approx(1 / LABELS[flagged].mean())


def test_no_line_and_no_difference_of_two_lines_tells_of_few_people():
    bands = decile_table(LABELS, SCORES, replicates=20).rows
    alerts = alert_table(LABELS, SCORES, threshold=0.6, replicates=20).rows
    edges = [row["threshold"] < SCORES for row in alerts]
    tops = np.cumsum([row["rows"] for row in bands])[:-1]
    edges += [np.isin(np.arange(400), np.argsort(-SCORES)[:top]) for top in tops]
    parts = [one & ~other for one in [*edges, np.ones(400, bool)] for other in [*edges, np.zeros(400, bool)]]
    counts = [int((LABELS[part] == label).sum()) for part in parts for label in (0, 1)]
    assert len(bands) > 2
    assert len(alerts) > 1
    assert not [count for count in counts if 0 < count < 11]


def test_of_a_number_bands_hold_means_and_thresholds_find_shares():
    dollars = 1000 * SCORES + 10
    (first, *_), alerts = (
        decile_table(dollars, SCORES, replicates=20).rows,
        alert_table(dollars, SCORES, replicates=20),
    )
    top = np.argsort(-SCORES)[: first["rows"]]
    assert first["observed"].value == pytest.approx(dollars[top].mean())
    assert {"observed", "share found"} < set(alerts.rows[0])
    assert "PPV" not in alerts.rows[0]


def test_too_few_rows_give_no_line():
    assert decile_table([0, 1] * 5, np.arange(10) / 10, replicates=2).rows == []
    assert alert_table([0, 1] * 5, np.arange(10) / 10, replicates=2).rows == []
    assert decile_table([], [], replicates=2).rows == alert_table([], [], replicates=2).rows == []


@pytest.mark.parametrize("prevalence", [0.03, 0.15, 0.85])
def test_no_band_begins_or_ends_where_the_outcomes_in_it_would_be_none_or_all(prevalence):
    """Scores that know nothing: in every band the outcome is as frequent as chance lets it be."""
    random = np.random.default_rng(1)
    for _ in range(10):
        labels = (random.random(1500) < prevalence).astype(int)
        for row in decile_table(labels, random.random(1500), replicates=2).rows:
            expected = row["rows"] * prevalence
            assert row["rows"] >= 11 / min(prevalence, 1 - prevalence) * 0.6
            assert abs(row["rows"] * row["observed"].value - expected) < 5 * np.sqrt(expected * (1 - prevalence))
