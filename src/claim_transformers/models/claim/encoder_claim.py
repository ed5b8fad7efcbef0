"""Encoder in parts: embedding and pooling of codes, attention, and what time and history add.

Linears and norms run on positions that are no padding ([`Packing`]); attention alone needs rows of equal length and
pads them again. Shape letters as in `modeling_claim.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GradientCheckpointingLayer
from transformers.activations import ACT2FN
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_claim import ClaimConfig
from .context_claim import (
    NUM_TIME_BUCKETS,
    NUM_TIME_MAGNITUDES,
    places_of,
    position_days,
    time_buckets,
    time_magnitudes,
)
from .pooling_claim import pool_codes, pool_vectors

# Up to this many positions the backward pass of sdpa in bf16 takes 1.3 to 7 times the CPU time of plain operations
# (torch 2.13, x86); beyond it sdpa wins.
_SLOW_SDPA_POSITIONS = 256
# Each number of rows is a matrix product of its own, for which oneDNN compiles and keeps half a megabyte of code
# (torch 2.13, x86). At inference so many positions or more are rounded up to a multiple, so that batches share it.
_ROUNDED_POSITIONS, _ROUNDED_TO = (64, 1024), (64, 256)
_NUM_SEGMENTS = 3  # the patient, earlier visits, the last visit in view


class Packing(NamedTuple):
    """Where the positions that are no padding stand, so that linears and norms run on these alone."""

    # Real positions of the flattened batch, and behind them the first again where their number is rounded up, shape
    # `(N,)`.
    real: Tensor
    num_real: int  # Real positions.
    batch: int  # Patients.
    length: int  # Positions per patient, padding included.

    @classmethod
    def of(cls, valid_BL: Tensor, *, is_rounded: bool) -> "Packing | None":
        """Find the real positions of a batch; `None` where it is packed as it is."""
        real = places_of(valid_BL)
        count = len(real)
        few, many = _ROUNDED_POSITIONS
        more = -count % _ROUNDED_TO[count >= many] if is_rounded and count >= few else 0
        if not more and count == valid_BL.numel():
            return None
        return cls(torch.cat([real, real[:1].expand(more)]) if more else real, count, *valid_BL.shape)

    def pack(self, states_BLE: Tensor) -> Tensor:
        """Take the real positions, `(batch, positions, width)` to `(N, width)`."""
        return states_BLE.flatten(0, 1).index_select(0, self.real)

    def unpack(self, states_NE: Tensor) -> Tensor:
        """Put the real positions back between zeros, `(N, width)` to `(batch, positions, width)`."""
        padded = states_NE.new_zeros(self.batch * self.length, states_NE.shape[-1])
        padded = padded.index_copy(0, self.real[: self.num_real], states_NE[: self.num_real])
        return padded.view(self.batch, self.length, -1)


class Positions(NamedTuple):
    """The positions that the transformer runs over: slots when visits are pooled, code tokens otherwise."""

    slots: Tensor  # Slot of each position, shape `(batch, positions)`.
    valid: Tensor  # Whether a position is no padding, shape `(batch, positions)`.
    cut: Tensor  # Last slot that every position sees, shape `(batch,)`.


def _eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Attend in plain operations: the form that returns its weights, and the faster one on a CPU in bf16."""
    scores_BHLL = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        scores_BHLL = scores_BHLL + attention_mask
    weights_BHLL = functional.softmax(scores_BHLL, dim=-1)
    dropped_BHLL = functional.dropout(weights_BHLL, p=dropout, training=module.training)
    return torch.matmul(dropped_BHLL, value).transpose(1, 2).contiguous(), weights_BHLL


class ClaimEmbeddings(nn.Module):
    """The one table of code embeddings, pooled into slots unless every code is a position."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.code_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.pooling = config.visit_pooling

    def forward(
        self,
        input_ids: Tensor | None,
        slots_BT: Tensor,
        valid_BT: Tensor,
        num_slots: int,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """Embed codes, `(batch, tokens)` to `(batch, positions, hidden)`; zero where a slot has no code."""
        if input_ids is not None and self.pooling != "none" and not torch.compiler.is_compiling():
            return pool_codes(self.code_embeddings.weight, input_ids, slots_BT, valid_BT, num_slots, self.pooling)
        vectors_BTE: Tensor = self.code_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if self.pooling == "none":
            return vectors_BTE * valid_BT[:, :, None]
        return pool_vectors(vectors_BTE, slots_BT, valid_BT, num_slots, self.pooling)


class ClaimTimeBias(nn.Module):
    """A learned bias per head and bucket of days, added to the attention scores of all layers."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(NUM_TIME_BUCKETS, config.num_attention_heads))

    def forward(self, buckets_BLL: Tensor) -> Tensor:
        """Look the biases up, `(batch, positions, positions)` to `(batch, heads, positions, positions)`."""
        return functional.embedding(buckets_BLL, self.weight).permute(0, 3, 1, 2)

    def mask_of_tokens(self, positions: Positions, days_BV: Tensor, dtype: torch.dtype) -> Tensor:
        """Give bias and visibility of tokens as one mask, which the tokens of a slot have in common.

        Both are computed for pairs of a slot and a token and then taken for each token of the slot.
        """
        slots_BL, valid_BL, cut_B = positions
        (batch, length), num_slots = slots_BL.shape, days_BV.shape[1]
        slots_BV = torch.arange(num_slots, device=days_BV.device).expand_as(days_BV)
        bias_BHVV = self(time_buckets(slots_BV, position_days(slots_BV, days_BV, cut_B))).to(dtype)
        key_B1L, key_B11L = slots_BL[:, None], slots_BL[:, None, None]
        bias_BHVL = bias_BHVV.gather(3, key_B11L.expand(-1, bias_BHVV.shape[1], num_slots, -1))
        seen_BVL = valid_BL[:, None] & ((key_B1L <= cut_B[:, None, None]) | (key_B1L <= slots_BV[:, :, None]))
        mask_BVHL = torch.where(seen_BVL[:, None], bias_BHVL, torch.finfo(dtype).min).transpose(1, 2)
        row_BL = torch.arange(batch, device=slots_BL.device)[:, None] * num_slots + slots_BL
        mask_BLHL = mask_BVHL.flatten(2).flatten(0, 1).index_select(0, row_BL.flatten())
        mask_BHLL = mask_BLHL.view(batch, length, -1, length).transpose(1, 2)
        # A token sees itself, so that padding, whose slot may be empty, sees something.
        mask_BHLL.diagonal(dim1=2, dim2=3).copy_(self.weight[NUM_TIME_MAGNITUDES][:, None].to(dtype))
        return mask_BHLL


class ClaimIndexGap(nn.Module):
    """A vector, zero at the start, for the days between the last visit in view and the day the patient stands on."""

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(NUM_TIME_MAGNITUDES, config.hidden_size))

    def forward(self, states_BLE: Tensor, positions: Positions, days_BV: Tensor) -> Tensor:
        """Add the vector to the positions of slot 0 of patients with a visit in view."""
        last_seen_B1 = positions.cut[:, None]
        gap_days_B1 = position_days(torch.zeros_like(last_seen_B1), days_BV, positions.cut)
        gap_days_B1 = gap_days_B1 - days_BV.clamp(min=0).gather(1, last_seen_B1)
        vectors_B1E = functional.embedding(time_magnitudes(gap_days_B1), self.weight)
        stands_BL = positions.valid & (positions.slots == 0) & (last_seen_B1 > 0)
        return states_BLE + vectors_B1E * stands_BL[:, :, None]


class ClaimSegments(nn.Module):
    """A vector, zero at the start, for what a position belongs to: the patient, an earlier visit or the last in view.

    The segments of a sequence of Lahlou et al. (2021, section 3.1.3), where the last visit is the index claim.
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(_NUM_SEGMENTS, config.hidden_size))

    def forward(self, states_BLE: Tensor, positions: Positions) -> Tensor:
        """Add the vector of its segment to every position."""
        is_visit_BL = positions.slots > 0
        is_last_BL = is_visit_BL & (positions.slots == positions.cut[:, None])
        vectors_BLE = functional.embedding(is_visit_BL.long() + is_last_BL.long(), self.weight)
        return states_BLE + vectors_BLE * positions.valid[:, :, None]


class ClaimHistorySkip(nn.Module):
    """A linear map, zero at the start, from sums of the visits in view to the hidden state before a prediction.

    The first sum counts every visit in full. Each half-life gives one more, in which a visit counts less the longer
    ago it is: attention averages, so that how often something happened lately is lost to it.
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__()
        self.half_lives_days = list(config.history_half_lives_days or ())
        width = config.hidden_size
        self.weight = nn.Parameter(torch.zeros(width, width * (1 + len(self.half_lives_days))))

    def forward(
        self, pooled_BVE: Tensor, positions: Positions, days_BV: Tensor, packing: Packing | None = None
    ) -> Tensor:
        """Map the pooled codes of visits 1 to max(q, cut) for every slot q; the patient's own codes do not count."""
        is_visit_BV = positions.valid & (positions.slots >= 1)
        visits_BVE = pooled_BVE * is_visit_BV[:, :, None]
        last_seen_BV = torch.maximum(positions.slots, positions.cut[:, None])
        sums = [visits_BVE.cumsum(dim=1).gather(1, last_seen_BV[:, :, None].expand_as(visits_BVE))]
        if self.half_lives_days:
            day_BV = position_days(positions.slots, days_BV, positions.cut)
            ago_BVV = (day_BV[:, :, None] - day_BV[:, None, :]).clamp(min=0).to(visits_BVE.dtype)
            seen_BVV = positions.slots[:, None, :] <= last_seen_BV[:, :, None]
            sums += [
                torch.matmul(torch.exp2(-ago_BVV / half_life_days) * seen_BVV, visits_BVE)
                for half_life_days in self.half_lives_days
            ]
        seen_BVE = torch.cat(sums, dim=-1)
        if packing is not None:
            return packing.unpack(functional.linear(packing.pack(seen_BVE), self.weight))
        return functional.linear(seen_BVE, self.weight) * positions.valid[:, :, None]


class ClaimAttention(nn.Module):
    """Multi-head self-attention over the positions of one patient."""

    def __init__(self, config: ClaimConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_size = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_size**-0.5
        self.attention_dropout = float(config.attention_probs_dropout_prob)
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, packing: Packing | None = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within each patient; packed states are padded for the scores alone."""
        mixed = torch.cat([self.q_proj(hidden_states), self.k_proj(hidden_states), self.v_proj(hidden_states)], dim=-1)
        if packing is not None:
            mixed = packing.unpack(mixed)
        batch, length, _ = mixed.shape
        query_BHLD, key_BHLD, value_BHLD = mixed.view(batch, length, 3, -1, self.head_size).permute(2, 0, 3, 1, 4)
        attended_BLHD, weights_BHLL = self._attention_function(query_BHLD)(
            self,
            query_BHLD,
            key_BHLD,
            value_BHLD,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        attended_BLE = attended_BLHD.reshape(batch, length, -1)
        if packing is not None:
            attended_BLE = packing.pack(attended_BLE)
        return self.o_proj(attended_BLE), weights_BHLL

    def _attention_function(self, query_BHLD: Tensor) -> Callable[..., tuple[Tensor, Tensor | None]]:
        """Give the configured function, but plain operations where sdpa is slow on a CPU or becomes no ONNX."""
        is_slow = (
            not torch.compiler.is_compiling()
            and query_BHLD.device.type == "cpu"
            and query_BHLD.dtype == torch.bfloat16
            and query_BHLD.requires_grad
            and query_BHLD.shape[2] <= _SLOW_SDPA_POSITIONS
        )
        # The exporter of torch 2.13 fails on the memory layout that sdpa gives its result.
        if self.config._attn_implementation == "sdpa" and (is_slow or torch.onnx.is_in_onnx_export()):
            return _eager_attention_forward
        function: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, _eager_attention_forward
        )
        return function


class ClaimLayer(GradientCheckpointingLayer):
    """One transformer layer, normalising its outputs (Claim-PT) or, with `norm_first`, its inputs."""

    def __init__(self, config: ClaimConfig, layer_idx: int) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.attention = ClaimAttention(config, layer_idx)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, packing: Packing | None = None, **kwargs: Any
    ) -> Tensor:
        """Transform positions, packed or padded, keeping their shape."""
        attention_input = self.attention_norm(hidden_states) if self.norm_first else hidden_states
        attended, _ = self.attention(attention_input, attention_mask, packing=packing, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        if not self.norm_first:
            hidden_states = self.attention_norm(hidden_states)
        forward_input = self.feed_forward_norm(hidden_states) if self.norm_first else hidden_states
        forwarded = self.down_proj(self.activation(self.up_proj(forward_input)))
        hidden_states = hidden_states + self.dropout(forwarded)
        return hidden_states if self.norm_first else self.feed_forward_norm(hidden_states)
