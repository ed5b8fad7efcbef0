"""Start of a model of cost: bins of past amounts as tokens, and a regression on counts that the network goes on from.

Amounts are skewed and most of a risk score is how ill and how costly a patient was. A regression on few numbers finds
that in seconds, and gradients from a random head do not on a few thousand patients; so the linear term of counts
(`code_skip`) begins at a generalised linear model of the same loss, and the network learns what it leaves.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from claim_transformers.analysis.readout.outcome_head import count_tokens
from claim_transformers.analysis.readout.starts import CODE_SKIP_HALF_LIFE_DAYS, start_from_checkpoint
from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.models.claim import ClaimForm, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.models.claim.form_claim import NUMBER_COLUMNS, PAID
from claim_transformers.training.tokenized_patients import tokenize_dataset

if TYPE_CHECKING:
    import datasets
    from scipy.sparse import csr_matrix

_PENALTIES = (0.001, 0.01, 0.1, 1.0)
_HELD_OUT = 5

_Loss = Literal["log", "tweedie", "two_part"]
_Amounts = NDArray[np.float64]


def start_from_amounts(
    checkpoint: str | Path,
    train: "datasets.Dataset",
    *,
    regression_loss: _Loss = "tweedie",
    num_bins: int = 20,
    min_patients: int = 11,
    is_pretrained: bool = True,
    **changes: Any,
) -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """Make a model of cost that begins at a regression on counts of codes and of bins of past amounts.

    The tokenizer gets bins of what was paid for a visit (`PAID/k`, quantiles of training visits) as part of its form,
    so that whoever has patients with `visit_amount`, a cohort or an ingested folder to be scored, has them as inputs.
    Codes of the training split without a token get one.

    Args:
        checkpoint (`str` or `Path`): Folder or name of a checkpoint whose positions are visits.
        train (`datasets.Dataset`): Training split of a cohort of amounts, not tokenised.
        regression_loss (`str`, *optional*, defaults to `"tweedie"`): `"log"`, `"tweedie"` or `"two_part"`.
        num_bins (`int`, *optional*, defaults to `20`): Bins of past amounts; 0 leaves them out.
        min_patients (`int`, *optional*, defaults to `11`): Smallest number of patients behind a new token.
        is_pretrained (`bool`, *optional*, defaults to `True`): Whether the encoder has the weights of the checkpoint.
        **changes: Other fields of [`ClaimConfig`], such as `tweedie_power`.

    Returns:
        `tuple[ClaimForSequenceClassification, ClaimTokenizer]`: The model, whose predictions are US dollars once
        [`fine_tune`] or [`score`] gives them, and its tokenizer.

    Raises:
        OSError: If there is no such checkpoint.
        ValueError: If amounts are below 0 or all 0, or past amounts are asked for and the cohort has none.
    """
    labels = np.asarray(train.with_format("numpy")["label"][:], np.float64)
    if labels.min(initial=0.0) < 0 or not labels.any():
        raise ValueError(
            "expected amounts of 0 and above as labels, some above, found others: build a cohort of amounts"
        )
    if num_bins and NUMBER_COLUMNS[PAID] not in train.column_names:
        raise ValueError(
            f"expected the column {NUMBER_COLUMNS[PAID]} in the training split, found none: ingest claims with paid "
            "amounts, or take num_bins=0 to go without past amounts"
        )
    fields = {
        # Fitted weights need no rate, which would multiply them.
        "classifier_rate": 0,
        "code_skip": True,
        "code_skip_half_life_days": CODE_SKIP_HALF_LIFE_DAYS,
        "problem_type": "regression",
        "regression_loss": regression_loss,
        "amount_scale": float(labels.mean()),
    }
    outputs = 2 if regression_loss == "two_part" else 1
    model, tokenizer = start_from_checkpoint(
        checkpoint, is_pretrained=is_pretrained, num_labels=outputs, **{**fields, **changes}
    )
    if num_bins:
        _give_bins(tokenizer, train, num_bins)
    tokenizer.extend(train, min_patients=min_patients)
    model.resize_token_embeddings(tokenizer=tokenizer)
    _begin_at_regression(model, tokenize_dataset(train, tokenizer), labels)
    return model, tokenizer


def _give_bins(tokenizer: ClaimTokenizer, train: "datasets.Dataset", num_bins: int) -> None:
    """Make bins of past amounts part of the tokenizer; one that has bins already keeps its own."""
    if tokenizer.form is not None and PAID in tokenizer.form.bins:
        return
    amounts = pc.list_flatten(train.with_format("arrow")[:][NUMBER_COLUMNS[PAID]])
    dollars = pc.fill_null(pc.cast(amounts, "float64"), np.nan).to_numpy()
    bins = NumberBins.fit({PAID: dollars}, num_bins=num_bins).edges
    tokenizer.take_form(ClaimForm("code", bins=bins))


def _begin_at_regression(
    model: ClaimForSequenceClassification, tokenized: "datasets.Dataset", labels: _Amounts
) -> None:
    """Put a regression on counts into the linear term, and let the network begin at nothing."""
    config = model.config
    with torch.no_grad():
        model.classifier.weight.zero_()
        if model.code_skip is None:
            model.classifier.bias.zero_()
            return
        counts = count_tokens(tokenized, config.vocab_size, half_life_days=config.code_skip_half_life_days)
        fits = _fit_counts(counts, labels, config)
        model.code_skip.weight.copy_(torch.from_numpy(np.stack([weights for weights, _ in fits], axis=1)))
        constants = torch.tensor([constant for _, constant in fits])
        model.classifier.bias.copy_(constants / (model.classifier.rate or 1))


def _fit_counts(counts: "csr_matrix", labels: _Amounts, config: Any) -> list[tuple[_Amounts, float]]:
    """Coefficients and constant of each output."""
    from sklearn.linear_model import GammaRegressor, LogisticRegression, Ridge, TweedieRegressor

    amounts = labels / config.amount_scale
    if config.regression_loss == "log":
        logs = np.log1p(labels) - np.log1p(config.amount_scale)
        return [_best(lambda penalty: Ridge(alpha=penalty * len(logs)), counts, logs)]
    if config.regression_loss == "tweedie":
        power = config.tweedie_power
        return [
            _best(
                lambda penalty: TweedieRegressor(power=power, alpha=penalty, link="log", max_iter=300), counts, amounts
            )
        ]
    is_any = labels > 0
    fits = [(np.zeros(counts.shape[1]), 0.0)]
    if is_any.all():
        # Everybody spends something: as sure as a few hundred patients allow.
        fits = [(np.zeros(counts.shape[1]), float(np.log(2.0 * len(labels))))]
    else:
        of_any = LogisticRegression(C=0.03, max_iter=2000, solver="liblinear", random_state=0).fit(counts, is_any)
        fits = [(of_any.coef_[0], float(of_any.intercept_[0]))]
    spenders = np.flatnonzero(is_any)
    return [
        *fits,
        _best(lambda penalty: GammaRegressor(alpha=penalty, max_iter=300), counts[spenders], amounts[spenders]),
    ]


def _best(make: Any, counts: "csr_matrix", wanted: _Amounts) -> tuple[_Amounts, float]:
    """The regression whose penalty explains a fifth of the rows best, fitted on all of them."""
    held_out = np.arange(len(wanted)) % _HELD_OUT == 0
    scores = [
        make(penalty).fit(counts[~held_out], wanted[~held_out]).score(counts[held_out], wanted[held_out])
        for penalty in _PENALTIES
    ]
    fitted = make(_PENALTIES[int(np.argmax(scores))]).fit(counts, wanted)
    return np.asarray(fitted.coef_, np.float64), float(fitted.intercept_)
