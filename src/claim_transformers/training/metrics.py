"""Metrics of binary risks and of ranked codes, with weights so that a bootstrap is one matrix product.

Every metric takes `weights` of shape `(N,)` or `(R, N)` and returns one number or `R` numbers. scikit-learn computes
the same figures (the tests compare) for one set of weights per call and sorts the rows in each; here the rows are
sorted once for all replicates of a bootstrap. It also keeps training free of an optional dependency.
"""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Value = float | FloatArray

ONE_CLASS = "W_ONE_CLASS: both classes are needed, all labels are the same"


class WeightedMetric(Protocol):
    """A metric of labels and scores under one or many sets of weights."""

    def __call__(self, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
        """Return one number per set of weights."""
        ...


def _prepare(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Refuse labels that are no classes, and give the weights two dimensions."""
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ValueError("expected labels 0 or 1, found other values")
    return labels, scores, weights_RN


def weighted_rows(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Check the arguments and give the weights two dimensions."""
    labels, scores = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(f"expected one label and one score per row, found shapes {labels.shape} and {scores.shape}")
    if not (np.isfinite(labels).all() and np.isfinite(scores).all()):
        raise ValueError("expected finite scores, found NaN or infinity")
    weights = np.ones(len(labels)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape[-1] != len(labels):
        raise ValueError(f"expected {len(labels)} weights, found {weights.shape[-1]}")
    return labels, scores, np.atleast_2d(weights)


def as_given(values: FloatArray, weights: npt.ArrayLike | None) -> Value:
    """One number for one set of weights, an array for many."""
    return values if weights is not None and np.ndim(weights) == 2 else float(values[0])


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Area under the receiver operating characteristic; ties count one half.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        scores (array of shape `(N,)`): Larger means more likely 1.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative weights.

    Returns:
        `float`, or `np.ndarray` of shape `(R,)`: The area, NaN where one class has no weight.

    Raises:
        ValueError: If shapes differ, a label is not 0 or 1, or a score is not finite.

    Examples:
        >>> auroc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    labels, scores, weights_RN = _prepare(labels, scores, weights)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0]) if len(order) else np.zeros(0, np.int64)
    sorted_weights = weights_RN[:, order]
    positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
    negative = np.add.reduceat(sorted_weights * (1.0 - labels[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + 0.5 * negative)).sum(axis=1)
    return as_given(quotient(wins, positive.sum(axis=1) * negative.sum(axis=1)), weights)


def auprc(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Area under the precision-recall curve as average precision, without interpolation.

    Arguments and errors are those of [`auroc`]. A random score gives the share of positives; NaN stands where no
    positive has weight.

    Examples:
        >>> round(auprc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    labels, scores, weights_RN = _prepare(labels, scores, weights)
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) < 0]) if len(order) else np.zeros(0, np.int64)
    sorted_weights = weights_RN[:, order]
    positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
    everyone = np.cumsum(np.add.reduceat(sorted_weights, starts, axis=1), axis=1)
    precision = quotient(np.cumsum(positive, axis=1), everyone)
    area = np.where(positive > 0, positive * precision, 0.0).sum(axis=1)
    return as_given(quotient(area, positive.sum(axis=1)), weights)


def brier(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Brier score: the mean squared difference of probability and label; smaller is better.

    Arguments and errors are those of [`auroc`]; scores that are no probabilities are refused too.

    Examples:
        >>> brier([0, 1], [0.5, 0.5])
        0.25
    """
    labels, scores, weights_RN = _prepare(labels, scores, weights)
    _require_probabilities(scores)
    return as_given(quotient(weights_RN @ (scores - labels) ** 2, weights_RN.sum(axis=1)), weights)


def calibration_error(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    binning: Literal["quantile", "uniform"] = "quantile",
) -> Value:
    """Expected calibration error: mean gap of predicted and observed risk over bins, weighted by their size.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        scores (array of shape `(N,)`): Probabilities of 1.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative weights. Bins are those of the unweighted
            scores, so that all replicates of a bootstrap use the same.
        bins (`int`, *optional*, defaults to `10`): Number of bins.
        binning (`str`, *optional*, defaults to `"quantile"`): `"quantile"` puts equally many rows in each bin, which
            suits rare outcomes; `"uniform"` cuts [0, 1] into equal widths.

    Returns:
        `float`, or `np.ndarray` of shape `(R,)`: The error. It is not 0 for a perfect model: sampling alone leaves
        about the square root of `risk * (1 - risk) * bins / N`.

    Raises:
        ValueError: If shapes differ, a label is not 0 or 1, a score is no probability, or `bins` is not positive.

    Examples:
        >>> calibration_error([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], bins=2)
        0.25
    """
    labels, scores, weights_RN = _prepare(labels, scores, weights)
    _require_probabilities(scores)
    if bins < 1:
        raise ValueError(f"expected at least one bin, found {bins}")
    inner = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    edges = np.quantile(scores, inner) if binning == "quantile" else inner
    member = np.searchsorted(edges, scores, side="left")
    gaps = np.zeros((len(scores), bins))
    gaps[np.arange(len(scores)), member] = scores - labels
    return as_given(quotient(np.abs(weights_RN @ gaps).sum(axis=1), weights_RN.sum(axis=1)), weights)


def recall_at_k(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, k: int = 10
) -> Value:
    """Mean share of each row's true codes among its `k` highest scores; rows without a true code do not count.

    A row is a visit or a patient, whatever is ranked. With more than `k` true codes the share cannot reach 1.

    Args:
        labels (array of shape `(N, K)`): 1 where the code is true.
        scores (array of shape `(N, K)`): Larger means ranked higher. Ties are broken by the lower column.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative weights of the rows.
        k (`int`, *optional*, defaults to `10`): Codes that are looked at, at most `K`.

    Returns:
        `float`, or `np.ndarray` of shape `(R,)`: The recall, NaN where no row counts.

    Raises:
        ValueError: If shapes differ or `k` is not in 1 to K.

    Examples:
        >>> recall_at_k([[1, 0, 1], [0, 1, 0]], [[0.9, 0.5, 0.1], [0.2, 0.7, 0.1]], k=1)
        0.75
    """
    labels, scores = np.asarray(labels, dtype=bool), np.asarray(scores, dtype=np.float64)
    if labels.ndim != 2 or labels.shape != scores.shape:
        raise ValueError(f"expected labels and scores of shape (N, K), found {labels.shape} and {scores.shape}")
    if not 1 <= k <= labels.shape[1]:
        raise ValueError(f"expected k in 1 to {labels.shape[1]}, found {k}")
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(labels, top, axis=1).sum(axis=1)
    true = labels.sum(axis=1)
    return weighted_mean(quotient(hits.astype(np.float64), true.astype(np.float64)), weights)


def weighted_mean(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Mean of the values that are not NaN, under one or many sets of weights."""
    values = np.asarray(values, dtype=np.float64)
    weights_RN = np.atleast_2d(np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64))
    counts = ~np.isnan(values)
    totals = weights_RN[:, counts] @ values[counts]
    return as_given(quotient(totals, weights_RN[:, counts].sum(axis=1)), weights)


def _require_probabilities(scores: FloatArray) -> None:
    if len(scores) and not 0.0 <= scores.min() <= scores.max() <= 1.0:
        raise ValueError("expected probabilities in [0, 1], found other scores; apply a sigmoid or softmax to logits")
