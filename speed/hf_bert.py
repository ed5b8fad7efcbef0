"""BERT of transformers as one would tune it: the rival of other work that pretrains on codes.

Every clinical code is a position, without the visit types and days that ours reads as well, 15 % of them are masked,
and the vocabulary is predicted at masked positions alone. Batches hold patients of similar length.
"""

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM

_MASK_TOKEN, _MASK_PROBABILITY, _IGNORE = 2, 0.15, -100
_MAX_POSITIONS = 512


class TunedBert(nn.Module):
    """`BertForMaskedLM` that computes logits of masked positions alone.

    Args:
        vocab_size (`int`), hidden_size (`int`), num_layers (`int`), intermediate_size (`int`): As of our model.
        attention (`str`): Implementation of attention.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        num_layers: int,
        intermediate_size: int,
        attention: Literal["eager", "sdpa"],
    ) -> None:
        super().__init__()
        config = BertConfig(  # type: ignore[call-arg]  # attn_implementation is of PreTrainedConfig
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=4,
            intermediate_size=intermediate_size,
            max_position_embeddings=_MAX_POSITIONS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation=attention,
        )
        self.masked_lm = BertForMaskedLM(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of masked codes."""
        hidden_BTE = self.masked_lm.bert(input_ids, attention_mask).last_hidden_state
        is_masked_BT = labels != _IGNORE
        logits_NK = self.masked_lm.cls(hidden_BTE[is_masked_BT])
        return functional.cross_entropy(logits_NK.float(), labels[is_masked_BT])

    def check(self, batch: dict[str, Tensor]) -> None:
        """Refuse to measure what is no `BertForMaskedLM`.

        Raises:
            ValueError: If the loss is another one in float32.
        """
        with torch.no_grad():
            difference = abs(float(self(**batch) / self.masked_lm(**batch).loss) - 1)
        if difference > 1e-5:
            raise ValueError(f"expected the loss of BertForMaskedLM, found a relative difference of {difference:.1e}")


def bert_batches(batches: list[dict[str, Tensor]], seed: int) -> list[dict[str, Any]]:
    """Lay out the clinical codes of the same patients, as many in a batch, grouped by their number of codes."""
    generator = np.random.default_rng(seed)
    codes = [row[row != _IGNORE].numpy() for batch in batches for row in batch["labels"]]
    order = np.argsort([len(row) for row in codes], kind="stable")
    laid = []
    for rows in np.split(order, len(batches)):
        width = max(len(codes[row]) for row in rows)
        input_ids, labels = np.zeros((len(rows), width), np.int64), np.full((len(rows), width), _IGNORE)
        for place, row in enumerate(rows):
            input_ids[place, : len(codes[row])] = codes[row]
        is_masked = (generator.random(input_ids.shape) < _MASK_PROBABILITY) & (input_ids > 0)
        labels[is_masked] = input_ids[is_masked]
        shown = np.where(is_masked, _MASK_TOKEN, input_ids)
        batch = {"input_ids": shown, "attention_mask": (input_ids > 0).astype(np.int64), "labels": labels}
        laid.append({name: torch.from_numpy(values) for name, values in batch.items()})
    return laid
