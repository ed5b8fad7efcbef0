"""The last layer of a patient classifier, made so that the defaults of `transformers.Trainer` teach it.

Adam moves every number by about its learning rate, whatever the size of its gradient. At 5e-5 a layer that begins at
random is still there after the few hundred steps that a cohort of hundreds gives, while the encoder, which reads
claims already, needs no more. So this layer multiplies what it says by a rate, which makes its steps as much longer,
and reads patient vectors in units of the patients that it has learned from, so that none of their directions is ahead
of the others. It begins at zero: at no opinion, and not at a random one.

Beside the patient vector it reads the codes of the record as a sum that fades with time, of the vectors that the
encoder has for them: how much of what kind was billed lately. Attention averages, so that the patient vector says
little of it. A cohort of hundreds can weigh a sum of as few directions as the vector has; counts have thousands.

Letters as in `modeling_claim.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .configuration_claim import ClaimConfig

# Of the layer of a pretrained encoder; chosen on cohorts that are in no table (docs/benchmark/log.md).
_RATE = 30.0
# Half-life of the sum of codes beside it, chosen likewise.
_HALF_LIFE_DAYS = 365
# Patients that the first deviations stand for: those of a first batch alone are too few.
_PRIOR_PATIENTS = 8.0
# Of so many patients means and deviations are remembered; the vectors of earlier ones are those of an older encoder.
_MOST_PATIENTS = 4096.0


def choose_classifier(config: ClaimConfig, head: str) -> tuple[float | None, int | None]:
    """Choose how a new classifier begins: on an encoder that was pretrained under another head, and nowhere else.

    Args:
        config ([`ClaimConfig`]): Of the checkpoint, if there is one.
        head (`str`): Name of the class of the classifier.

    Returns:
        `tuple[float, int]`, each *optional*: Rate, and half-life of the sum of codes that it reads, in days: what the
        configuration says, or, where it says nothing and a checkpoint has another head, those chosen here. A plain
        layer, of rate 0, reads the sum only where the configuration says so.

    Examples:
        >>> choose_classifier(ClaimConfig(), "ClaimForSequenceClassification")
        (None, None)
        >>> choose_classifier(ClaimConfig(architectures=["ClaimForPreTraining"]), "ClaimForSequenceClassification")
        (30.0, 365)
    """
    # A classifier that was saved without a rate was trained without one.
    is_new = bool(config.architectures) and head not in (config.architectures or ())
    rate, half_life_days = config.classifier_rate, config.classifier_half_life_days
    if is_new and rate is None:
        rate = _RATE
    if is_new and half_life_days is None and rate:
        half_life_days = _HALF_LIFE_DAYS
    return rate, half_life_days


def classifier_dropout(config: ClaimConfig) -> float:
    """The dropout before a classifier: its own, else that of hidden states."""
    dropout = config.classifier_dropout
    return float(config.hidden_dropout_prob if dropout is None else dropout)


class ClaimClassifier(nn.Linear):
    """A linear layer; with a rate, one over standardised vectors that takes longer steps."""

    mean: Tensor
    variance: Tensor
    patients: Tensor

    def __init__(self, config: ClaimConfig, num_labels: int) -> None:
        super().__init__(config.hidden_size * (2 if config.classifier_half_life_days else 1), num_labels)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self.rate = config.classifier_rate or None
        if self.rate is not None:
            self.register_buffer("mean", torch.zeros(self.in_features))
            self.register_buffer("variance", torch.ones(self.in_features))
            self.register_buffer("patients", torch.zeros(()))

    def begin(self, deviation: float) -> None:
        """Set the first weights: zero with a rate, else random ones as everywhere."""
        init.zeros_(self.bias)
        if self.rate is None:
            init.normal_(self.weight, mean=0.0, std=deviation)
            return
        for tensor in (self.weight, self.mean, self.patients):
            init.zeros_(tensor)
        init.ones_(self.variance)

    def become_plain(self) -> None:
        """Be a linear layer without a rate from now on, for weights that were fitted elsewhere."""
        if self.rate is not None:
            self.rate = None
            del self.mean, self.variance, self.patients

    def forward(self, vectors_BE: Tensor) -> Tensor:
        """Give the logits of each patient; in training the patients are learned from."""
        if self.rate is None:
            return super().forward(self.dropout(vectors_BE))
        if self.training:
            self._learn(vectors_BE.detach().to(self.mean.dtype))
        standard_BE = (vectors_BE - self.mean) * (self.variance + 1e-6).rsqrt()
        # Dropped is a difference from the mean, which says nothing, and not from zero, which would say much.
        standard_BE = self.dropout(standard_BE).to(self.weight.dtype)
        return functional.linear(standard_BE, self.weight, self.bias) * self.rate

    @torch.no_grad()
    def _learn(self, vectors_BE: Tensor) -> None:
        """Take a batch into mean and variance (Chan, Golub and LeVeque, 1979), which do not depend on its size."""
        batch, known = len(vectors_BE), self.patients.clamp(max=_MOST_PATIENTS)
        apart_E = vectors_BE.mean(dim=0) - self.mean
        sums_E = self.variance * (known + _PRIOR_PATIENTS) + vectors_BE.var(dim=0, correction=0) * batch
        sums_E += apart_E.square() * known * batch / (known + batch)
        self.mean += apart_E * batch / (known + batch)
        self.variance.copy_(sums_E / (known + batch + _PRIOR_PATIENTS))
        self.patients.copy_(known + batch)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Let weights of a plain layer, such as those in an adapter of an earlier version, say what they said."""
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and weight.shape[1] < self.in_features:
            # Of a layer that read the patient vector alone.
            fewer = self.in_features - weight.shape[1]
            weight = state_dict[f"{prefix}weight"] = functional.pad(weight, (0, fewer))
        if self.rate is not None and weight is not None and f"{prefix}patients" not in state_dict:
            state_dict |= {f"{prefix}{name}": state_dict[f"{prefix}{name}"] / self.rate for name in ("weight", "bias")}
            state_dict |= {f"{prefix}mean": torch.zeros_like(self.mean), f"{prefix}patients": self.patients * 0}
            state_dict[f"{prefix}variance"] = torch.ones_like(self.variance)
        super()._load_from_state_dict(state_dict, prefix, *args)
