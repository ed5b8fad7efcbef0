"""Outcome head from pretraining: a risk without labels, and a classifier that does not begin at random.

A pretrained model already has an output for most outcomes: "a category, on an inpatient visit, within the horizon" or
"a category at the next visit". Its row of the decoder is a linear readout of the very vector that a classifier reads.
So a classifier can begin there: the readout is put into it with what the cohort itself tells of vectors and of counts,
and fine-tuning goes on from a model that ranks patients already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from claim_transformers.analysis.readout.probes import evaluating, token_batches
from claim_transformers.analysis.readout.zero_shot import outcome_tokens
from claim_transformers.claims.small_cells import show_part_of
from claim_transformers.models.claim import ClaimForPreTraining, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training.token_columns import ragged_column

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from scipy.sparse import csr_matrix

_FOLDS = 5
_SMALLEST_DEVIATION = 1e-6
# How a count grows with its deviation, which leaves a rare code little to say.
_LOUDNESS = 0.5
# Variance of the log odds by the patient vector, the counts and the readout, as two regressions expect it before they
# see a label: one of them trusts the pretraining, the other the cohort. Chosen on cohorts of no table
# (docs/benchmark/log.md).
_BELIEFS = ((0.2, 0.3, 0.3), (0.2, 1.2, 0.0))
_Question = Literal["horizon", "next_visit"]


@dataclass(frozen=True)
class Readout:
    """Rows of a pretraining decoder."""

    weight: torch.Tensor  # One row per output, shape `(outputs, hidden)`.
    bias: torch.Tensor  # Its bias, shape `(outputs,)`.

    def apply(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the rows say of patient vectors, `(patients, outputs)`."""
        weight, bias = (tensor.double().cpu().numpy() for tensor in (self.weight, self.bias))
        found: NDArray[np.float64] = vectors @ weight.T + bias
        return found

    def mean(self) -> "Readout":
        """The mean of all rows, for an outcome that several outputs denote."""
        return Readout(self.weight.mean(dim=0, keepdim=True), self.bias.mean(dim=0, keepdim=True))


def outcome_readout(
    model: ClaimForPreTraining,
    tokenizer: ClaimTokenizer,
    codes: Sequence[str],
    *,
    question: _Question = "horizon",
    is_inpatient: bool = False,
) -> Readout:
    """Take the rows of a decoder that stand for an outcome.

    Args:
        model (`ClaimForPreTraining`): A model with `horizon_days` for `"horizon"`, with category targets for
            `"next_visit"`.
        tokenizer (`ClaimTokenizer`): The tokenizer of the model.
        codes (`list[str]`): `SYSTEM/PREFIX` entries of the outcome, as in a cohort definition; or names of categories.
        question (`str`, *optional*, defaults to `"horizon"`): `"horizon"`, within the horizon of the model, or
            `"next_visit"`.
        is_inpatient (`bool`, *optional*, defaults to `False`): Whether only inpatient visits count; horizon only.

    Returns:
        [`Readout`]: One row per category that denotes the outcome. A category may be wider than the outcome.

    Raises:
        TypeError: If the model is no `ClaimForPreTraining`.
        ValueError: If the model has no such head, no category of it has to do with the outcome, or a name is none of
            its categories. The message says which are the nearest.
    """
    # By its heads and not by its class: a model of remote code has another class of the same name.
    if not hasattr(model, "nvp_decoder"):
        raise TypeError(
            f"expected a ClaimForPreTraining, whose heads predict categories, found {type(model).__name__}: fine-tune "
            "it on the outcome"
        )
    tokenizer.check_vocabulary(model.config)
    names = tokenizer.category_names
    chosen = list(codes) if codes and set(codes) <= set(names) else None
    chosen = chosen or outcome_tokens(tokenizer, codes, target="category", allow_wider=True)
    columns = torch.tensor([names.index(name) for name in chosen])
    decoder: torch.nn.Linear
    if question == "horizon":
        if model.horizon_decoder is None:
            raise ValueError("expected a model with horizon_days above 0, found 0; ask question='next_visit'")
        decoder = model.horizon_decoder
        columns = columns + len(names) if is_inpatient else columns
    elif model.config.nvp_target == "category":
        decoder = model.nvp_decoder
    else:
        raise ValueError("expected a model with nvp_target='category', found 'code'")
    return Readout(decoder.weight.detach()[columns].clone(), decoder.bias.detach()[columns].clone())


def _vectors(model: Any, tokenized: "pa.Table | datasets.Dataset", *, batch_size: int = 256) -> NDArray[np.float64]:
    """Vectors of patients, which a head reads."""
    found: list[tuple[Any, NDArray[np.float64]]] = []
    with evaluating(model):
        for rows, batch in token_batches(tokenized, model.config, batch_size, model.device):
            found.append((rows, model.claim(**batch).pooler_output.double().cpu().numpy()))
    vectors = np.zeros((len(tokenized), model.config.hidden_size))
    for rows, part in found:
        vectors[rows] = part
    return vectors


def outcome_probability(
    model: ClaimForPreTraining,
    tokenized: "pa.Table | datasets.Dataset",
    tokenizer: ClaimTokenizer,
    codes: Sequence[str],
    *,
    is_inpatient: bool = False,
    batch_size: int = 256,
) -> NDArray[np.float64]:
    """Compute the probability that an outcome follows within the horizon of the model, without a label.

    Args:
        model (`ClaimForPreTraining`): A model with `horizon_days`.
        tokenized (`pa.Table` or `datasets.Dataset`): Rows with an index date.
        tokenizer (`ClaimTokenizer`): The tokenizer of the model.
        codes (`list[str]`): `SYSTEM/PREFIX` entries of the outcome.
        is_inpatient (`bool`, *optional*, defaults to `False`): Whether only inpatient visits count.
        batch_size (`int`, *optional*, defaults to `256`): Patients per forward pass.

    Returns:
        `NDArray[float]` of shape `(patients,)`: `1 - prod(1 - p)` over the categories of the outcome.

    Raises:
        TypeError, ValueError: As [`outcome_readout`]; also if rows have no index date, their tokens are those of
            another tokenizer, or the tokenizer knows none of their codes.
    """
    _refuse_unknown_rows(tokenized, tokenizer)
    readout = outcome_readout(model, tokenizer, codes, is_inpatient=is_inpatient)
    logits = readout.apply(_vectors(model, tokenized, batch_size=batch_size))
    probability: NDArray[np.float64] = -np.expm1(-np.logaddexp(0.0, logits).sum(axis=1))
    return probability


def _refuse_unknown_rows(tokenized: "pa.Table | datasets.Dataset", tokenizer: ClaimTokenizer) -> None:
    """Refuse rows of which a model would say something all the same."""
    if len(tokenized) == 0:
        return
    table = tokenized if hasattr(tokenized, "schema") else tokenized.with_format("arrow")[:]
    days, ids = ragged_column(table, "visit_days"), ragged_column(table, "input_ids").values
    in_visit = ragged_column(table, "visit_ids").values > 0
    # Every visit lies before the index date, so that it is at least a day after the first one.
    undated = (days.values[days.position == 0] == 0) & (days.lengths > 1)
    if undated.any():
        raise ValueError(
            f"expected an index date in every row, found "
            f"{show_part_of(int(undated.sum()), len(undated))} rows without one; add "
            "index_day, the day of the prediction, before the rows are tokenised"
        )
    if ids.size and ids.max() >= len(tokenizer):
        raise ValueError(
            f"expected tokens below {len(tokenizer)}, the size of the vocabulary, found larger ones: the rows were "
            "tokenised by another tokenizer; use the one of the model"
        )
    if in_visit.any() and not tokenizer.target_mask[ids[in_visit]].any():
        raise ValueError(
            "expected codes that the tokenizer knows, found none in any visit of any row; take a checkpoint that "
            "learned the code systems of these claims"
        )


def start_from_readout(
    classifier: ClaimForSequenceClassification,
    readout: Readout,
    tokenized: "pa.Table | datasets.Dataset",
    labels: NDArray[np.int64],
    *,
    seed: int = 0,
) -> None:
    """Put a readout into a classifier, in place.

    Two classes get regressions of the labels on patient vectors, the mean of the rows and, with `code_skip`, log
    counts of codes: one that trusts the readout and one that trusts the counts, weighed by what they say of patients
    that they were not fitted on. Several labels get one row each as it is.

    Args:
        classifier (`ClaimForSequenceClassification`): A classifier around the encoder of the readout.
        readout ([`Readout`]): Rows of a decoder; one per label for several labels.
        tokenized (`pa.Table` or `datasets.Dataset`): Training rows.
        labels (`NDArray[int]`): Their labels, `(patients,)` or `(patients, labels)`.
        seed (`int`, *optional*, defaults to `0`): Seed of the folds.

    Raises:
        ValueError: If there is not one row per label, or the training rows have one class only.
    """
    if labels.ndim == 2:
        if len(readout.bias) != labels.shape[1]:
            raise ValueError(f"expected one row per label, {labels.shape[1]}, found {len(readout.bias)}")
        _write(classifier, readout.weight, readout.bias)
        return
    if len(np.unique(labels)) != 2:
        raise ValueError(f"expected two classes in the training rows, found {len(np.unique(labels))}")
    if np.bincount(labels).min() < 2:
        raise ValueError("expected two or more training rows of each class, found fewer: take a larger cohort")
    readout = readout.mean()
    vectors = _vectors(classifier, tokenized)
    config, counts = classifier.config, None
    if classifier.code_skip is not None:
        counts = count_tokens(tokenized, config.vocab_size, half_life_days=config.code_skip_half_life_days)
    start = _fit_start(readout.apply(vectors)[:, 0], vectors, counts, labels, seed)
    row = torch.from_numpy(start.of_vector).to(readout.weight) + start.slope * readout.weight[0]
    constant = start.slope * readout.bias[0] + start.shift
    # Two logits that differ by the fitted one, half on each side.
    _write(classifier, torch.stack([-row, row]) / 2, torch.stack([-constant, constant]) / 2)
    if classifier.code_skip is not None:
        half = torch.from_numpy(start.of_codes) / 2
        with torch.no_grad():
            classifier.code_skip.weight.copy_(torch.stack([-half, half], dim=1))


def count_tokens(
    tokenized: "pa.Table | datasets.Dataset", vocab_size: int, *, half_life_days: int | None = None
) -> "csr_matrix":
    """Count how often each token stands in a record, as the code skip does."""
    from scipy.sparse import csr_matrix

    table = tokenized if hasattr(tokenized, "schema") else tokenized.with_format("arrow")[:]
    ids, slots = ragged_column(table, "input_ids"), ragged_column(table, "visit_ids")
    shares = np.ones(len(ids.values))
    if half_life_days is not None:
        days = ragged_column(table, "visit_days")
        starts = np.cumsum(days.lengths) - days.lengths
        today = np.maximum.reduceat(days.values, starts)[ids.row]
        ago_days = (today - days.values[starts[ids.row] + slots.values]) * (slots.values > 0)
        shares = np.exp2(-ago_days / half_life_days)
    counts = csr_matrix((shares, (ids.row, ids.values)), shape=(len(ids.lengths), vocab_size))
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    return counts


@dataclass(frozen=True)
class _Start:
    """Slope of the readout, intercept, and coefficients of the patient vector and of the counts."""

    slope: float
    shift: float
    of_vector: NDArray[np.float64]
    of_codes: NDArray[np.float64]


def _fit_start(
    logit: NDArray[np.float64],
    vectors: NDArray[np.float64],
    counts: "csr_matrix | None",
    labels: NDArray[np.int64],
    seed: int,
) -> _Start:
    """Fit a regression for each belief, and weigh them by the likelihood of what they say of rows held out."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    counts = csr_matrix((len(labels), 0)) if counts is None else counts
    centre = np.append(vectors.mean(axis=0), logit.mean())
    dense = np.column_stack([vectors, logit]) - centre
    scales_of = [_unit_scales(vectors.var(axis=0), 0.0), _unit_scales(_variances(counts), _LOUDNESS), logit.std()]
    folds = StratifiedKFold(min(_FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=seed)
    found, likelihood = [], []
    for belief in _BELIEFS:
        of_vector, of_codes, of_logit = np.sqrt(belief)
        scales = np.append(of_vector * scales_of[0], of_logit / (scales_of[2] + _SMALLEST_DEVIATION))
        of_codes = of_codes * scales_of[1]
        given = hstack([csr_matrix(dense * scales), counts.multiply(of_codes[None])], format="csr")
        regression = LogisticRegression(C=1.0, max_iter=2000)
        unseen = cross_val_predict(regression, given, labels, cv=folds, method="decision_function")
        likelihood.append(float((labels * unseen - np.logaddexp(0.0, unseen)).sum()))
        regression.fit(given, labels)
        weights = regression.coef_[0] * np.append(scales, of_codes)
        found.append(np.append(weights, regression.intercept_[0] - weights[: len(centre)] @ centre))
    shares = np.exp(np.array(likelihood) - max(likelihood))
    mean = (shares / shares.sum()) @ np.stack(found)
    width = vectors.shape[1]
    return _Start(float(mean[width]), float(mean[-1]), mean[:width], mean[width + 1 : -1])


def _variances(counts: "csr_matrix") -> NDArray[np.float64]:
    """Variance of each column."""
    rows = max(counts.shape[0], 1)
    mean = np.asarray(counts.sum(axis=0)).ravel() / rows
    found: NDArray[np.float64] = np.asarray(counts.multiply(counts).sum(axis=0)).ravel() / rows - mean**2
    return found.clip(min=0.0)


def _unit_scales(variances: NDArray[np.float64], loudness: float) -> NDArray[np.float64]:
    """Factors by which columns have a total variance of 1, shared evenly (0), or by their deviations."""
    deviations = np.sqrt(variances)
    scales: NDArray[np.float64] = deviations**loudness if loudness else 1 / (deviations + _SMALLEST_DEVIATION)
    total = float((variances * scales**2).sum())
    return scales / np.sqrt(total) if total else scales


def _write(model: ClaimForSequenceClassification, weight: torch.Tensor, bias: torch.Tensor) -> None:
    # Weights that are good already need no longer steps than the encoder's.
    model.classifier.become_plain()
    if model.code_skip is not None:
        model.code_skip.become_plain()
    model.config.classifier_rate = 0
    with torch.no_grad():
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(bias)
