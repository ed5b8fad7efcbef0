"""`compute_metrics` for classifiers of the trainer: from logits to plain numbers."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import EvalPrediction

from claim_transformers.training.metrics import ONE_CLASS, auprc, auroc, brier, calibration_error, recall_at_k

_logger = logging.getLogger(__name__)


def probabilities_of(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Turn logits into probabilities of the positive class, or of each label.

    Args:
        logits (array of shape `(N, 2)`, `(N, 1)`, `(N,)` or `(N, K)`): Two columns are one binary outcome (softmax);
            anything else is one sigmoid per column.

    Returns:
        `np.ndarray` of shape `(N,)` for a binary outcome, else `(N, K)`.

    Examples:
        >>> probabilities_of([[0.0, 0.0], [1.0, 1.0]]).tolist(), probabilities_of([[0.0], [0.0]]).tolist()
        ([0.5, 0.5], [0.5, 0.5])
    """
    values = np.asarray(logits, dtype=np.float64)
    if values.ndim == 2 and values.shape[1] == 2:
        values = values[:, 1] - values[:, 0]
    elif values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    # exp of a negative number cannot overflow.
    smaller = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0 / (1.0 + smaller), smaller / (1.0 + smaller))


def binary_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Compute AUROC, AUPRC, Brier score and calibration error of a binary classifier.

    Args:
        prediction (`EvalPrediction`): Logits of shape `(N, 2)`, `(N, 1)` or `(N,)` and labels 0 or 1.

    Returns:
        `dict[str, float]`: The metrics. With one class only, AUROC and AUPRC are NaN and `W_ONE_CLASS` is logged, so
        that training goes on; NaN is never the best checkpoint.

    Raises:
        ValueError: If a label is not 0 or 1, or a logit is not finite.

    Examples:
        >>> logits = np.array([[2.0, 0.0], [0.0, 2.0]])
        >>> binary_metrics(EvalPrediction(predictions=logits, label_ids=np.array([0, 1])))["auroc"]
        1.0
    """
    labels, scores = np.asarray(prediction.label_ids), probabilities_of(_logits(prediction))
    if len(np.unique(labels)) < 2:
        _logger.warning(ONE_CLASS)
    metrics = {"auroc": auroc, "auprc": auprc, "brier": brier, "calibration_error": calibration_error}
    values = {name: float(metric(labels, scores)) for name, metric in metrics.items()}
    return values | {"auprc": float("nan")} if np.isnan(values["auroc"]) else values


def multi_label_metrics(prediction: EvalPrediction, *, k: int = 10) -> dict[str, float]:
    """Compute the mean AUROC over labels and the recall among the `k` likeliest labels.

    Args:
        prediction (`EvalPrediction`): Logits and labels of shape `(N, K)`.
        k (`int`, *optional*, defaults to `10`): Labels that are looked at; at most `K` are.

    Returns:
        `dict[str, float]`: `macro_auroc`, over the labels that have both classes, `scored_labels`, how many those are,
        and `recall_at_k`.

    Raises:
        ValueError: If labels and logits differ in shape.

    Examples:
        >>> logits, labels = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 0.0]]), np.array([[1, 0, 0], [0, 1, 0]])
        >>> multi_label_metrics(EvalPrediction(predictions=logits, label_ids=labels), k=1)
        {'macro_auroc': 1.0, 'scored_labels': 2.0, 'recall_at_1': 1.0}
    """
    labels, logits = np.asarray(prediction.label_ids), np.asarray(_logits(prediction), dtype=np.float64)
    if labels.shape != logits.shape:
        raise ValueError(f"expected labels of shape {logits.shape} as the logits have, found {labels.shape}")
    areas = np.array([auroc(labels[:, column], logits[:, column]) for column in range(labels.shape[1])])
    scored = ~np.isnan(areas)
    k = min(k, labels.shape[1])
    return {
        "macro_auroc": float(areas[scored].mean()) if scored.any() else float("nan"),
        "scored_labels": float(scored.sum()),
        f"recall_at_{k}": float(recall_at_k(labels, logits, k=k)),
    }


def classifier_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Compute the metrics that fit the labels: of two classes, of several labels, or none beside the loss."""
    logits, labels = judged_labels(prediction)
    judged = EvalPrediction(predictions=logits, label_ids=labels)
    if labels.shape == logits.shape:
        return multi_label_metrics(judged)
    # Labels of two outputs that are fractions are amounts, which the loss judges.
    is_class = not np.issubdtype(labels.dtype, np.floating)
    return binary_metrics(judged) if logits.shape[1] == 2 and is_class else {}


def judged_labels(prediction: EvalPrediction) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Logits and labels with a row per patient or, where visits are classified, per visit that has a label."""
    logits, labels = np.asarray(_logits(prediction), np.float64), np.asarray(prediction.label_ids)
    if logits.ndim == 3:
        return logits[labels >= 0], labels[labels >= 0]
    return logits, labels


def label_probabilities(logits: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probabilities of each label, of each of several classes, or of the second of two classes."""
    if labels.shape == logits.shape:
        return probabilities_of(logits.ravel()).reshape(logits.shape)
    if logits.shape[-1] > 2:
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))
    return probabilities_of(logits)


def _logits(prediction: EvalPrediction) -> npt.NDArray[np.float64]:
    """Logits of a prediction; a model that returns more puts them first."""
    outputs = prediction.predictions
    return np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)
