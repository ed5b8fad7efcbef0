"""What the models of the `claim` family return beyond the outputs that transformers has."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils.generic import ModelOutput


@dataclass
class ClaimModelOutput(ModelOutput):
    """What [`ClaimModel`] returns.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch, positions, hidden)`):
            One vector per slot, or per code token with `visit_pooling="none"`. Zero where a position is padding.
        pooler_output (`torch.FloatTensor` of shape `(batch, hidden)`):
            The patient vector that classification reads, the history skip included.
        history_states (`torch.FloatTensor` of shape `(batch, positions, hidden)`, *optional*):
            What the history skip adds to each position before a prediction, with `history_skip=True`.
        hidden_states (`tuple[torch.FloatTensor, ...]`, *optional*):
            Input of the first layer and output of every layer, with `output_hidden_states=True`.
        attentions (`tuple[torch.FloatTensor, ...]`, *optional*):
            Attention weights `(batch, heads, positions, positions)`, with `output_attentions=True` and eager
            attention.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    history_states: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class ClaimForPreTrainingOutput(ModelOutput):
    """What [`ClaimForPreTraining`] returns.

    Args:
        loss (`torch.FloatTensor`, *optional*):
            `nvp_weight * nvp_loss + cp_weight * cp_loss + horizon_weight * horizon_loss`, of those that there are.
        nvp_loss (`torch.FloatTensor`, *optional*):
            Next-visit prediction: binary cross-entropy summed over predictions and outputs, per labelled code.
        cp_loss (`torch.FloatTensor`, *optional*): Category prediction: likewise, per labelled code.
        horizon_loss (`torch.FloatTensor`, *optional*): Horizon prediction: likewise, per labelled code.
        nvp_logits (`torch.FloatTensor` of shape `(batch, slots, vocabulary or categories)`, *optional*):
            Next-visit logits of every slot, only when asked for.
        category_logits (`torch.FloatTensor` of shape `(batch, slots, categories)`, *optional*):
            Category logits of every slot, only when asked for.
        horizon_logits (`torch.FloatTensor` of shape `(batch, slots, 2 * categories)`, *optional*):
            Logits of what follows within the horizon, on other visits and then on inpatient ones, only when asked for.
        hidden_states (`tuple[torch.FloatTensor, ...]`, *optional*): As in [`ClaimModelOutput`].
        attentions (`tuple[torch.FloatTensor, ...]`, *optional*): As in [`ClaimModelOutput`].
    """

    loss: Tensor | None = None
    nvp_loss: Tensor | None = None
    cp_loss: Tensor | None = None
    horizon_loss: Tensor | None = None
    nvp_logits: Tensor | None = None
    category_logits: Tensor | None = None
    horizon_logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
