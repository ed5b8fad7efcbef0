"""Encoders of the three recurrent models: sums of codes, GRUs over padded visits, and what each paper adds to them.

A step is a slot: step 0 is the patient, step i the i-th visit. Steps are padded on the right, so a GRU that runs
forward reads a patient's own steps before any padding; one that runs backward reads them from a copy in which each
patient's steps are turned round. Padding therefore needs no packed sequences, which cost more time on a CPU than the
padding they save when batches hold patients of similar length.

Shape letters as in `modeling_recurrent.py`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_recurrent import RecurrentConfig
from .pooling_claim import pool_codes


class Steps(NamedTuple):
    """What the GRUs read."""

    sums: Tensor  # Sum of the vectors of each step's codes, shape `(batch, steps, embedding)`.
    gaps: Tensor  # `log(1 + days since the previous visit)`, shape `(batch, steps, 1)`.
    counts: Tensor  # Steps of each patient, at least 1, shape `(batch,)`.

    @property
    def valid(self) -> Tensor:
        """Whether a step is no padding, `(batch, steps)`."""
        return torch.arange(self.sums.shape[1], device=self.counts.device) < self.counts[:, None]


class _Encoded(NamedTuple):
    """What an architecture makes of the steps."""

    states: Tensor  # One vector per step, zero where padded, shape `(batch, steps, width)`.
    patient: Tensor  # The vector that a classifier reads, shape `(batch, patient size)`.
    visit_weights: Tensor | None = None  # Attention to each step, shape `(batch, steps)`.
    variable_weights: Tensor | None = None  # RETAIN's beta, shape `(batch, steps, embedding)`.


def _turn_round(states_BVE: Tensor, counts_B: Tensor) -> Tensor:
    """Reverse each patient's steps and leave the padding where it is."""
    step_V = torch.arange(states_BVE.shape[1], device=counts_B.device)
    index_BV = torch.where(step_V < counts_B[:, None], counts_B[:, None] - 1 - step_V, step_V)
    return states_BVE.gather(1, index_BV[:, :, None].expand_as(states_BVE))


def _softmax_over(scores_BV: Tensor, chosen_BV: Tensor) -> Tensor:
    """Softmax over the chosen steps, all zero where none is."""
    scores_BV = scores_BV if scores_BV.dtype == torch.float64 else scores_BV.float()
    lowest = torch.finfo(scores_BV.dtype).min
    return scores_BV.masked_fill(~chosen_BV, lowest).softmax(dim=1) * chosen_BV


class RecurrentEmbeddings(nn.Module):
    """The table of code vectors, and the steps that the GRUs read."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.code_embeddings = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.in_every_visit = config.patient_slot == "every_visit"

    def forward(self, input_ids: Tensor, slots_BT: Tensor, days_BV: Tensor) -> Steps:
        """Sum codes into steps, `(batch, tokens)` to `(batch, steps, embedding)`."""
        weight_KE, num_slots = self.code_embeddings.weight, days_BV.shape[1]
        # The sum of the vectors of codes is a multi-hot vector times a matrix without either.
        sums_BVE = pool_codes(weight_KE, input_ids, slots_BT, slots_BT >= 0, num_slots, "sum")
        if self.in_every_visit:
            is_visit_BV1 = (days_BV >= 0)[:, :, None] & (torch.arange(days_BV.shape[1]) > 0).to(days_BV.device)[
                :, None
            ]
            sums_BVE = sums_BVE + sums_BVE[:, :1] * is_visit_BV1
        gaps_BV = functional.pad(days_BV.diff(dim=1), (1, 0)).clamp(min=0)
        counts_B = (days_BV >= 0).sum(dim=1).clamp(min=1)
        return Steps(sums_BVE, gaps_BV[:, :, None].to(sums_BVE.dtype).log1p(), counts_B)


class _MaskedGRU(nn.Module):
    """A GRU over steps padded on the right, forward or backward in time, one direction on top of itself."""

    def __init__(self, config: RecurrentConfig, is_backward: bool = False) -> None:
        super().__init__()
        self.is_backward = is_backward
        layers = config.num_hidden_layers
        self.gru = nn.GRU(
            config.embedding_size + config.reads_gaps,
            config.hidden_size,
            num_layers=layers,
            batch_first=True,
            dropout=float(config.hidden_dropout_prob) if layers > 1 else 0.0,
        )

    def forward(self, inputs_BVE: Tensor, steps: Steps) -> Tensor:
        """Run over the steps, `(batch, steps, input)` to `(batch, steps, hidden)`, zero where padded."""
        if not self.is_backward:
            states_BVH: Tensor = self.gru(inputs_BVE)[0]
        else:
            states_BVH = _turn_round(self.gru(_turn_round(inputs_BVE, steps.counts))[0], steps.counts)
        return states_BVH * steps.valid[:, :, None]


class _RecurrentEncoder(nn.Module):
    """What the three have in common: dropout, and gaps beside the vectors of the steps."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.reads_gaps = config.reads_gaps

    def with_gaps(self, vectors_BVE: Tensor, steps: Steps) -> Tensor:
        """Append the gaps to the vectors of the steps where the configuration wants them."""
        if not self.reads_gaps:
            return vectors_BVE
        return torch.cat([vectors_BVE, steps.gaps.to(vectors_BVE.dtype)], dim=2)


class DoctorAIEncoder(_RecurrentEncoder):
    """DoctorAI: `h_i = GRU([tanh(W_emb x_i + b_emb); gap_i], h_{i-1})`; the last state is the patient."""

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.embedding_bias = nn.Parameter(torch.zeros(config.embedding_size))
        self.forward_gru = _MaskedGRU(config)

    def forward(self, steps: Steps) -> _Encoded:
        """Encode the steps of patients."""
        vectors_BVE = self.dropout(torch.tanh(steps.sums + self.embedding_bias))
        states_BVH = self.forward_gru(self.with_gaps(vectors_BVE, steps), steps)
        return _Encoded(states_BVH, _last(states_BVH, steps))


class DipoleEncoder(_RecurrentEncoder):
    """Dipole: a GRU in each direction, attention from the last step to the earlier ones, and `tanh(W_c [c; h])`.

    With `v_i = ReLU(W_v x_i + b_v)` and `h_i = [forward GRU; backward GRU]`, step t scores step i < t by

        location   w^T h_i + b
        general    h_t^T W h_i
        concat     v^T tanh(W [h_t; h_i])

    and the softmax of the scores weighs the `h_i` into the context `c`. A patient without visits has no earlier step
    and a context of zero.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        width = 2 * config.hidden_size
        self.attention = config.attention
        self.embedding_bias = nn.Parameter(torch.zeros(config.embedding_size))
        self.forward_gru = _MaskedGRU(config)
        self.backward_gru = _MaskedGRU(config, is_backward=True)
        if config.attention == "location":
            self.score = nn.Linear(width, 1)
        elif config.attention == "general":
            self.score = nn.Linear(width, width, bias=False)
        else:
            self.pair = nn.Linear(2 * width, config.attention_size, bias=False)
            self.score = nn.Linear(config.attention_size, 1, bias=False)
        self.combine = nn.Linear(2 * width, config.hidden_size, bias=False)

    def forward(self, steps: Steps) -> _Encoded:
        """Encode the steps of patients."""
        vectors_BVE = self.dropout(functional.relu(steps.sums + self.embedding_bias))
        inputs_BVE = self.with_gaps(vectors_BVE, steps)
        states_BVH = torch.cat([self.forward_gru(inputs_BVE, steps), self.backward_gru(inputs_BVE, steps)], dim=2)
        last_BH = _last(states_BVH, steps)
        is_earlier_BV = torch.arange(states_BVH.shape[1], device=steps.counts.device) < steps.counts[:, None] - 1
        weights_BV = _softmax_over(self._scores(states_BVH, last_BH), is_earlier_BV)
        context_BH = (weights_BV[:, :, None] * states_BVH).sum(dim=1)
        patient_BH = torch.tanh(self.combine(torch.cat([context_BH, last_BH.to(context_BH.dtype)], dim=1)))
        return _Encoded(states_BVH, patient_BH, weights_BV)

    def _scores(self, states_BVH: Tensor, last_BH: Tensor) -> Tensor:
        """Score every step, `(batch, steps)`."""
        scores_BV1: Tensor
        if self.attention == "location":
            scores_BV1 = self.score(states_BVH)
        elif self.attention == "general":
            scores_BV1 = torch.matmul(self.score(states_BVH), last_BH[:, :, None].to(states_BVH.dtype))
        else:
            pairs_BVH = torch.cat([last_BH[:, None].expand_as(states_BVH), states_BVH], dim=2)
            scores_BV1 = self.score(torch.tanh(self.pair(pairs_BVH)))
        return scores_BV1.squeeze(2)


class _RetainEncoder(_RecurrentEncoder):
    """RETAIN: two GRUs backward in time weigh each visit (alpha) and each of its embedding's coordinates (beta).

    With `v_j = W_emb x_j`, `alpha = softmax_j(w^T g_j + b)` from the one GRU and `beta_j = tanh(W h_j + b)` from the
    other, the patient is `sum_j alpha_j beta_j * v_j`. It is linear in the codes once the weights are known, which is
    what makes the contribution of a code exact.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.alpha_gru = _MaskedGRU(config, is_backward=True)
        self.beta_gru = _MaskedGRU(config, is_backward=True)
        self.alpha = nn.Linear(config.hidden_size, 1)
        self.beta = nn.Linear(config.hidden_size, config.embedding_size)

    def forward(self, steps: Steps) -> _Encoded:
        """Encode the steps of patients."""
        vectors_BVE = self.dropout(steps.sums)
        inputs_BVE = self.with_gaps(vectors_BVE, steps)
        scores_BV = self.alpha(self.alpha_gru(inputs_BVE, steps)).squeeze(2)
        alpha_BV = _softmax_over(scores_BV, steps.valid)
        beta_BVE = torch.tanh(self.beta(self.beta_gru(inputs_BVE, steps))) * steps.valid[:, :, None]
        states_BVE = alpha_BV[:, :, None] * beta_BVE * vectors_BVE
        return _Encoded(states_BVE, states_BVE.sum(dim=1), alpha_BV, beta_BVE)


ENCODERS = {"doctor_ai": DoctorAIEncoder, "dipole": DipoleEncoder, "retain": _RetainEncoder}


def _last(states_BVH: Tensor, steps: Steps) -> Tensor:
    """Take each patient's last step."""
    return states_BVH[torch.arange(len(states_BVH), device=states_BVH.device), steps.counts - 1]
