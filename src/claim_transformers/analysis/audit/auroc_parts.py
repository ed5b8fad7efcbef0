"""AUROC as a sum over rows, and as a number without labels.

The share of each row in the area (DeLong, DeLong and Clarke-Pearson, 1988, section 2, structural components) makes an
audit of hundreds of areas one matrix product: to first order, the area under other row weights is the area plus the
weighted sum of these shares. Summed over the rows of a patient they give the clustered variance of Obuchowski, 1997.

A row may be partly positive: with the calibrated probability of each row in place of its label, the same formula gives
the area that is to be expected, which confidence-based performance estimation calls the estimated area
(Białek et al., 2024, arXiv:2401.08348).
"""

import numpy as np
import numpy.typing as npt

from claim_transformers.training.metrics import FloatArray


def auroc_parts(scores: npt.ArrayLike, positive: npt.ArrayLike) -> tuple[float, FloatArray]:
    """Compute the area, NaN without rows of both kinds, and the share of each row in it; the shares sum to 0."""
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, np.float64)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ValueError(f"expected one score and one label per row, found shapes {scores.shape} and {positive.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, found NaN or infinity")
    if len(positive) and not 0.0 <= positive.min() <= positive.max() <= 1.0:
        raise ValueError("expected labels or probabilities in [0, 1], found others")
    negative = 1.0 - positive
    # A row that is partly positive would also be compared with itself; such pairs are taken out of every sum.
    with_itself = positive * negative
    pairs = positive.sum() * negative.sum() - with_itself.sum()
    if pairs <= 0:
        return float("nan"), np.full(len(scores), np.nan)
    order = np.argsort(scores, kind="stable")
    place, last = _place_of_equals(scores[order])
    below, above = np.empty(len(scores)), np.empty(len(scores))
    # Of each row the negative weight that it beats and the positive weight that beats it, a tie counting half: sums
    # up to its place in the order of the scores, written back to the order of the rows.
    below[order] = _half_at_equals(negative[order], place, last)
    above[order] = positive.sum() - _half_at_equals(positive[order], place, last)
    # A row ties with itself, so that half of its own pair was counted.
    wins = float(positive @ below) - 0.5 * with_itself.sum()
    area = wins / pairs
    # The derivative of wins / pairs by the weight of a row.
    own_wins = positive * below + negative * above - with_itself
    own_pairs = positive * negative.sum() + negative * positive.sum() - 2.0 * with_itself
    return float(area), (own_wins - area * own_pairs) / pairs


def estimated_auroc(probabilities: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float | FloatArray:
    """Estimate the area without labels from calibrated probabilities; blind to a risk that changed (concept drift)."""
    probabilities = np.asarray(probabilities, np.float64)
    # Each row counts as positive with its probability and as negative with the rest.
    area, shares = auroc_parts(probabilities, probabilities)
    if weights is None:
        return area
    # To first order: the shares are derivatives at weights of 1, and sum to 0, so that 1 need not be taken off.
    changes: FloatArray = area + np.asarray(weights, np.float64) @ shares
    return changes


def _place_of_equals(ordered: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Of each row in order the first row with its score and the one after the last."""
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) > 0])
    lengths = np.diff(np.r_[starts, len(ordered)])
    return np.repeat(starts, lengths), np.repeat(starts + lengths, lengths)


def _half_at_equals(values: FloatArray, first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> FloatArray:
    """Sum of the values below each row and half of those at its score."""
    # sums[first] is what lies below; sums[last] adds what is equal; their mean counts the equal half.
    sums = np.r_[0.0, np.cumsum(values)]
    halves: FloatArray = 0.5 * (sums[first] + sums[last])
    return halves
