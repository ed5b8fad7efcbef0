"""A classifier as a function of gates: each token stands between the average code of its kind (0) and itself (1).

Between the two lies a straight line in every table that has a row per token: the embeddings, which the history skip
reads too, and the counts of the code skip. The slope in a gate is the gradient times (input -
average), so no vector is kept for it. Letters as in `modeling_claim.py`; `N` are copies of patients, one for each
step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from claim_transformers.analysis.explanation.average_codes import average_rows
from claim_transformers.models.claim import ClaimForSequenceClassification
from claim_transformers.models.claim.context_claim import checked_inputs, count_codes, count_visits
from claim_transformers.models.claim.losses_claim import amounts_of_logits


@dataclass(frozen=True)
class PatientBatch:
    """Padded patients, with what does not change from step to step."""

    input_ids: Tensor  # Tokens, shape `(B, T)`.
    visit_ids: Tensor  # Slot of each token, -1 for padding, shape `(B, T)`.
    visit_days: Tensor  # Day of each slot, -1 for padding, shape `(B, V)`.
    skip_average: Tensor  # What the code skip adds for average codes, shape `(B, K)`.
    skip_change: Tensor  # What it adds more for each token itself, shape `(B, T, K)`.

    def take(self, rows: Tensor) -> "PatientBatch":
        """Copies of some of the patients."""
        return PatientBatch(
            self.input_ids[rows],
            self.visit_ids[rows],
            self.visit_days[rows],
            self.skip_average[rows],
            self.skip_change[rows],
        )


class GatedModel:
    """A classifier in evaluation mode and one of its outputs, read through gates."""

    def __init__(self, model: ClaimForSequenceClassification, kinds: list[str | None], target: int) -> None:
        self.model, self.target = model, target
        self._table_KE = model.claim.embeddings.code_embeddings.weight.detach()
        self._average_KE = average_rows(self._table_KE, kinds)
        skip = model.code_skip
        self._skip_average_KK = None if skip is None else average_rows(skip.table().detach(), kinds)

    def batch(self, inputs: Mapping[str, Tensor]) -> PatientBatch:
        """Prepare padded patients."""
        input_ids, visit_ids, visit_days = (inputs[name] for name in ("input_ids", "visit_ids", "visit_days"))
        batch, tokens = input_ids.shape
        skip, labels = self.model.code_skip, self.model.num_labels
        average_BK = self._table_KE.new_zeros(batch, labels)
        change_BTK = self._table_KE.new_zeros(batch, tokens, labels)
        if skip is not None and self._skip_average_KK is not None:
            slots_BT, days_BV, _ = checked_inputs(input_ids, None, visit_ids, visit_days, None)
            shares_BT = skip.shares(slots_BT, days_BV, count_visits(days_BV))
            counts_BT = count_codes(input_ids, shares_BT, len(skip.weight)).gather(1, input_ids)
            # A code counts on a log scale; of that its tokens have parts as they count.
            parts_BT = torch.where(counts_BT > 0, counts_BT.log1p() * shares_BT / counts_BT, 0)
            means_BTK = self._skip_average_KK[input_ids]
            average_BK = (parts_BT[:, :, None] * means_BTK).sum(dim=1) + skip.constant().detach()
            change_BTK = parts_BT[:, :, None] * (skip.table().detach()[input_ids] - means_BTK)
        return PatientBatch(input_ids, visit_ids, visit_days, average_BK, change_BTK)

    def predict(self, patients: PatientBatch) -> Tensor:
        """What the model itself says of each patient, `(B,)`."""
        logits_BK = self._logits(patients.input_ids, patients.visit_ids, patients.visit_days)
        return self._outcome(logits_BK)

    def predict_without(self, patients: PatientBatch, rows_N: Tensor, tokens_N: Tensor) -> Tensor:
        """What the model says of patients from whose visits one token each is left out, `(N,)`."""
        ids_NT, slots_NT = patients.input_ids[rows_N], patients.visit_ids[rows_N]
        left_out_NT = (ids_NT == tokens_N[:, None]) & (slots_NT > 0)
        logits_NK = self._logits(ids_NT, torch.where(left_out_NT, -1, slots_NT), patients.visit_days[rows_N])
        return self._outcome(logits_NK)

    def predict_gated(self, patients: PatientBatch, gates_NT: Tensor) -> Tensor:
        """What it says of each patient with every token at its gate, `(N,)`."""
        average_NTE = self._average_KE[patients.input_ids]
        change_NTE = self._table_KE[patients.input_ids] - average_NTE
        given = {
            "visit_ids": patients.visit_ids,
            "visit_days": patients.visit_days,
            "inputs_embeds": average_NTE + gates_NT[:, :, None] * change_NTE,
        }
        outputs = self.model.claim(**given)
        skip_NK = patients.skip_average + (gates_NT[:, :, None] * patients.skip_change).sum(dim=1)
        return self._outcome(self.model.classifier(outputs.pooler_output) + skip_NK)

    def slopes(self, patients: PatientBatch, gate_N: Tensor) -> Tensor:
        """How fast the prediction changes with each gate, where all gates of a patient are equal, `(N, T)`."""
        gates_NT = gate_N[:, None].expand(patients.input_ids.shape).contiguous().requires_grad_()
        with torch.enable_grad():
            total = self.predict_gated(patients, gates_NT).sum()
        (slopes_NT,) = torch.autograd.grad(total, gates_NT)
        return slopes_NT.detach()

    def _logits(self, *inputs: Tensor) -> Tensor:
        """Those of the class: a trainer in bf16 leaves its autocast around the `forward` of a model."""
        logits: Tensor = type(self.model).forward(self.model, *inputs).logits
        return logits

    def _outcome(self, logits_NK: Tensor) -> Tensor:
        """The probability of the target, or the number that is predicted."""
        config = self.model.config
        match outcome_kind(self.model):
            case "regression":
                return amounts_of_logits(logits_NK, config) if is_amount(config) else logits_NK[:, self.target]
            case "multi_label_classification":
                return logits_NK[:, self.target].sigmoid()
        return logits_NK.softmax(dim=-1)[:, self.target]


def outcome_kind(model: ClaimForSequenceClassification) -> str:
    """The problem type of a model; without one, a single output is a number and several are classes."""
    fallback = "regression" if model.num_labels == 1 else "single_label_classification"
    return str(model.config.problem_type or fallback)


def is_amount(config: Any) -> bool:
    """Whether the outputs of a regression stand for an amount in US dollars, of which they are logarithms."""
    return bool(config.regression_loss != "squared")
