"""Bootstrap intervals that draw patients, not rows, because rows of one patient are not independent."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.training.metrics import ONE_CLASS, FloatArray, WeightedMetric

LEVEL = 0.95
# Weights of one block of replicates stay below this many numbers (32 MB of float64).
_NUMBERS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class MetricInterval:
    """A metric with its interval.

    Args:
        value (`float`, *optional*): The metric on all rows; `None` where it is undefined.
        low (`float`, *optional*): Lower end of the percentile interval.
        high (`float`, *optional*): Upper end.
        clusters (`int`): Patients that were drawn.
        replicates (`int`): Replicates in which the metric was defined.
        level (`float`, *optional*, defaults to `0.95`): Nominal coverage.
        reason (`str`, *optional*): Why the value is `None`, such as `W_ONE_CLASS`.

    Examples:
        >>> str(MetricInterval(0.75, 0.7, 0.8, clusters=100, replicates=1000))
        '0.750 (0.700 to 0.800)'
    """

    value: float | None
    low: float | None
    high: float | None
    clusters: int
    replicates: int
    level: float = LEVEL
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"undefined ({self.reason})"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (no interval)"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def clustered_interval(
    metric: WeightedMetric,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> MetricInterval:
    """Return a metric with its 95 % percentile interval over resampled patients.

    Args:
        metric ([`WeightedMetric`]): `auroc`, `auprc`, `brier`, `calibration_error`, `recall_at_k`, or a function of
            labels, scores and weights.
        labels (array of shape `(N, ...)`): Labels, one row per example.
        scores (array of shape `(N, ...)`): Scores.
        clusters (array of shape `(N,)`, *optional*): Patient of each row, any values that compare. Without it each row
            is a patient.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`MetricInterval`]: Undefined with the reason `W_ONE_CLASS` where the metric is.

    Raises:
        ValueError: If `clusters` and `labels` differ in length, or there is no row.

    Examples:
        >>> from claim_transformers.training.metrics import auroc
        >>> interval = clustered_interval(auroc, [0, 0, 1, 1] * 20, [0.1, 0.4, 0.35, 0.8] * 20, list(range(80)))
        >>> interval.value, interval.low < 0.75 < interval.high
        (0.75, True)
        >>> clustered_interval(auroc, [0, 0], [0.1, 0.2]).value is None
        True
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    draws = ClusterDraws(len(labels), clusters, replicates, seed)
    value = float(metric(labels, scores))
    values = np.concatenate([np.asarray(metric(labels, scores, weights)) for weights in draws.weights()])
    return percentile_interval(value, values, draws.count)


def paired_difference(
    metric: WeightedMetric,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    other_scores: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> MetricInterval:
    """Return the metric of `scores` minus that of `other_scores` on the same patients, with its interval.

    Both scores meet the same resampled patients, so what they share cancels and the interval is far narrower than the
    two intervals suggest.

    Args:
        metric ([`WeightedMetric`]): A function of labels, scores and weights.
        labels (array of shape `(N, ...)`): Labels, one row per example.
        scores (array of shape `(N, ...)`): Scores of one model.
        other_scores (array of shape `(N, ...)`): Scores of the other model, in the same order.
        clusters (array of shape `(N,)`, *optional*): Patient of each row. Without it each row is a patient.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`MetricInterval`]: Of the difference; an interval without 0 is a difference at the 5 % level.

    Raises:
        ValueError: If the arguments differ in length, or there is no row.

    Examples:
        >>> from claim_transformers.training.metrics import brier
        >>> paired_difference(brier, [0, 1] * 10, [0.2, 0.8] * 10, [0.2, 0.8] * 10).high
        0.0
    """
    labels, scores, other_scores = np.asarray(labels), np.asarray(scores), np.asarray(other_scores)
    draws = ClusterDraws(len(labels), clusters, replicates, seed)
    value = float(metric(labels, scores)) - float(metric(labels, other_scores))
    values = [
        np.asarray(metric(labels, scores, weights)) - np.asarray(metric(labels, other_scores, weights))
        for weights in draws.weights()
    ]
    return percentile_interval(value, np.concatenate(values), draws.count)


class ClusterDraws:
    """Row weights of bootstrap replicates: how often the patient of the row was drawn."""

    def __init__(self, rows: int, clusters: npt.ArrayLike | None, replicates: int, seed: int) -> None:
        if rows == 0:
            raise ValueError("expected at least one row, found none")
        member = np.arange(rows) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
        if len(member) != rows:
            raise ValueError(f"expected one cluster for each of {rows} rows, found {len(member)}")
        self.member, self.count = member, int(member.max()) + 1
        self.replicates, self.seed = replicates, seed

    def weights(self) -> "list[FloatArray] | Any":
        """Yield weights of shape `(block, rows)` until all replicates are drawn."""
        generator = np.random.Generator(np.random.Philox(key=self.seed))
        block = max(1, _NUMBERS_PER_BLOCK // max(len(self.member), self.count))
        for start in range(0, self.replicates, block):
            size = min(block, self.replicates - start)
            drawn = generator.integers(self.count, size=(size, self.count)) + np.arange(size)[:, None] * self.count
            counts = np.bincount(drawn.ravel(), minlength=size * self.count).reshape(size, self.count)
            yield counts[:, self.member].astype(np.float64)


def percentile_interval(value: float, values: FloatArray, clusters: int) -> MetricInterval:
    """Put the percentile interval of the defined replicates around a value."""
    if np.isnan(value):
        return MetricInterval(None, None, None, clusters, 0, reason=ONE_CLASS)
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return MetricInterval(value, None, None, clusters, 0)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail])
    return MetricInterval(value, float(low), float(high), clusters, len(defined))
