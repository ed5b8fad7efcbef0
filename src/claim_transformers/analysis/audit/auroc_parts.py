"""The area under the receiver operating characteristic as a sum over rows, and as a number without labels.

The share of each row in the area (DeLong, DeLong and Clarke-Pearson, 1988, section 2, structural components) makes an
audit of hundreds of areas one matrix product: to first order, the area under other row weights is the area plus the
weighted sum of these shares. Summed over the rows of a patient they give the clustered variance of Obuchowski, 1997.

A row may be partly positive: with the calibrated probability of each row in place of its label, the same formula gives
the area that is to be expected, which confidence-based performance estimation calls the estimated area
(Białek et al., 2024, arXiv:2401.08348).
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def auroc_parts(scores: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[float, FloatArray]:
    """Compute the area and the share of each row in it.

    A pair of a row with itself, which only rows that are partly positive have, is left out.

    Args:
        scores (array of shape `(N,)`): Larger means more likely positive.
        positive (array of shape `(N,)`): Label 0 or 1, or the probability of 1.

    Returns:
        `tuple[float, NDArray[float]]`: The area, NaN where one class has no weight, and of each row the derivative of
        the area by the weight of the row, which sum to 0.

    Raises:
        ValueError: If shapes differ, a score is not finite, or `positive` leaves [0, 1].

    Examples:
        >>> area, shares = auroc_parts([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        >>> area, shares.tolist()
        (0.75, [0.125, -0.125, -0.125, 0.125])
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.float64)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"expected one score and one label per row, found shapes {scores.shape} and {positive.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, found NaN or infinity")
    if len(positive) and not 0.0 <= positive.min() <= positive.max() <= 1.0:
        raise ValueError("expected labels or probabilities in [0, 1], found others")
    negative = 1.0 - positive
    with_itself = positive * negative
    pairs = positive.sum() * negative.sum() - with_itself.sum()
    if pairs <= 0:
        return float("nan"), np.full(len(scores), np.nan)
    order = np.argsort(scores, kind="stable")
    place, last = _place_of_equals(scores[order])
    below, above = np.empty(len(scores)), np.empty(len(scores))
    below[order] = _half_at_equals(negative[order], place, last)
    above[order] = positive.sum() - _half_at_equals(positive[order], place, last)
    wins = float(positive @ below) - 0.5 * with_itself.sum()
    area = wins / pairs
    # The derivative of wins / pairs by the weight of a row.
    own_wins = positive * below + negative * above - with_itself
    own_pairs = positive * negative.sum() + negative * positive.sum() - 2.0 * with_itself
    return float(area), (own_wins - area * own_pairs) / pairs


def estimated_auroc(probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float | FloatArray:
    """Estimate the area under the ROC without labels, from calibrated probabilities.

    Each row counts as positive with its probability and as negative with the rest. The estimate is right as long as
    probabilities stay calibrated, also where the mix of patients changes; it cannot see that the same patient now has
    another risk (concept drift).

    Args:
        probabilities (array of shape `(N,)`): Calibrated probabilities, which are the scores as well.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative row weights.

    Returns:
        `float`, or `NDArray[float]` of shape `(R,)`: The estimated area, NaN without rows of both kinds.

    Raises:
        ValueError: If a probability is not in [0, 1] or shapes differ.

    Examples:
        >>> estimated_auroc([0.0, 1.0]), round(estimated_auroc([0.2, 0.8]), 3)
        (1.0, 0.941)
    """
    probabilities = np.asarray(probabilities, np.float64)
    area, shares = auroc_parts(probabilities, probabilities)
    if weights is None:
        return area
    changes: FloatArray = area + np.asarray(weights, np.float64) @ shares
    return changes


def _place_of_equals(ordered: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each row in order the first row with its score and the one after the last."""
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) > 0])
    lengths = np.diff(np.r_[starts, len(ordered)])
    return np.repeat(starts, lengths), np.repeat(starts + lengths, lengths)


def _half_at_equals(values: FloatArray, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> FloatArray:
    """Sum of the values below each row and half of those at its score."""
    sums = np.r_[0.0, np.cumsum(values)]
    halves: FloatArray = 0.5 * (sums[first] + sums[last])
    return halves
