"""From numbers to p-values and words, each rule alone."""

import numpy as np
import pytest
from scipy.stats import t

from claim_transformers.analysis.audit.patient_draws import Draws
from claim_transformers.analysis.audit.subgroup_numbers import BLOCKS, METRICS, TESTED, _moved, _rates
from claim_transformers.analysis.audit.subgroup_verdicts import (
    _RATIO,
    _YOUDEN,
    Gap,
    _GroupSize,
    group_gaps,
    group_p_values,
    group_size,
    group_verdict,
    holm,
)
from claim_transformers.training import MetricInterval

SIZE = _GroupSize(patients=90, rows=200, events=40, others=300, observed=30, expected=25.0, ratio_error=0.1)


def numbers(*, own=0.4, to_rest=0.3, recall=0.5, alarms=0.1, youden_excess=-0.2):
    """Numbers of one group in the order of blocks and metrics, equal in every replicate."""
    table = np.zeros((len(BLOCKS), len(METRICS)))
    table[0, METRICS.index("recall")] = recall
    table[0, METRICS.index("false positive rate")] = alarms
    table[2, METRICS.index(_YOUDEN)] = youden_excess
    value = np.r_[table.ravel(), own, to_rest]
    assert len(value) == len(BLOCKS) * len(METRICS) + len(TESTED)
    return Draws(value, np.tile(value, (5, 1)), 390)


@pytest.mark.parametrize(("own", "to_rest"), [(0.4, 0.3), (0.2, 0.3), (-0.4, -0.3)])
def test_more_events_than_expected_is_tested_by_the_weaker_of_two_looks(own, to_rest):
    found = group_p_values(numbers(own=own, to_rest=to_rest), [SIZE], 20)
    assert found[_RATIO] == pytest.approx([2 * t.sf(min(abs(own), abs(to_rest)) / 0.1, df=24)])


@pytest.mark.parametrize(("own", "to_rest", "p"), [(0.4, -0.3, 1.0), (-0.4, 0.3, 1.0)])
def test_two_looks_that_disagree_are_no_bias(own, to_rest, p):
    assert group_p_values(numbers(own=own, to_rest=to_rest), [SIZE], 20)[_RATIO].tolist() == [p]


def test_a_shortfall_is_tested_beyond_its_tolerance_with_the_error_of_independent_rows():
    error = np.sqrt(0.5 * 0.5 / 40 + 0.1 * 0.9 / 160)
    found = group_p_values(numbers(), [SIZE], 20)
    assert found[_YOUDEN] == pytest.approx([t.sf((0.2 - 0.05) / error, df=29)])


@pytest.mark.parametrize(("least", "is_tested"), [(25, True), (26, False)])
def test_as_many_patients_of_a_class_as_asked_for_are_enough(least, is_tested):
    assert np.isfinite(group_p_values(numbers(), [SIZE], least)[_RATIO][0]) == is_tested


@pytest.mark.parametrize(("fewest", "is_tested"), [(1, False), (2, True)])
def test_one_patient_of_a_class_is_never_enough(fewest, is_tested):
    size = _GroupSize(90, 200, 40, 300, fewest, fewest, 0.1)
    found = group_p_values(numbers(), [size], 0)
    assert np.isfinite([found[_RATIO][0], found[_YOUDEN][0]]).tolist() == [is_tested] * 2
    if is_tested:
        assert found[_RATIO] == pytest.approx([2 * t.sf(0.3 / 0.1, df=1)])


def interval(value, low=None, high=None):
    return MetricInterval(value, value if low is None else low, value if high is None else high, 9, 9)


def verdicts(p, p_holm, level, **excess):
    """Verdicts by metric where all values and gaps are 0 and an excess is what is given."""
    blocks = [interval(0.0)] * (2 * len(METRICS)) + [
        excess.get(metric.split()[0], interval(0.1)) for metric in METRICS
    ]
    gaps = group_gaps(np.array(blocks, dtype=object), p, p_holm, level)
    return {gap.metric: gap.verdict for gap in gaps if gap.verdict}


@pytest.mark.parametrize(
    ("ratio", "youden", "p_holm", "expected"),
    [
        # Holm doubled the p-value of the group, so each look counts four times.
        (1 / 64, 1.0, 1 / 16, {_RATIO}),
        (1.5 / 64, 1.0, 1.5 / 16, set()),
        (1 / 64, 1.5 / 64, 1 / 16, {_RATIO}),
        (1 / 64, 1 / 64, 1 / 16, {_RATIO, _YOUDEN}),
        # Of a group that is certain each look counts twice.
        (0.0, 1 / 32, 0.0, {_RATIO, _YOUDEN}),
        (0.0, 1.5 / 32, 0.0, {_RATIO}),
    ],
)
def test_a_look_shows_a_bias_at_the_p_value_that_all_tests_leave(ratio, youden, p_holm, expected):
    found = verdicts({_RATIO: ratio, _YOUDEN: youden}, p_holm, 1 / 16, Youden=interval(-0.1))
    assert set(found) & {_RATIO, _YOUDEN} == expected


def test_what_goes_with_a_bias_is_said_where_its_interval_leaves_0_out():
    p = {_RATIO: 0.001, _YOUDEN: 1.0}
    found = verdicts(p, 0.002, 0.05, recall=interval(-0.2, -0.3, -0.1), false=interval(0.2, 0.1, 0.3))
    assert found == {
        _RATIO: "bias against it: risk underestimated",
        "recall": "bias against it: more missed",
        "false positive rate": "bias: more false alarms",
    }
    across = {"recall": interval(-0.2, -0.3, 0.0), "false": interval(0.2, 0.0, 0.3)}
    assert set(verdicts(p, 0.002, 0.05, **across)) == {_RATIO}
    assert verdicts(p, 0.06, 0.05, recall=interval(-0.2, -0.3, -0.1)) == {}
    assert verdicts(p, 0.002, 0.05, **{"observed/expected": interval(-0.1)})[_RATIO].startswith("bias: risk over")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.8, 1.2, "no bias found"), (0.8, 1.5, "too few to tell"), (1 / 1.5, 1.2, "too few to tell")],
)
def test_a_group_whose_interval_holds_a_large_ratio_is_too_small_to_tell(low, high, verdict):
    ratio = Gap(_RATIO, interval(1.0, low, high), interval(0.0), interval(0.0), p=0.5)
    assert group_verdict([ratio], SIZE) == verdict
    alone = _GroupSize(90, 200, 40, 0, 30, 25.0, 0.1)
    assert group_verdict([ratio], alone) == "no other group to compare with"


def test_a_group_counts_patients_rows_and_the_fewest_of_a_class():
    labels = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0.0])
    probabilities = np.r_[np.full(5, 0.1), np.full(5, 0.3)]
    patients = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 7])
    found = group_size(labels, probabilities, patients, np.arange(10) < 5)
    assert (found.patients, found.rows, found.events, found.others) == (4, 5, 2, 4)
    assert found.observed == 1
    assert found.expected == pytest.approx(1.0)  # 0.4 events are expected of 4 patients, 1 has one
    assert found.ratio_error == pytest.approx(np.sqrt(5 * 0.09) / 0.5)
    assert np.isnan(group_size(labels, probabilities * 0, patients, np.arange(10) < 5).ratio_error)


def test_a_ratio_is_defined_as_soon_as_anything_is_expected():
    sums = np.array([[[10.0, 10.0], [1.0, 1.0], [0.5, 0.0], [2.0, 2.0], [1.0, 1.0]]])
    found = _rates(sums)
    assert found["ratio"][0, 0] == 2.0
    assert found["log ratio"][0, 0] == pytest.approx(np.log(1.5))
    assert np.isnan([found["ratio"][0, 1], found["log ratio"][0, 1]]).all()


@pytest.mark.parametrize("threshold", [-0.5, 0.0, 1.0, 1.5])
def test_a_threshold_that_no_odds_have_is_not_moved(threshold):
    assert _moved(threshold, 3.0) == threshold


def test_a_moved_threshold_has_its_odds_divided():
    assert _moved(0.2, 4.0) == pytest.approx(1 / 17)


def test_corrected_p_values_are_those_of_holm():
    assert holm([0.01, 0.04, 0.03, 0.5]).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
