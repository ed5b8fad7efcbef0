"""Classification threshold of the Medicare claim encoder: where recall and specificity are high together.

Lahlou et al., "Explainable Health Risk Predictor with Transformer-based Medicare Claim Encoder", section 4.2: the
threshold is the one with the largest geometric mean of sensitivity and specificity (equations 1 and 2), and a stay is
predicted as a readmission if its probability is above it (equation 3). The threshold is chosen on validation and then
applied to test.

Letters: `R` sets of weights, `N` rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.result_table import ResultTable
from claim_transformers.claims.small_cells import show_counts
from claim_transformers.training import MetricInterval
from claim_transformers.training.metrics import FloatArray

_SUMS = {
    "events": ("hits", "missed"),
    "others": ("alarms", "quiet"),
    "flagged": ("hits", "alarms"),
    "not flagged": ("missed", "quiet"),
}
# Counts that a metric gives back, beside the rows with and without the outcome.
_PARTS = {
    "recall": ("hits", "missed"),
    "specificity": ("alarms", "quiet"),
    "precision": ("hits", "alarms"),
    "F1": ("hits", "missed", "alarms"),
    "G-mean": ("hits", "missed", "alarms", "quiet"),
    "share flagged": ("flagged", "not flagged"),
}
_METRICS = ("recall", "specificity", "precision", "F1", "G-mean", "share flagged")


def flagged(scores: FloatArray, threshold: float | FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows are predicted as a readmission: those above the threshold (equation 3), not those at it."""
    above: npt.NDArray[np.bool_] = scores > threshold
    return above


@dataclass(frozen=True)
class ThresholdResult:
    """A threshold and what it does on test.

    Args:
        threshold (`MetricInterval`): Chosen on validation; without an interval where it is held fixed.
        metrics (`dict[str, MetricInterval]`): `recall`, `specificity`, `precision`, `F1`, `G-mean` and
            `share flagged` on test.
        rechosen (`bool`): Whether the intervals count that another validation split gives another threshold.
        counts (`dict[str, int]`): Test rows with the outcome that are flagged (`hits`) or `missed`, and others that
            are flagged (`alarms`) or not (`quiet`).
    """

    threshold: MetricInterval
    metrics: dict[str, MetricInterval]
    rechosen: bool
    counts: Mapping[str, int]

    def to_row(self, name: str) -> dict[str, Any]:
        """The result as a row of an [`ResultTable`]; metrics that give a count of 1 to 10 back are left out.

        Args:
            name (`str`): Name of the model.
        """
        totals = {whole: sum(self.counts[part] for part in parts) for whole, parts in _SUMS.items()}
        sums = [(whole, list(parts)) for whole, parts in _SUMS.items()]
        shown = show_counts({**self.counts, **totals}, sums, public=("events", "others"))
        hidden = {metric for metric, parts in _PARTS.items() if any(isinstance(shown[part], str) for part in parts)}
        cells = {metric: None if metric in hidden else found for metric, found in self.metrics.items()}
        return {"model": name, "threshold": self.threshold, **cells}


def gmean_threshold(
    labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | FloatArray:
    """Choose the threshold with the largest geometric mean of recall and specificity.

    All thresholds between two neighbouring scores predict the same; the middle is taken. Of several that are equally
    good the lowest is taken, because a missed readmission costs more than a false alarm (the paper, section 4.2).

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        scores (array of shape `(N,)`): Larger means more likely 1.
        weights (array of shape `(N,)` or `(R, N)`, *optional*): Non-negative row weights.

    Returns:
        `float`, or `NDArray[float]` of shape `(R,)`: The threshold; NaN where one class has no weight.

    Raises:
        ValueError: If shapes differ, a label is not 0 or 1, or a score is not finite.

    Examples:
        >>> gmean_threshold([0, 0, 1, 1], [0.1, 0.3, 0.5, 0.9])
        0.4
        >>> gmean_threshold([0, 0, 1, 1], [0.1, 0.3, 0.5, 0.9], [[1, 1, 1, 1], [1, 1, 0, 1]]).tolist()
        [0.4, 0.4]
    """
    labels, scores = _checked(labels, scores)
    weights_RN = np.atleast_2d(np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64))
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    # Candidate c flags all rows from its start on; the first one flags everybody, a last one nobody.
    starts = np.flatnonzero(np.r_[True, np.diff(ordered) > 0])
    sorted_weights = weights_RN[:, order]
    positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
    negative = np.add.reduceat(sorted_weights * (1.0 - labels[order]), starts, axis=1)
    with np.errstate(invalid="ignore"):
        # Recall of candidate c sums the positives from its start on, specificity the negatives before it.
        recall = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1] / positive.sum(axis=1, keepdims=True)
        below = np.cumsum(negative, axis=1) - negative
        squared_gmean = recall * below / negative.sum(axis=1, keepdims=True)
    undefined = np.isnan(squared_gmean).any(axis=1)
    # Equal up to rounding is equal, so that row order does not decide between equally good thresholds.
    best = np.argmax(np.round(squared_gmean, 12), axis=1)
    distinct = ordered[starts]
    middle = np.r_[distinct[0] - 1.0, 0.5 * (distinct[1:] + distinct[:-1])]
    chosen: FloatArray = np.where(undefined, np.nan, middle[best])
    return chosen if weights is not None and np.ndim(weights) == 2 else float(chosen[0])


def _threshold_metrics(
    labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float | FloatArray, weights: npt.ArrayLike | None = None
) -> FloatArray:
    """Compute `_METRICS` of one threshold or of one per set of weights."""
    labels, scores = _checked(labels, scores)
    weights_RN = np.atleast_2d(np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64))
    if np.ndim(threshold) == 0:
        # One threshold flags the same rows in every replicate, so that four columns hold all that weights multiply.
        flags = flagged(scores, threshold).astype(np.float64)
        sums = weights_RN @ np.stack([flags * labels, flags, labels, np.ones(len(labels))], axis=1)
        true_positive, all_flagged, positive, everybody = sums.T
    else:
        flags_RN = weights_RN * flagged(scores, np.asarray(threshold)[:, None])
        true_positive, all_flagged = flags_RN @ labels, flags_RN.sum(axis=1)
        positive, everybody = weights_RN @ labels, weights_RN.sum(axis=1)
    negative = everybody - positive
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = true_positive / positive
        specificity = (negative - (all_flagged - true_positive)) / negative
        precision = true_positive / all_flagged
        # Two over the sum of the inverses, written so that it is 0 where recall and precision are.
        f1 = 2.0 * true_positive / (all_flagged + positive)
        gmean = np.sqrt(recall * specificity)
        share = all_flagged / everybody
    found: FloatArray = np.stack([recall, specificity, precision, f1, gmean, share], axis=1)
    return found if weights is not None and np.ndim(weights) == 2 else found[0]


def score_at_threshold(
    validation: tuple[npt.ArrayLike, npt.ArrayLike],
    test: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    validation_patients: npt.ArrayLike | None = None,
    test_patients: npt.ArrayLike | None = None,
    rechoose: bool = False,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ThresholdResult:
    """Choose the G-mean threshold on validation and measure it on test.

    Args:
        validation (`tuple`): Labels and scores of the validation split.
        test (`tuple`): Labels and scores of the test split.
        validation_patients (array, *optional*): Patient of each validation row; only `rechoose` reads it.
        test_patients (array, *optional*): Patient of each test row; each row is a patient without it.
        rechoose (`bool`, *optional*, defaults to `False`): Whether each replicate draws validation patients too and
            chooses its own threshold. Fixed intervals say how sure the figures of this threshold are, re-chosen ones
            how sure those of the whole procedure are; these are wider.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`ThresholdResult`]: The threshold and the metrics with their intervals.

    Raises:
        ValueError: If the validation split has one class only, or lengths differ.

    Examples:
        >>> split = [0, 0, 1, 1] * 25, [0.1, 0.3, 0.2, 0.9] * 25
        >>> result = score_at_threshold(split, split, replicates=200)
        >>> round(result.threshold.value, 3), str(result.metrics["specificity"])
        (0.15, '0.500 (0.345 to 0.633)')
    """
    validation_labels, validation_scores = _checked(*validation)
    labels, scores = _checked(*test)
    threshold = float(gmean_threshold(validation_labels, validation_scores))
    if np.isnan(threshold):
        raise ValueError("expected both classes in the validation split, found one; no threshold can be chosen")
    if rechoose:
        learned = len(validation_labels)

        def statistic(weights: FloatArray) -> FloatArray:
            chosen = np.asarray(gmean_threshold(validation_labels, validation_scores, weights[:, :learned]))
            # A replicate that leaves no threshold leaves no metric either.
            found = _threshold_metrics(labels, scores, chosen, weights[:, learned:])
            return np.where(np.isnan(chosen)[:, None], np.nan, np.column_stack([found, chosen]))

        both = _both_splits(learned, validation_patients, len(labels), test_patients)
        found = draw(statistic, len(both), both, replicates=replicates, seed=seed)
        shown = found.interval(len(_METRICS))
    else:
        found = draw(
            lambda weights: _threshold_metrics(labels, scores, threshold, weights),
            len(labels),
            test_patients,
            replicates=replicates,
            seed=seed,
        )
        shown = MetricInterval(threshold, None, None, clusters=0, replicates=0)
    metrics = {name: found.interval(number) for number, name in enumerate(_METRICS)}
    cells = {"hits": (1, True), "missed": (1, False), "alarms": (0, True), "quiet": (0, False)}
    flags = flagged(scores, threshold)
    counts = {name: int(((labels == label) & (flags == flag)).sum()) for name, (label, flag) in cells.items()}
    return ThresholdResult(shown, metrics, rechoose, counts)


def threshold_table(results: dict[str, ThresholdResult], *, title: str = "At the G-mean threshold") -> ResultTable:
    """Put the thresholds of several models side by side.

    Args:
        results (`dict[str, ThresholdResult]`): Results by name of the model.
        title (`str`, *optional*): Heading.

    Raises:
        ValueError: If there is no model.
    """
    if not results:
        raise ValueError("expected at least one model, found none")
    held = "re-chosen in each replicate" if next(iter(results.values())).rechosen else "held fixed in the replicates"
    note = (
        "The threshold has the largest geometric mean of recall and specificity on validation (Lahlou et al., "
        f"equations 1 to 3) and is {held}; 95 % intervals draw patients of the test split."
    )
    return ResultTable(title, [result.to_row(name) for name, result in results.items()], [note])


def _both_splits(
    validation_rows: int,
    validation_patients: npt.ArrayLike | None,
    test_rows: int,
    test_patients: npt.ArrayLike | None,
) -> npt.NDArray[np.int64]:
    """Patients of validation rows, then of test rows, numbered apart: they are drawn together, as one study is."""
    numbers: list[npt.NDArray[np.int64]] = []
    for rows, patients in ((validation_rows, validation_patients), (test_rows, test_patients)):
        found = np.arange(rows) if patients is None else np.unique(np.asarray(patients), return_inverse=True)[1]
        if len(found) != rows:
            raise ValueError(f"expected one patient for each of {rows} rows, found {len(found)}")
        numbers.append(found + (numbers[0].max() + 1 if numbers else 0))
    return np.concatenate(numbers)


def _checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Labels and scores as numbers, or an error."""
    labels, scores = np.asarray(labels, np.float64), np.asarray(scores, np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape or not len(labels):
        raise ValueError(f"expected one label and one score per row, found shapes {labels.shape} and {scores.shape}")
    if not np.isin(labels, (0.0, 1.0)).all():
        raise ValueError("expected labels 0 or 1, found other values")
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, found NaN or infinity")
    return labels, scores
