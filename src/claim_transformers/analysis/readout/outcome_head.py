"""Outcome head from pretraining: a risk without labels, and a classifier that does not begin at random.

A pretrained model already has an output for most outcomes: "a category, on an inpatient visit, within the horizon" or
"a category at the next visit". Its row of the decoder is a linear readout of the very vector that a classifier reads.
So a classifier can begin there: the readout is put into it, weighed against what the cohort itself tells of vectors
and of counts, and fine-tuning goes on from a model that ranks patients already.
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
# Of a regression on patient vectors in units of their deviations; a cohort has few patients for each of its numbers.
_PROBE_INVERSE_PENALTY = 0.003
_SMALLEST_DEVIATION = 1e-6
_Question = Literal["horizon", "next_visit"]


@dataclass(frozen=True)
class Readout:
    """Rows of a pretraining decoder.

    Args:
        weight (`torch.FloatTensor` of shape `(outputs, hidden)`): One row per output.
        bias (`torch.FloatTensor` of shape `(outputs,)`): Its bias.
    """

    weight: torch.Tensor
    bias: torch.Tensor

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
    """What a head reads of each patient: its vector, and behind it what a classifier has beside it."""
    found: list[tuple[Any, NDArray[np.float64]]] = []
    with evaluating(model):
        for rows, batch in token_batches(tokenized, model.config, batch_size, model.device):
            outputs = model.claim(**batch)
            read_BE = model.vectors(outputs, **batch) if hasattr(model, "vectors") else outputs.pooler_output
            found.append((rows, read_BE.double().cpu().numpy()))
    vectors = np.zeros((len(tokenized), found[0][1].shape[1] if found else model.config.hidden_size))
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
    inverse_penalty: float = 0.03,
    seed: int = 0,
) -> None:
    """Put a readout into a classifier, in place.

    Two classes get the mean of the rows and a regression of the labels on patient vectors, weighed against each other.
    With `code_skip` a third logit is weighed beside them, that of a logistic regression on log counts of codes, whose
    coefficients become the weights of the skip. Several labels get one row each as it is.

    Args:
        classifier (`ClaimForSequenceClassification`): A classifier around the encoder of the readout.
        readout ([`Readout`]): Rows of a decoder; one per label for several labels.
        tokenized (`pa.Table` or `datasets.Dataset`): Training rows.
        labels (`NDArray[int]`): Their labels, `(patients,)` or `(patients, labels)`.
        inverse_penalty (`float`, *optional*, defaults to `0.03`): `C` of the regression for the counts.
        seed (`int`, *optional*, defaults to `0`): Seed of the solver.

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
    readout = readout.mean()
    vectors = _vectors(classifier, tokenized)
    width = readout.weight.shape[1]
    config, counts = classifier.config, None
    if classifier.code_skip is not None:
        counts = count_tokens(tokenized, config.vocab_size, half_life_days=config.code_skip_half_life_days)
    start = _stack(readout.apply(vectors[:, :width])[:, 0], vectors, counts, labels, inverse_penalty, seed)
    row = torch.from_numpy(start.of_vector).to(readout.weight)
    row[:width] += start.slope * readout.weight[0]
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


def _stack(
    logit: NDArray[np.float64],
    vectors: NDArray[np.float64],
    counts: "csr_matrix | None",
    labels: NDArray[np.int64],
    inverse_penalty: float,
    seed: int,
) -> _Start:
    """Weigh the readout, a regression on the vectors and one on the counts against each other."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    # Stacked generalisation (Wolpert, 1992): each is regressed alone, and their logits are then weighed by what they
    # say of rows that they were not fitted on. Fitted jointly, the counts of a few hundred patients explain the noise
    # that the readout leaves.
    deviations = vectors.std(axis=0) + _SMALLEST_DEVIATION
    of_vectors = LogisticRegression(C=_PROBE_INVERSE_PENALTY, max_iter=2000)
    of_counts = LogisticRegression(C=inverse_penalty, max_iter=2000, solver="liblinear", random_state=seed)
    parts = [(of_vectors, vectors / deviations), *([] if counts is None else [(of_counts, counts)])]
    folds = StratifiedKFold(min(_FOLDS, int(np.bincount(labels).min())), shuffle=True, random_state=seed)
    unseen = [cross_val_predict(part, given, labels, cv=folds, method="decision_function") for part, given in parts]
    slope, shift, shares = _weigh(logit, unseen, labels)
    fitted = [part.fit(given, labels) for part, given in parts]
    shift += sum(share * float(part.intercept_[0]) for share, part in zip(shares, fitted, strict=True))
    of_codes = np.zeros(0) if counts is None else shares[1] * of_counts.coef_[0]
    return _Start(slope, shift, shares[0] * of_vectors.coef_[0] / deviations, of_codes)


def _weigh(
    logit: NDArray[np.float64], unseen: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]
) -> tuple[float, float, list[float]]:
    """Slope of the readout, intercept, and share of each regression, none of which counts against itself."""
    from sklearn.linear_model import LogisticRegression

    shares = np.zeros(len(unseen))
    kept = list(range(len(unseen)))
    while True:
        columns = np.column_stack([logit, *(unseen[number] for number in kept)])
        weighed = LogisticRegression(C=1e3, max_iter=1000).fit(columns, labels)
        found = weighed.coef_[0, 1:]
        if not kept or found.min() >= 0:
            break
        # Two that say nearly the same are of opposite signs by chance (Breiman, 1996: stacks without negative shares).
        kept.pop(int(found.argmin()))
    shares[kept] = found
    return float(weighed.coef_[0, 0]), float(weighed.intercept_[0]), shares.tolist()


def _write(model: ClaimForSequenceClassification, weight: torch.Tensor, bias: torch.Tensor) -> None:
    # Weights that are good already need no longer steps than the encoder's.
    model.classifier.become_plain()
    model.config.classifier_rate = 0
    with torch.no_grad():
        model.classifier.weight.zero_()[:, : weight.shape[1]] = weight
        model.classifier.bias.copy_(bias)
