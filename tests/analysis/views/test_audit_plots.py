"""Pictures of an audit are well-formed, reproducible and complete."""

from xml.etree import ElementTree

import numpy as np
import pytest

from claim_transformers.analysis import reliability_plot
from claim_transformers.analysis.views.audit_plots import _drift_plot, _reliability
from claim_transformers.training import MetricInterval

RANDOM = np.random.default_rng(0)
RISKS = RANDOM.beta(1, 4, 600)
LABELS = (RANDOM.random(600) < RISKS).astype(int)


def test_the_reliability_curve_has_the_shares_of_its_bins():
    predicted, observed = _reliability(LABELS, RISKS, bins=5, replicates=60, raw_counts=True)
    order = np.argsort(RISKS)
    shares = [LABELS[part].mean() for part in np.array_split(order, 5)]
    assert [point.value for point in observed] == pytest.approx(shares, abs=0.01)
    assert (np.diff(predicted) > 0).all()
    assert all(point.low <= point.value <= point.high for point in observed)


def test_pictures_are_well_formed_described_and_the_same_bytes_again():
    point = MetricInterval(0.7, 0.6, 0.8, 10, 10)
    for draw in (
        lambda: reliability_plot(LABELS, {"before <&>": RISKS**2, "after": RISKS}, replicates=30),
        lambda: _drift_plot({"AUROC": {"true": {"2009": point, "2010": MetricInterval(None, None, None, 0, 0)}}}),
    ):
        first = draw()
        assert first == draw()
        assert ElementTree.fromstring(first).get("aria-label")


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one prediction"):
        reliability_plot(LABELS, {})
    with pytest.raises(ValueError, match="found 0 panels"):
        _drift_plot({})


def test_bins_with_few_rows_of_an_outcome_are_joined():
    labels, risks = np.tile([1, 0, 0, 0], 50), np.arange(200) / 200
    # Ten bins of 20 rows would have 5 events each; of four that begin as groups of equal size each has 11 or more.
    predicted, observed = _reliability(labels, risks, bins=10, replicates=20)
    assert [round(50 * point.value) for point in observed] == [13, 12, 13, 12]
    assert np.diff(predicted) == pytest.approx([50 / 200] * 3)
    # Fewer than 11 events in all: nothing is drawn, and the picture is still one.
    few = np.r_[np.ones(6), np.zeros(194)]
    assert _reliability(few, risks, bins=5, replicates=20) == ([], [])
    assert "<svg" in reliability_plot(few, {"all": risks}, replicates=20)
