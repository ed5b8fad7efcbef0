"""Metrics of predicted amounts, with weights as those of risks, so that a bootstrap is one pass over sorted rows.

The figures are those that actuaries compare risk scores by (Hileman and Steele, Accuracy of Claims-Based Risk Scoring
Models, Society of Actuaries, 2016): R2 and mean absolute error, both also with amounts cut at a limit, predictive
ratios of groups, and how much of the truly expensive patients the highest predictions hold.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from claim_transformers.training.bootstrap import ClusterDraws, MetricInterval, percentile_interval
from claim_transformers.training.metrics import FloatArray, Value, WeightedMetric, as_given, quotient, weighted_rows

_TRUNCATED_DOLLARS = 100_000.0
_DECILES = 10


def r2(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, limit: float | None = None
) -> Value:
    """Share of the variance of amounts that predictions explain.

    Args:
        labels (array of shape `(N,)`): Amounts in US dollars.
        scores (array of shape `(N,)`): Predicted amounts.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative weights.
        limit (`float`, *optional*): Where amounts and predictions are cut, so that a few patients do not decide.

    Returns:
        `float`, or `np.ndarray` of shape `(R,)`: 1 at best, 0 as good as the mean, below 0 worse; NaN where amounts
        do not differ.

    Raises:
        ValueError: If shapes differ or a number is not finite.

    Examples:
        >>> r2([0.0, 10.0, 20.0], [0.0, 10.0, 15.0])
        0.875
    """
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    if limit is not None:
        labels, scores = np.minimum(labels, limit), np.minimum(scores, limit)
    total = weights_RN.sum(axis=1)
    mean = quotient(weights_RN @ labels, total)
    centred = labels - labels.mean()
    # The second moment around a fixed centre, so that one product serves every replicate.
    spread = weights_RN @ centred**2 - total * (mean - labels.mean()) ** 2
    return as_given(1.0 - quotient(weights_RN @ (labels - scores) ** 2, spread), weights)


def mean_absolute_error(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Mean absolute difference of amount and prediction, in US dollars.

    Arguments and errors are those of [`r2`]; NaN stands where nothing has weight.

    Examples:
        >>> mean_absolute_error([0.0, 10.0], [2.0, 6.0])
        3.0
    """
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    return as_given(quotient(weights_RN @ np.abs(labels - scores), weights_RN.sum(axis=1)), weights)


def predictive_ratio(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Predicted over actual amount of all rows together; 1 is neither too much nor too little.

    Arguments and errors are those of [`r2`]; NaN stands where nothing was spent.

    Examples:
        >>> predictive_ratio([0.0, 10.0], [2.0, 6.0])
        0.8
    """
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    return as_given(quotient(weights_RN @ scores, weights_RN @ labels), weights)


def gini(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Gini index of the order that predictions give: how much of the spending the patients in front hold.

    Arguments and errors are those of [`r2`]. Only the order of predictions counts, and rows that tie share; amounts
    are not below 0. A random order gives 0, and the Gini of the amounts themselves is the most.

    Examples:
        >>> gini([0.0, 0.0, 0.0, 8.0], [1.0, 1.0, 1.0, 2.0]), gini([1.0, 3.0], [1.0, 1.0])
        (0.75, 0.0)
    """
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0]) if len(order) else np.zeros(0, np.int64)
    people = np.add.reduceat(weights_RN[:, order], starts, axis=1)
    spent = np.add.reduceat(weights_RN[:, order] * labels[order], starts, axis=1)
    curve = np.cumsum(spent, axis=1) - 0.5 * spent
    area = quotient((people * curve).sum(axis=1), people.sum(axis=1) * spent.sum(axis=1))
    return as_given(1.0 - 2.0 * area, weights)


def top_capture(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, *, share: float = 0.05
) -> Value:
    """Share of the truly most expensive patients who are among those with the highest predictions, as many.

    Args:
        labels (array of shape `(N,)`): Amounts.
        scores (array of shape `(N,)`): Predicted amounts; of rows that tie, the first count as higher.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative weights.
        share (`float`, *optional*, defaults to `0.05`): Share of the patients who are the most expensive.

    Returns:
        `float`, or `np.ndarray` of shape `(R,)`: From `share`, by chance, to 1.

    Raises:
        ValueError: If shapes differ, a number is not finite, or the share is not between 0 and 1.

    Examples:
        >>> top_capture([9.0, 1.0, 8.0, 0.0], [5.0, 4.0, 3.0, 2.0], share=0.5)
        0.5
        >>> top_capture([1.0], [1.0], share=5)
        Traceback (most recent call last):
        ValueError: expected a share between 0 and 1, found 5
    """
    labels, scores, weights_RN = weighted_rows(labels, scores, weights)
    if not 0 < share < 1:
        raise ValueError(f"expected a share between 0 and 1, found {share}")
    wanted = share * weights_RN.sum(axis=1, keepdims=True)
    both = np.ones_like(weights_RN)
    for values in (labels, scores):
        order = np.argsort(-values, kind="stable")
        before = np.cumsum(weights_RN[:, order], axis=1) - weights_RN[:, order]
        inside = np.empty_like(weights_RN)
        # A row at the border is inside with the part of its weight that fits.
        room = np.clip(wanted - before, 0.0, weights_RN[:, order])
        inside[:, order] = quotient(room, weights_RN[:, order])
        both = np.minimum(both, np.nan_to_num(inside))
    return as_given(quotient((weights_RN * both).sum(axis=1), wanted[:, 0]), weights)


COST_METRICS: Mapping[str, WeightedMetric] = {
    "R2": r2,
    "truncated R2": partial(r2, limit=_TRUNCATED_DOLLARS),
    "mean absolute error": mean_absolute_error,
    "predictive ratio": predictive_ratio,
    "Gini": gini,
    "top 1 % found": partial(top_capture, share=0.01),
    "top 5 % found": partial(top_capture, share=0.05),
}


def score_amounts(
    labels: npt.ArrayLike, scores: npt.ArrayLike, clusters: npt.ArrayLike | None = None, *, replicates: int = 1000
) -> dict[str, MetricInterval]:
    """Compute every metric of predicted amounts with its interval over resampled patients.

    Args:
        labels (array of shape `(N,)`): Amounts in US dollars.
        scores (array of shape `(N,)`): Predicted amounts.
        clusters (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        `dict[str, MetricInterval]`: R2, R2 with amounts cut at 100,000 dollars, mean absolute error, predictive ratio,
        Gini, and the shares of the most expensive 1 and 5 % that are found.

    Raises:
        ValueError: If shapes differ, there is no row, or a number is not finite.

    Examples:
        >>> found = score_amounts([0.0, 10.0, 20.0], [0.0, 10.0, 15.0], replicates=20)
        >>> found["R2"].value, round(found["predictive ratio"].value, 3)
        (0.875, 0.833)
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    draws = ClusterDraws(len(labels), clusters, replicates, 0)
    # One draw for all metrics: the draws are what takes time.
    drawn: dict[str, list[FloatArray]] = {name: [] for name in COST_METRICS}
    for weights in draws.weights():
        for name, metric in COST_METRICS.items():
            drawn[name].append(np.asarray(metric(labels, scores, weights)))
    return {
        name: percentile_interval(float(metric(labels, scores)), np.concatenate(drawn[name]), draws.count)
        for name, metric in COST_METRICS.items()
    }


def predictive_ratios(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    clusters: npt.ArrayLike | None = None,
    *,
    replicates: int = 1000,
) -> dict[str, MetricInterval]:
    """Compute the predictive ratio of each group, or of each tenth of the predictions.

    Args:
        labels (array of shape `(N,)`): Amounts in US dollars.
        scores (array of shape `(N,)`): Predicted amounts.
        groups (array of shape `(N,)`, *optional*): Name of the group of each row; tenths by prediction without it.
        clusters (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

    Returns:
        `dict[str, MetricInterval]`: By group in order of the names, or from the lowest tenth to the highest.

    Raises:
        ValueError: If shapes differ, there is no row, or a number is not finite.

    Examples:
        >>> ratios = predictive_ratios([1.0, 2.0, 4.0], [1.0, 1.0, 4.0], ["F", "F", "M"], replicates=20)
        >>> {name: round(ratio.value, 3) for name, ratio in ratios.items()}
        {'F': 0.667, 'M': 1.0}
    """
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if groups is None:
        rank = np.empty(len(scores), np.int64)
        rank[np.argsort(scores, kind="stable")] = np.arange(len(scores))
        member = rank * _DECILES // max(len(scores), 1)
        names = [f"tenth {number + 1}" for number in range(_DECILES)]
    else:
        found, member = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        names = found.tolist()
    draws = ClusterDraws(len(labels), clusters, replicates, 0)
    one_hot = (member[:, None] == np.arange(len(names))).astype(np.float64)
    parts = [
        quotient(weights @ (one_hot * scores[:, None]), weights @ (one_hot * labels[:, None]))
        for weights in draws.weights()
    ]
    replicated = np.concatenate(parts)
    whole = quotient(scores @ one_hot, labels @ one_hot)
    return {
        name: percentile_interval(float(whole[place]), replicated[:, place], draws.count)
        for place, name in enumerate(names)
        if (member == place).any()
    }
