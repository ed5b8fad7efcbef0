"""Calibration: how far predicted risks are from observed ones, in the large, in slope and on average.

The measures are those of Van Calster et al., "Calibration: the Achilles heel of predictive analytics" (2019):
observed over expected events (in the large), intercept and slope of a logistic regression of the outcome on the logit
of the risk (weak), and the expected calibration error over bins (moderate).

Letters: `R` sets of weights, `N` rows.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.result_table import ResultTable
from claim_transformers.analysis.rivals.linear_models import CLIP
from claim_transformers.claims.small_cells import FEW, HIDDEN, show, show_counts
from claim_transformers.training import auroc, brier, calibration_error
from claim_transformers.training.bootstrap import MetricInterval
from claim_transformers.training.metrics import FloatArray

_MEASURES = ("calibration error", "observed/expected", "intercept", "slope", "Brier")
_STEPS = 25


def logit(probabilities: npt.ArrayLike) -> FloatArray:
    """Return log odds; probabilities of 0 and 1 are moved inside by a millionth, so that they are finite."""
    values = np.asarray(probabilities, np.float64)
    if values.size and not 0.0 <= values.min() <= values.max() <= 1.0:
        raise ValueError("expected probabilities in [0, 1], found others; apply a sigmoid or softmax to logits")
    clipped = np.clip(values, CLIP, 1.0 - CLIP)
    odds: FloatArray = np.log(clipped) - np.log1p(-clipped)
    return odds


def calibration_line(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[float, float, float]:
    """Fit the calibration line: how the log odds of the outcome follow those that were predicted."""
    labels, odds = np.asarray(labels, np.float64), logit(probabilities)
    if labels.shape != odds.shape:
        raise ValueError(f"expected one label per probability, found shapes {labels.shape} and {odds.shape}")
    if len(np.unique(labels)) < 2:
        return float("nan"), float("nan"), float("nan")
    ones = np.ones(len(labels))
    shift = _newton(np.zeros(1), ones[:, None], labels, odds)
    if np.ptp(odds) == 0:
        return float(shift[0]), float("nan"), float("nan")
    intercept, slope = _newton(np.array([0.0, 1.0]), np.stack([ones, odds], axis=1), labels, np.zeros(len(labels)))
    return float(shift[0]), float(slope), float(intercept)


def measure_calibration(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    patients: npt.ArrayLike | None = None,
    *,
    bins: int = 10,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, MetricInterval]:
    """Measure calibration with intervals over resampled patients.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (array of shape `(N,)`): Predicted probabilities of 1.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        bins (`int`, *optional*, defaults to `10`): Bins of equal size of the expected calibration error.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates. Intercept and slope of a replicate
            are one Newton step from those of all rows, which leaves an error far below their spread.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        `dict[str, MetricInterval]`: `calibration error`, `observed/expected`, `intercept`, `slope` and `Brier`.

    Raises:
        ValueError: If shapes differ, a label is not 0 or 1, or a probability is not in [0, 1].

    Examples:
        >>> risks = [0.25] * 4 + [0.75] * 4
        >>> found = measure_calibration([0, 0, 0, 1, 0, 1, 1, 1] * 20, risks * 20)
        >>> found["slope"].low < 1 < found["slope"].high, round(found["observed/expected"].value, 6)
        (True, 1.0)
    """
    labels, probabilities = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    binned_error = partial(calibration_error, bins=bins)
    odds = logit(probabilities)
    shift, slope, intercept = calibration_line(labels, probabilities)

    def measures(weights: FloatArray) -> FloatArray:
        expected = weights @ probabilities
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = weights @ labels / expected
        # A replicate lies so near to all rows that one Newton step from their coefficients is as good as a fit.
        moved = _one_step(np.array([shift]), np.ones((len(labels), 1)), labels, odds, weights)[:, 0]
        columns = np.stack([np.ones(len(labels)), odds], axis=1)
        lines = _one_step(np.array([intercept, slope]), columns, labels, np.zeros(len(labels)), weights)
        error, score = (np.asarray(metric(labels, probabilities, weights)) for metric in (binned_error, brier))
        return np.stack([error, ratio, moved, lines[:, 1], score], axis=1)

    found = draw(measures, len(labels), patients, replicates=replicates, seed=seed)
    return {name: found.interval(number) for number, name in enumerate(_MEASURES)}


def calibration_table(
    labels: npt.ArrayLike,
    probabilities: Mapping[str, npt.ArrayLike],
    patients: npt.ArrayLike | None = None,
    *,
    title: str = "Calibration before and after",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ResultTable:
    """Put the calibration of several predictions of the same rows side by side.

    Args:
        labels (array of shape `(N,)`): 0 or 1.
        probabilities (`dict[str, array]`): Probabilities by name, such as `"as trained"`, `"Platt"`, `"isotonic"`.
        patients (array of shape `(N,)`, *optional*): Patient of each row.
        title (`str`, *optional*): Heading.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        [`ResultTable`]: One row per prediction, with its AUROC, which a monotone recalibration hardly changes.

    Raises:
        ValueError: If there is no prediction, shapes differ, or a probability is not in [0, 1].
    """
    if not probabilities:
        raise ValueError("expected at least one prediction, found none")
    labels = np.asarray(labels, np.float64)
    counts = {"rows": len(labels), "events": int(labels.sum()), "others": int((labels == 0).sum())}
    shown = show_counts(counts, [("rows", ["events", "others"])])
    is_rare = FEW in shown.values()
    rows: list[dict[str, Any]] = []
    for name, values in probabilities.items():
        found = measure_calibration(labels, values, patients, replicates=replicates, seed=seed)
        cells = {**found, "AUROC": float(auroc(labels, values))}
        rows.append({"prediction": name, **(dict.fromkeys(cells) if is_rare else cells)})
    noise = np.sqrt(labels.mean() * (1 - labels.mean()) * 10 / counts["rows"])
    leaves = HIDDEN if is_rare else f"about {noise:.3f}"
    note = (
        f"{show(shown['rows'])} rows, {show(shown['events'])} with the outcome; 95 % intervals draw patients. "
        f"Sampling alone leaves a calibration error of {leaves}. "
        "A calibration error is never negative and draws of patients add to it, so its interval can lie above it. "
        "Observed/expected 1, intercept 0 and slope 1 are right."
    )
    return ResultTable(title, rows, [note])


def _newton(start: FloatArray, columns: FloatArray, labels: FloatArray, offset: FloatArray) -> FloatArray:
    """Coefficients of a logistic regression with an offset, by Newton's method; NaN where it does not settle."""
    coefficients, ones = start, np.ones((1, len(labels)))
    for _ in range(_STEPS):
        step = _one_step(coefficients, columns, labels, offset, ones)[0] - coefficients
        # A long step from a poor start can overshoot; two units of log odds per step cannot.
        coefficients = np.asarray(coefficients + np.clip(step, -2.0, 2.0), np.float64)
        if not np.isfinite(coefficients).all():
            break
        if np.abs(step).max() < 1e-9:
            return coefficients
    return np.full_like(start, np.nan)


def _one_step(
    coefficients: FloatArray, columns: FloatArray, labels: FloatArray, offset: FloatArray, weights: FloatArray
) -> FloatArray:
    """Coefficients `(R, K)` one Newton step from `coefficients` under each set of weights."""
    from scipy.special import expit

    width = len(coefficients)
    if np.isnan(coefficients).any():
        return np.full((len(weights), width), np.nan)
    risk = expit(offset + columns @ coefficients)
    gradient = weights @ (columns * (labels - risk)[:, None])
    # The curvature is a sum over rows of outer products, so one matrix product gives that of every replicate.
    products = (columns[:, :, None] * columns[:, None, :]) * (risk * (1.0 - risk))[:, None, None]
    curvature = (weights @ products.reshape(len(labels), width * width)).reshape(-1, width, width)
    solvable = np.abs(np.linalg.det(curvature)) > 1e-12
    steps = np.full((len(weights), width), np.nan)
    steps[solvable] = np.linalg.solve(curvature[solvable], gradient[solvable][..., None])[..., 0]
    moved: FloatArray = coefficients + steps
    return moved
