"""Next-visit recall: hide the last visit of each patient, rank all codes, look where the hidden codes stand.

Letters: `B` patients, `T` tokens, `C` codes of the hidden visit, `K` codes that are ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import EvalPrediction

from claim_transformers.training.metrics import weighted_mean

IGNORE_INDEX = -100


def hold_out_last_visit(
    inputs: Mapping[str, Tensor], pad_token_id: int, target: str = "labels"
) -> tuple[dict[str, Tensor], Tensor]:
    """Split a pretraining batch into the history before the last visit and the codes of the last visit.

    Codes that the collator masked are shown again: their labels hold them.
    """
    visit_ids_BT, visit_days_BV, labels_BT = inputs["visit_ids"], inputs["visit_days"], inputs["labels"]
    last_B1 = (visit_days_BV >= 0).sum(dim=1, keepdim=True) - 1
    hidden_BT = (visit_ids_BT == last_B1) & (last_B1 >= 1)
    slots_V = torch.arange(visit_days_BV.shape[1], device=visit_days_BV.device)
    # A landmark that pretraining drew says nothing about this history.
    visit_days_BV = visit_days_BV.masked_fill(slots_V == 0, 0).where(visit_days_BV >= 0, -1)
    shown_BT = torch.where(labels_BT != IGNORE_INDEX, labels_BT, inputs["input_ids"])
    history = {
        "input_ids": shown_BT.masked_fill(hidden_BT, pad_token_id),
        "visit_ids": visit_ids_BT.masked_fill(hidden_BT, -1),
        "visit_days": visit_days_BV.masked_fill((slots_V == last_B1) & (last_B1 >= 1), -1),
        "attention_mask": inputs["attention_mask"].masked_fill(hidden_BT, 0),
    }
    is_target_BT = hidden_BT & (inputs[target] != IGNORE_INDEX) & (last_B1 >= 2)
    targets_BT = inputs[target].masked_fill(~is_target_BT, IGNORE_INDEX)
    # Labels are at least 0, padding is negative: a descending sort moves the targets of each row to the front.
    width = max(int(is_target_BT.sum(dim=1).max()), 1)
    return history, targets_BT.sort(dim=1, descending=True).values[:, :width]


def rank_next_visit(logits: Tensor, targets: Tensor) -> Tensor:
    """Replace next-visit logits by the ranks of the targets, for `preprocess_logits_for_metrics` of the trainer.

    The trainer then gathers a handful of ranks per patient instead of one logit per code of the vocabulary.

    Args:
        logits (`torch.FloatTensor` of shape `(B, K)`): Score of each code.
        targets (`torch.LongTensor` of shape `(B, C)`): Codes of the hidden visit, -100 where there is none.

    Returns:
        `torch.LongTensor` of shape `(B, C)`: Rank of each target among all codes, 0 for the best; -100 where there is
        no target.

    Examples:
        >>> rank_next_visit(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[2, 0, -100]])).tolist()
        [[1, 2, -100]]
    """
    order_BK = logits.argsort(dim=1, descending=True, stable=True)
    places_BK = torch.arange(logits.shape[1], device=logits.device).expand_as(order_BK)
    ranks_BK = torch.empty_like(order_BK).scatter_(1, order_BK, places_BK)
    ranks_BC = ranks_BK.gather(1, targets.clamp(min=0))
    return ranks_BC.masked_fill(targets < 0, IGNORE_INDEX)


def recall_of_patients(ranks: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    """Share of each patient's hidden codes among the first `k`, NaN where nothing was hidden."""
    ranks = np.asarray(ranks)
    counts = (ranks >= 0).sum(axis=1).astype(np.float64)
    hits = ((ranks >= 0) & (ranks < k)).sum(axis=1)
    recalls: npt.NDArray[np.float64] = np.full(len(ranks), np.nan)
    np.divide(hits, counts, out=recalls, where=counts > 0)
    return recalls


@dataclass(frozen=True)
class NextVisitMetrics:
    """Mean recall of the next visit's codes, for `compute_metrics` of the trainer.

    Args:
        k (`tuple[int, ...]`, *optional*, defaults to `(10, 20, 30)`): Codes that are looked at.

    Examples:
        >>> ranks = np.array([[0, 12], [5, -100]])
        >>> NextVisitMetrics(k=(10,))(EvalPrediction(predictions=ranks, label_ids=ranks))
        {'recall_at_10': 0.75, 'patients_with_next_visit': 2}
    """

    k: Sequence[int] = (10, 20, 30)

    def __call__(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Return `recall_at_k` for each k, and the number of patients behind it."""
        ranks = np.asarray(prediction.predictions)
        recalls: dict[str, Any] = {f"recall_at_{k}": weighted_mean(recall_of_patients(ranks, k)) for k in self.k}
        return {**recalls, "patients_with_next_visit": int((ranks >= 0).any(axis=1).sum())}
