"""Masked-token learning in figures: rank all tokens at each hidden position, look where the hidden token stands.

Letters: `B` patients, `T` tokens, `M` hidden tokens of a patient, `N` hidden tokens of a batch, `E` hidden size, `K`
tokens of the vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import EvalPrediction

from claim_transformers.training.metrics import weighted_mean
from claim_transformers.training.next_visit import IGNORE_INDEX

if TYPE_CHECKING:
    from claim_transformers.models.claim import ClaimForMaskedLM


def score_masked_tokens(model: "ClaimForMaskedLM", hidden: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Score every token of the vocabulary at the hidden positions alone.

    Most positions are not hidden, and the logits of all of them would be the largest tensor of an evaluation.
    """
    is_hidden_BT = labels != IGNORE_INDEX
    width = max(int(is_hidden_BT.sum(dim=1).max()), 1)
    # A stable descending sort of flags moves the hidden positions of each row to the front and keeps their order.
    places_BM = is_hidden_BT.byte().argsort(dim=1, descending=True, stable=True)[:, :width]
    hidden_BME = hidden.gather(1, places_BM[:, :, None].expand(-1, -1, hidden.shape[2]))
    return model.decoder(hidden_BME), labels.gather(1, places_BM)


def rank_masked_tokens(logits: Tensor, labels: Tensor) -> Tensor:
    """Replace masked-token logits by the ranks of the labels, for `preprocess_logits_for_metrics` of the trainer.

    The trainer then gathers one rank per hidden token instead of one logit per token of the vocabulary.

    Args:
        logits (`torch.FloatTensor` of shape `(B, M, K)`): Score of each token at each position.
        labels (`torch.LongTensor` of shape `(B, M)`): Hidden token at each position, -100 where none is hidden.

    Returns:
        `torch.LongTensor` of shape `(B, M)`: Rank of each label among all tokens, 0 for the best; -100 where there is
        no label. Of equal scores the smaller token comes first, and whatever is no number comes before the label, so
        that a model which knows nothing, or has diverged, does not look good.

    Examples:
        >>> logits = torch.tensor([[[0.1, 0.9, 0.5], [0.0, 0.0, 0.0], [3.0, 2.0, 1.0]]])
        >>> rank_masked_tokens(logits, torch.tensor([[2, 1, -100]])).tolist()
        [[1, 1, -100]]
    """
    is_label_BM = labels != IGNORE_INDEX
    logits_NK, labels_N1 = logits[is_label_BM], labels[is_label_BM][:, None]
    own_N1 = logits_NK.gather(1, labels_N1)
    tokens_K = torch.arange(logits.shape[-1], device=logits.device)
    behind_NK = (logits_NK < own_N1) | ((logits_NK == own_N1) & (tokens_K > labels_N1))
    ranks_BM = torch.full_like(labels, IGNORE_INDEX)
    ranks_BM[is_label_BM] = (logits.shape[-1] - 1 - behind_NK.sum(dim=1)).to(labels.dtype)
    return ranks_BM


@dataclass(frozen=True)
class MaskedTokenMetrics:
    """Accuracy and mean reciprocal rank of the hidden tokens, for `compute_metrics` of the trainer.

    Beside each accuracy stands that of always naming the most frequent tokens, counted in the labels themselves: a few
    codes make up much of all claims, and a model that has learnt nothing else reaches that much.

    Args:
        k (`tuple[int, ...]`, *optional*, defaults to `(1, 10)`): Tokens that are looked at.

    Examples:
        >>> ranks, labels = np.array([[0, 3], [12, -100]]), np.array([[7, 7], [8, -100]])
        >>> metrics = MaskedTokenMetrics(k=(1,))(EvalPrediction(predictions=ranks, label_ids=labels))
        >>> {name: round(value, 2) for name, value in metrics.items()}
        {'accuracy_at_1': 0.33, 'most_frequent_at_1': 0.67, 'mean_reciprocal_rank': 0.44, 'masked_tokens': 3}
    """

    k: Sequence[int] = (1, 10)

    def __call__(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Return `accuracy_at_k` and `most_frequent_at_k` for each k, the mean reciprocal rank, and the count."""
        labels = np.asarray(prediction.label_ids)
        is_label = labels >= 0
        ranks_N = np.asarray(prediction.predictions)[is_label]
        counts = np.sort(np.unique(labels[is_label], return_counts=True)[1])[::-1]
        figures: dict[str, Any] = {}
        for k in self.k:
            figures[f"accuracy_at_{k}"] = weighted_mean(ranks_N < k)
            figures[f"most_frequent_at_{k}"] = float(counts[:k].sum() / len(ranks_N)) if len(ranks_N) else float("nan")
        figures["mean_reciprocal_rank"] = weighted_mean(1.0 / (1.0 + ranks_N))
        return {**figures, "masked_tokens": len(ranks_N)}
