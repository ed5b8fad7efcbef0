"""Measures of a predicted number, such as the cost of a year, with intervals over resampled patients."""

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import draw
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray, Value

_TOP_SHARE = 0.05


def r_squared(labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Value:
    """Share of the variance that is predicted, one number for each set of weights."""
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    weights_RN = np.atleast_2d(np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64))
    total = weights_RN.sum(axis=1)
    mean = weights_RN @ labels / total
    around = weights_RN @ labels**2 - total * mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = 1.0 - weights_RN @ (labels - scores) ** 2 / around
    return found if weights is not None and np.ndim(weights) == 2 else float(found[0])


def score_numbers(
    labels: npt.ArrayLike, scores: npt.ArrayLike, patients: npt.ArrayLike | None = None, *, replicates: int = 1000
) -> dict[str, MetricInterval]:
    """R2, mean absolute error, predicted over observed, and how many of the largest 5 % are among those predicted."""
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    largest, predicted = (values > np.quantile(values, 1 - _TOP_SHARE) for values in (labels, scores))
    columns = np.stack([np.abs(labels - scores), 1 + 0 * labels, scores, labels, largest & predicted, largest], axis=1)

    def numbers(weights: FloatArray) -> FloatArray:
        sums = weights @ columns
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = sums[:, ::2] / sums[:, 1::2]
        return np.column_stack([np.asarray(r_squared(labels, scores, weights)), ratios])

    found = draw(numbers, len(labels), patients, replicates=replicates).intervals()
    return dict(zip(("R2", "absolute error", "predicted/observed", "top 5 % found"), found, strict=True))
