"""Best epoch of a fine-tuning: what epochs are compared by, and the weights of the best one, kept in memory."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import EvalPrediction, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from claim_transformers.training.classification_metrics import judged_labels, label_probabilities
from claim_transformers.training.metrics import ONE_CLASS, auprc, auroc, recall_at_k

_logger = logging.getLogger(__name__)

_MULTI_LABEL_K = 10


def choice_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Compute what epochs are chosen by before the loss; nothing where only the loss can choose."""
    logits, labels = judged_labels(prediction)
    # Two outputs of an amount, whose labels are no classes, are judged by the loss.
    is_class = not np.issubdtype(labels.dtype, np.floating)
    is_chosen_by_scores = labels.shape == logits.shape or (logits.shape[1:] == (2,) and is_class)
    return choice_of(labels, label_probabilities(logits, labels)) if is_chosen_by_scores else {}


def choice_of(labels: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float]:
    """Compute what epochs and hyper-parameters are chosen by, from scores; larger is better, NaN where undefined.

    One label per row gives AUROC and AUPRC, several give the recall of the ten likeliest and the AUROC over all pairs
    of row and label.
    """
    if labels.ndim == 1:
        return {"first": float(auroc(labels, scores)), "second": float(auprc(labels, scores))}
    k = min(_MULTI_LABEL_K, labels.shape[1])
    pairs = labels.ravel().astype(np.int64), np.asarray(scores, np.float64).ravel()
    return {"first": float(recall_at_k(labels, scores, k=k)), "second": float(auroc(*pairs))}


class BestEpoch(TrainerCallback):
    """Keep the weights of the epoch that was best on the validation split, in memory.

    A cohort is fitted in seconds, and `Trainer` would write a checkpoint of every epoch to disk.
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self._best: tuple[float, float, float] | None = None
        self._weights: dict[str, torch.Tensor] = {}

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        model: torch.nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy the weights if they are better than all before; of equal ones the first stay."""
        if metrics is None or model is None:
            return
        names = [name for name in ("first", "second", "loss") if f"eval_{name}" in metrics]
        figures = {name: float(metrics[f"eval_{name}"]) for name in names}
        self.history.append(figures)
        # With one class in the validation split only the loss is defined.
        if len(self.history) == 1 and np.isnan(figures.get("first", 0.0)):
            _logger.warning("%s in the validation split: the best epoch is the one of LEAST LOSS", ONE_CLASS)
        first, second = (_or_least(figures.get(name, np.nan)) for name in ("first", "second"))
        found = (first, second, -figures["loss"])
        if self._best is None or found > self._best:
            self._best, self.epoch = found, round(state.epoch or 0)
            self._weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        elif self.patience and round(state.epoch or 0) - self.epoch >= self.patience:
            control.should_training_stop = True

    def restore(self, model: torch.nn.Module) -> None:
        """Put the best weights back."""
        if self._weights:
            model.load_state_dict(self._weights)


def _or_least(value: float) -> float:
    return -np.inf if np.isnan(value) else value
