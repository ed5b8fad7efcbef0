"""The last layer of a patient classifier, made so that the defaults of `transformers.Trainer` teach it.

Adam moves every number by about its learning rate, whatever the size of its gradient. At 5e-5 a layer that begins at
random is still there after the few hundred steps that a cohort of hundreds gives, while the encoder, which reads
claims already, needs no more. So this layer multiplies what it says by a rate, which makes its steps as much longer,
and reads patient vectors in units of the patients that it has learned from, so that none of their directions is ahead
of the others. It begins at zero: at no opinion, and not at a random one.

Beside it stands a regression on counts of codes that fade with time, the strongest model without a network. Attention
averages, so that the patient vector says little of how much was billed lately. Counts have thousands of directions,
and in units of its deviation a rare code would be as loud as age. So a count is worth the more the more it varies.

Letters as in `modeling_claim.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .configuration_claim import ClaimConfig
from .context_claim import count_codes, fading_shares

# Of the layer of a pretrained encoder. This and what follows was chosen on cohorts of no table: docs/benchmark/log.md.
_RATE = 30.0
# Half-life of the counts beside it.
_HALF_LIFE_DAYS = 180
# How a count grows with its variance, which leaves a rare code little to say.
_LOUDNESS = 0.75
# All counts together vary as so many times the numbers of the patient vector.
_SHARE_OF_COUNTS = 4.0
# Patients that the first deviations stand for: those of a first batch alone are too few.
_PRIOR_PATIENTS = 8.0
# Of so many patients means and deviations are remembered; the vectors of earlier ones are those of an older encoder.
_MOST_PATIENTS = 4096.0


def choose_classifier(config: ClaimConfig, head: str) -> tuple[float | None, bool, int | None]:
    """Choose how a new classifier begins: on an encoder that was pretrained under another head, and nowhere else.

    `head` names the class of the classifier. Rate, whether counts of codes stand beside it, and their half-life in
    days are what the configuration says, or, where it says nothing and a checkpoint has another head, those chosen
    here. A plain layer, of rate 0, has counts only where the configuration says so.
    """
    # A classifier that was saved without a rate was trained without one.
    is_new = bool(config.architectures) and head not in (config.architectures or ())
    rate, half_life_days = config.classifier_rate, config.code_skip_half_life_days
    if is_new and rate is None:
        rate = _RATE
    if is_new and rate:
        return rate, True, half_life_days or _HALF_LIFE_DAYS
    return rate, config.code_skip, half_life_days


def classifier_dropout(config: ClaimConfig) -> float:
    """The dropout before a classifier: its own, else that of hidden states."""
    dropout = config.classifier_dropout
    return float(config.hidden_dropout_prob if dropout is None else dropout)


class _Rated:
    """What layers with a rate share: mean and variance of what they read, taken from the patients of each batch."""

    rate: float | None
    mean: Tensor
    variance: Tensor
    patients: Tensor
    # Patients of the first variance that stand before those of the first batch.
    prior: float

    def _give_rate(self: Any, rate: float | None, width: int, prior: float) -> None:
        self.rate, self.prior = rate or None, prior
        if self.rate is not None:
            self.register_buffer("mean", torch.zeros(width))
            self.register_buffer("variance", torch.ones(width))
            self.register_buffer("patients", torch.zeros(()))

    def _begin_rate(self) -> None:
        """Set the first mean and variance: those of nobody."""
        if self.rate is not None:
            init.zeros_(self.mean)
            init.zeros_(self.patients)
            init.constant_(self.variance, 1.0 if self.prior else 0.0)

    def become_plain(self) -> None:
        """Be a layer without a rate from now on, for weights that were fitted elsewhere."""
        if self.rate is not None:
            self.rate = None
            del self.mean, self.variance, self.patients

    @torch.no_grad()
    def _learn(self, read_BN: Tensor) -> None:
        """Take a batch into mean and variance (Chan, Golub and LeVeque, 1979), which do not depend on its size."""
        read_BN = read_BN.to(self.mean.dtype)
        batch, known = len(read_BN), self.patients.clamp(max=_MOST_PATIENTS)
        apart_N = read_BN.mean(dim=0) - self.mean
        sums_N = self.variance * (known + self.prior) + read_BN.var(dim=0, correction=0) * batch
        sums_N += apart_N.square() * known * batch / (known + batch)
        self.mean += apart_N * batch / (known + batch)
        self.variance.copy_(sums_N / (known + batch + self.prior))
        self.patients.copy_(known + batch)


class ClaimClassifier(_Rated, nn.Linear):
    """A linear layer; with a rate, one over standardised vectors that takes longer steps."""

    def __init__(self, config: ClaimConfig, num_labels: int) -> None:
        nn.Linear.__init__(self, config.hidden_size, num_labels)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self._give_rate(config.classifier_rate, config.hidden_size, _PRIOR_PATIENTS)

    def begin(self, deviation: float) -> None:
        """Set the first weights: zero with a rate, else random ones as everywhere."""
        init.zeros_(self.bias)
        self._begin_rate()
        if self.rate is None:
            init.normal_(self.weight, mean=0.0, std=deviation)
        else:
            init.zeros_(self.weight)

    def forward(self, vectors_BE: Tensor) -> Tensor:
        """Give the logits of each patient; in training the patients are learned from."""
        if self.rate is None:
            return super().forward(self.dropout(vectors_BE))
        if self.training:
            self._learn(vectors_BE.detach())
        standard_BE = (vectors_BE - self.mean) * (self.variance + 1e-6).rsqrt()
        # Dropped is a difference from the mean, which says nothing, and not from zero, which would say much.
        standard_BE = self.dropout(standard_BE).to(self.weight.dtype)
        return functional.linear(standard_BE, self.weight, self.bias) * self.rate

    @torch.no_grad()
    def fold(self) -> None:
        """Say the same as a plain layer, without means and variances of anybody."""
        if self.rate is not None:
            scale_E = self.rate * (self.variance + 1e-6).rsqrt()
            self.bias.copy_(self.bias * self.rate - self.weight @ (scale_E * self.mean).to(self.weight.dtype))
            self.weight.mul_(scale_E.to(self.weight.dtype))
            self.become_plain()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Let weights of a plain layer, such as those in an adapter of an earlier version, say what they said."""
        if self.rate is not None and f"{prefix}weight" in state_dict and f"{prefix}patients" not in state_dict:
            state_dict |= {f"{prefix}{name}": state_dict[f"{prefix}{name}"] / self.rate for name in ("weight", "bias")}
            state_dict |= {f"{prefix}mean": torch.zeros_like(self.mean), f"{prefix}patients": self.patients * 0}
            state_dict[f"{prefix}variance"] = torch.ones_like(self.variance)
        super()._load_from_state_dict(state_dict, prefix, *args)


class ClaimCodeSkip(_Rated, nn.Module):
    """A linear term of how often each code stands in the record, on a log scale, beside the network.

    A small cohort tells from counts what no pretrained vector holds, and from vectors what it is too small to learn
    (wide and deep: Cheng et al., 2016, arXiv:1606.07792). With a half-life a code counts less the longer ago it was.
    The weights begin at zero. With the rate of a classifier counts are read from their mean on, louder the more they
    vary: steps of Adam then go where those of a ridge regression go.
    """

    def __init__(self, config: ClaimConfig, num_labels: int) -> None:
        nn.Module.__init__(self)
        self.half_life_days = config.code_skip_half_life_days
        self.budget = _SHARE_OF_COUNTS * config.hidden_size
        self.weight = nn.Parameter(torch.zeros(config.vocab_size, num_labels))
        self._give_rate(config.classifier_rate, config.vocab_size, 0.0)

    def begin(self) -> None:
        """Set the first weights: zero."""
        init.zeros_(self.weight)
        self._begin_rate()

    def forward(self, input_ids: Tensor | None, slots_BT: Tensor, days_BV: Tensor, cut_B: Tensor) -> Tensor:
        """Weigh the codes of each patient and of its visits, `(batch, tokens)` to `(batch, labels)`."""
        if input_ids is None:
            raise ValueError("expected input_ids for code_skip=True, found inputs_embeds: vectors cannot be counted")
        counts_BK = count_codes(input_ids, self.shares(slots_BT, days_BV, cut_B), len(self.weight)).log1p()
        if self.rate is None:
            return counts_BK @ self.weight
        if self.training:
            self._learn(counts_BK)
        return (counts_BK - self.mean).to(self.weight.dtype) @ self.table()

    def table(self) -> Tensor:
        """What one more of each code adds to the logits, `(vocabulary, labels)`."""
        if self.rate is None:
            return self.weight
        # The squares of rare codes, and the least total, are nothing in half precision.
        variance_K = self.variance.to(torch.promote_types(self.variance.dtype, torch.float32))
        loudness_K = variance_K**_LOUDNESS
        total = (variance_K * loudness_K.square()).sum().clamp(min=1e-12)
        return self.weight * (loudness_K * (self.budget / total).sqrt() * self.rate)[:, None].to(self.weight.dtype)

    def constant(self) -> Tensor:
        """What is said of who has no codes, `(labels,)`."""
        return self.weight.new_zeros(self.weight.shape[1]) if self.rate is None else -(self.mean @ self.table())

    @torch.no_grad()
    def fold(self) -> Tensor:
        """Say the same as a plain term, but for a constant, which is given: no count of anybody is left."""
        constant, table = self.constant(), self.table()
        self.weight.copy_(table)
        self.become_plain()
        return constant

    def shares(self, slots_BT: Tensor, days_BV: Tensor, cut_B: Tensor) -> Tensor:
        """How much each token counts."""
        return fading_shares(slots_BT, days_BV, cut_B, self.half_life_days).to(self.weight.dtype)

    def resize(self, vocab_size: int) -> None:
        """Have so many codes, new ones of no weight."""
        more = vocab_size - len(self.weight)
        for name in ("weight",) if self.rate is None else ("weight", "mean", "variance"):
            old = getattr(self, name).detach()
            new = torch.cat([old[:vocab_size], old.new_zeros(max(more, 0), *old.shape[1:])])
            setattr(self, name, nn.Parameter(new) if name == "weight" else new)
