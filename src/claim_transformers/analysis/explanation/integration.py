"""Integrated gradients (Sundararajan et al., 2017, arXiv:1703.01365) on gates, in batches that a limit bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from claim_transformers.analysis.explanation.gated_model import GatedModel, PatientBatch
from claim_transformers.claims.small_cells import show_count

# Numbers that a pass may keep for its gradient: 0.5 GB in float32.
_MOST_NUMBERS = 2**27
# A number below this is 0 to float32 beside an ordinary one.
_SMALLEST = 1e-6
# Probabilities that are nearer to each other have no slope between them that can be told from rounding.
_APART = 1e-4


@dataclass(frozen=True)
class Contributions:
    """What each token of each patient added to the prediction."""

    base: Tensor  # Prediction for average codes, shape `(B,)`.
    prediction: Tensor  # Prediction of the model, shape `(B,)`.
    tokens: Tensor  # Contributions, 0 for padding, shape `(B, T)`.
    steps: Tensor  # Shape `(B,)`. Steps of the integral; 0 where there was none.

    @property
    def gap(self) -> Tensor:
        """What the contributions leave unexplained, `(B,)`."""
        return self.prediction - self.base - self.tokens.sum(dim=1)

    def calibrated(self, calibration: Callable[[Any], Any]) -> "Contributions":
        """The same of calibrated probabilities: all contributions of a patient are stretched alike.

        A calibration bends the way from base to prediction as a whole, so that what each token is of it stays: order
        and signs are the model's, and a curve with corners adds up as well as a line. Where base and prediction are
        nearly equal, the stretch is that of the calibration around them.
        """
        low_B, high_B = (end(self.base, self.prediction) for end in (torch.minimum, torch.maximum))
        apart_B = (_APART - (high_B - low_B)).clamp(min=0) / 2
        low_B, high_B = (low_B - apart_B).clamp(0, 1), (high_B + apart_B).clamp(0, 1)
        base_B, prediction_B, from_B, to_B = (
            torch.from_numpy(calibration(one_B.cpu().numpy())).to(one_B)
            for one_B in (self.base, self.prediction, low_B, high_B)
        )
        stretch_B = (to_B - from_B) / (high_B - low_B)
        return Contributions(base_B, prediction_B, stretch_B[:, None] * self.tokens, self.steps)


def integrate(
    model: GatedModel, patients: PatientBatch, *, steps: int, most_steps: int, tolerance: float, is_share: bool
) -> Contributions:
    """Integrate the slopes from the average codes to the patient at the midpoints of equal steps.

    A patient whose contributions miss the prediction by more than the tolerance is integrated again with twice the
    steps, while these are no more than `most_steps`; a patient whose contributions still do is an error.
    """
    base_B, prediction_B = _ends(model, patients)
    limit_B = torch.full_like(base_B, tolerance)
    if is_share:
        limit_B *= torch.maximum(base_B.abs(), prediction_B.abs()).clamp(min=_SMALLEST)
    tokens_BT = torch.zeros(patients.input_ids.shape, dtype=torch.float64, device=base_B.device)
    steps_B = torch.zeros(len(base_B), dtype=torch.long, device=base_B.device)
    rows = torch.arange(len(base_B), device=base_B.device)
    while True:
        midpoints_S = (torch.arange(steps, device=rows.device) + 0.5) / steps
        tokens_BT[rows] = _mean_slopes(model, patients, rows, midpoints_S)
        steps_B[rows] = steps
        found = Contributions(base_B, prediction_B, tokens_BT, steps_B)
        rows = (found.gap.abs() > limit_B).nonzero().squeeze(1)
        if not len(rows):
            return found
        if 2 * steps > most_steps:
            raise ValueError(_not_complete(found, len(rows), steps))
        steps *= 2


def _not_complete(found: Contributions, count: int, steps: int) -> str:
    """What to tell of contributions that do not add up."""
    return (
        f"expected contributions that add up to the prediction, found {show_count(count)} patients where they miss "
        f"it, by up to {float(found.gap.abs().max()):.2g} after {steps} steps; raise steps and most_steps to "
        f"{4 * steps}, or the tolerance"
    )


def take_gradients(model: GatedModel, patients: PatientBatch) -> Contributions:
    """Take the slopes at the patient alone: a sixteenth of the work, and no sum that agrees."""
    base_B, prediction_B = _ends(model, patients)
    rows = torch.arange(len(base_B), device=base_B.device)
    tokens_BT = _mean_slopes(model, patients, rows, torch.ones(1, device=rows.device))
    return Contributions(base_B, prediction_B, tokens_BT, torch.zeros_like(rows))


def leave_out(model: GatedModel, patients: PatientBatch, rows_N: Tensor, tokens_N: Tensor) -> Tensor:
    """Predictions without one token each, in float64."""
    found = [torch.zeros(0, dtype=torch.float64, device=rows_N.device)]
    if not len(rows_N):
        return found[0]
    for chunk in torch.arange(len(rows_N), device=rows_N.device).split(_copies(model, patients)):
        with torch.no_grad():
            found.append(model.predict_without(patients, rows_N[chunk], tokens_N[chunk]).double())
    return torch.cat(found)


def _ends(model: GatedModel, patients: PatientBatch) -> tuple[Tensor, Tensor]:
    """Predictions for average codes and for the patients themselves, in float64."""
    bases, predictions = [], []
    for rows in torch.arange(len(patients.input_ids), device=patients.input_ids.device).split(
        _copies(model, patients)
    ):
        part = patients.take(rows)
        with torch.no_grad():
            bases.append(model.predict_gated(part, torch.zeros(part.input_ids.shape, device=rows.device)))
            predictions.append(model.predict(part))
    return torch.cat(bases).double(), torch.cat(predictions).double()


def _mean_slopes(model: GatedModel, patients: PatientBatch, rows: Tensor, gate_S: Tensor) -> Tensor:
    """Mean of the slopes of some patients over gates; as many copies at once as the limit allows."""
    dtype = patients.skip_average.dtype
    sums_RT = torch.zeros(len(rows), patients.input_ids.shape[1], dtype=torch.float64, device=rows.device)
    copies = torch.arange(len(rows) * len(gate_S), device=rows.device)
    for chunk in copies.split(_copies(model, patients)):
        place, step = chunk // len(gate_S), chunk % len(gate_S)
        slopes_NT = model.slopes(patients.take(rows[place]), gate_S[step].to(dtype))
        sums_RT.index_add_(0, place, slopes_NT.double())
    return sums_RT / len(gate_S)


def _copies(model: GatedModel, patients: PatientBatch) -> int:
    """How many copies of a patient a pass takes, by the numbers that each layer keeps of one."""
    config = model.model.config
    tokens, slots = patients.input_ids.shape[1], patients.visit_days.shape[1]
    positions = tokens if config.visit_pooling == "none" else slots
    per_layer = positions * (8 * config.hidden_size + 3 * config.intermediate_size)
    per_layer += 3 * config.num_attention_heads * positions**2
    numbers = config.num_hidden_layers * per_layer + 4 * tokens * config.hidden_size
    return max(1, _MOST_NUMBERS // numbers)
