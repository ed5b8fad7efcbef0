"""Numbers under draws of patients: intervals together are intervals alone, and what is undefined stays out."""

import numpy as np
import pytest

from claim_transformers.analysis.audit.patient_draws import Draws, draw


def draws():
    replicates = np.random.default_rng(2).normal(size=(50, 4))
    replicates[:10, 1] = np.nan
    replicates[:49, 2] = np.nan
    return Draws(np.array([0.1, 0.2, 0.3, np.nan]), replicates, 17)


def test_intervals_together_are_those_of_each_number():
    found = draws()
    together = found.intervals()
    assert together == [found.interval(number) for number in range(4)]
    assert [interval.replicates for interval in together] == [50, 40, 1, 0]
    assert [interval.clusters for interval in together] == [17] * 4
    low, high = np.quantile(found.replicates[:, 0], [0.025, 0.975])
    assert (together[0].low, together[0].high) == pytest.approx((low, high))
    assert together[3].value is None


def test_standard_errors_leave_out_undefined_replicates_and_need_two():
    found = draws()
    errors = found.standard_errors()
    assert errors[:2] == pytest.approx(np.nanstd(found.replicates[:, :2], axis=0, ddof=1))
    assert np.isnan(errors[2])
    two = Draws(np.zeros(1), np.array([[1.0], [3.0]]), 2)
    assert two.standard_errors() == pytest.approx([np.sqrt(2)])


def test_a_function_of_the_numbers_meets_the_same_draws():
    moved = draws().map(lambda numbers: numbers[:, :1] * 2)
    assert moved.value.tolist() == [0.2]
    assert moved.replicates.tolist() == (draws().replicates[:, :1] * 2).tolist()
    assert moved.patients == 17


def test_rows_of_a_patient_are_drawn_together_and_replicates_can_be_two():
    seen = []

    def total(weights):
        seen.append(weights)
        return weights.sum(axis=1, keepdims=True)

    found = draw(total, 4, [7, 7, 3, 3], replicates=2)
    weights = np.concatenate(seen[1:])
    assert seen[0].tolist() == [[1.0] * 4]
    assert weights.shape == (2, 4)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, ::2].sum(axis=1) == 2).all()
    assert (found.value.tolist(), found.patients) == ([4.0], 2)
    with pytest.raises(ValueError, match="at least two replicates, found 1"):
        draw(lambda weights: weights, 4, replicates=1)
