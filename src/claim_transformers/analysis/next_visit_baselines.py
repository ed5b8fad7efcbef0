"""The simple models of the next visit, which a pretrained transformer has to beat on sequences with real order.

All of them answer the rows of [`NextVisitRows`], learn from the training rows and choose on the validation rows. The
strongest by far is a logistic regression per code. It is fitted here rather than by scikit-learn (the tests compare
both): one-vs-rest there takes a fit of its own per code, while all codes share their features, so one eigenbasis of
the features preconditions all of them at once and the fits of a whole grid of penalties take seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from claim_transformers.analysis.next_visit_task import NextVisitRows, log_loss_of_rows

FloatArray = NDArray[np.float32]
# Penalties on the sum of squared weights, from strong to weak: each fit starts where the one before ended.
PENALTIES = (80.0, 40.0, 20.0, 10.0, 5.0, 2.5, 1.25)
SMOOTHING = (1.0, 10.0, 100.0, 1000.0)
HISTORIES = ("log counts", "log counts and presence")
# Linear pieces of age: narrow in childhood, where codes follow the year of life.
AGE_KNOTS_YEARS = (
    0,
    1,
    2,
    3,
    4,
    6,
    8,
    10,
    12,
    14,
    16,
    18,
    20,
    23,
    26,
    30,
    35,
    40,
    45,
    50,
    55,
    60,
    65,
    70,
    75,
    80,
    85,
    90,
)
MAX_ITERATIONS = 60
# A code that nobody ever has keeps finite odds.
SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class SimpleModel:
    """What one simple model says of the rows of another split.

    Args:
        name (`str`): Name for tables.
        scores (`NDArray[float32]` of shape `(N, K)`): Higher means sooner.
        chosen (`dict`): What was chosen on the validation rows.
    """

    name: str
    scores: FloatArray
    chosen: dict[str, Any]


def fit_simple_models(train: NextVisitRows, validation: NextVisitRows, test: NextVisitRows) -> list[SimpleModel]:
    """Fit popularity, repetition of the last visit, co-occurrence and a logistic regression per code.

    Args:
        train ([`NextVisitRows`]): Rows to learn from.
        validation ([`NextVisitRows`]): Rows that smoothing, features and penalty are chosen on.
        test ([`NextVisitRows`]): Rows to score.

    Returns:
        `list[SimpleModel]`: The four models, the strongest last.

    Raises:
        ValueError: If the splits rank different codes.

    Examples:
        >>> import pyarrow as pa
        >>> from claim_transformers.analysis.next_visit_task import next_visit_rows
        >>> patients = pa.table(
        ...     {"birth_day": [0] * 9, "sex": ["F"] * 9, "visit_day": [[1, 2]] * 9, "codes": [[["A/1"], ["A/2"]]] * 9}
        ... )
        >>> rows = next_visit_rows(patients, ["A/1", "A/2"])
        >>> [model.name for model in fit_simple_models(rows, rows, rows)]
        ['popularity', 'repeat last visit', 'co-occurrence', 'logistic regression']
    """
    if not train.codes == validation.codes == test.codes:
        raise ValueError("expected the same candidates in all splits, found others")
    popularity = train.targets.mean(axis=0, dtype=np.float32)
    everywhere = np.tile(popularity, (len(test), 1))
    return [
        SimpleModel("popularity", everywhere, {}),
        # Shares are below 1, so codes of the last visit stand before all others, the more popular first.
        SimpleModel("repeat last visit", everywhere + test.last_visit, {}),
        _co_occurrence(train, validation, test),
        fit_code_regressions(train, validation, test),
    ]


def _co_occurrence(train: NextVisitRows, validation: NextVisitRows, test: NextVisitRows) -> SimpleModel:
    """Share of the visits after a code that carry another code, summed over the codes of the last visit."""
    last = train.last_visit.astype(np.float32)
    together, alone = last.T @ train.targets.astype(np.float32), last.sum(axis=0)[:, None]
    popularity = train.targets.mean(axis=0, dtype=np.float32)

    def scores_of(rows: NextVisitRows, smoothing: float) -> FloatArray:
        shares = (together + smoothing * popularity) / (alone + smoothing)
        seen = rows.last_visit.astype(np.float32)
        # The popular codes decide where the last visit holds no candidate.
        return np.asarray((seen @ shares + popularity * 1e-3) / (seen.sum(axis=1, keepdims=True) + 1e-3), np.float32)

    def loss_of(smoothing: float) -> float:
        shares = np.clip(scores_of(validation, smoothing), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
        return log_loss_of_rows(np.log(shares / (1 - shares)), validation)

    best = min(SMOOTHING, key=loss_of)
    return SimpleModel("co-occurrence", scores_of(test, best), {"smoothing_visits": best})


# ---- Logistic regression, one per code ----


def fit_code_regressions(
    train: NextVisitRows,
    validation: NextVisitRows,
    test: NextVisitRows,
    *,
    penalties: Sequence[float] = PENALTIES,
    histories: Sequence[str] = HISTORIES,
) -> SimpleModel:
    """Fit a logistic regression per code on the history, the last visit, age and sex.

    How the history is written and the penalty are chosen by the log loss of the validation rows.

    Args:
        train ([`NextVisitRows`]): Rows to learn from.
        validation ([`NextVisitRows`]): Rows to choose on.
        test ([`NextVisitRows`]): Rows to score.
        penalties (`list[float]`, *optional*): Penalties `p`, of `p / 2` times the squared weights: the inverse of the
            `C` of scikit-learn.
        histories (`list[str]`, *optional*): Ways to write the history, of `"log counts"` and
            `"log counts and presence"`.

    Returns:
        [`SimpleModel`]: Log odds of the test rows.

    Raises:
        ValueError: If a way to write the history is unknown, or there is no penalty.
    """
    if not penalties or not set(histories) <= set(HISTORIES) or not histories:
        raise ValueError(f"expected penalties and histories among {', '.join(HISTORIES)}, found {list(histories)}")
    best_loss, best = np.inf, SimpleModel("logistic regression", np.zeros((0, 0), np.float32), {})
    for history in histories:
        inputs, wanted = regression_features(train, history), torch.from_numpy(train.targets)
        validation_inputs = torch.from_numpy(regression_features(validation, history))
        for penalty, weights, bias in fit_logistic(torch.from_numpy(inputs), wanted, sorted(penalties, reverse=True)):
            logits = (validation_inputs @ weights + bias).numpy()
            loss = log_loss_of_rows(logits, validation)
            if loss < best_loss:
                scores = (torch.from_numpy(regression_features(test, history)) @ weights + bias).numpy()
                chosen = {"history": history, "penalty": penalty, "features": inputs.shape[1]}
                best_loss, best = loss, SimpleModel(best.name, scores, {**chosen, "validation_log_loss": loss})
    return best


def regression_features(rows: NextVisitRows, history: str = HISTORIES[0]) -> FloatArray:
    """Write what is known of each row as numbers: history, last visit, age in linear pieces, sex.

    Args:
        rows ([`NextVisitRows`]): Rows.
        history (`str`, *optional*, defaults to `"log counts"`): `log(1 + visits)` of each code, or
            `"log counts and presence"`, which adds whether it occurred at all.

    Returns:
        `NDArray[float32]` of shape `(N, F)`: Features.

    Examples:
        >>> import pyarrow as pa
        >>> from claim_transformers.analysis.next_visit_task import next_visit_rows
        >>> patients = pa.table({"birth_day": [0], "sex": ["F"], "visit_day": [[1, 2]], "codes": [[["A/1"], ["A/2"]]]})
        >>> features = regression_features(next_visit_rows(patients, ["A/1", "A/2"]))
        >>> features[0, :4].round(3).tolist(), features.shape[1]
        ([0.6930000185966492, 0.0, 1.0, 0.0], 35)
    """
    parts = [np.log1p(rows.counts)]
    if history == "log counts and presence":
        parts.append((rows.counts > 0).astype(np.float32))
    parts.append(rows.last_visit.astype(np.float32))
    is_known = np.isfinite(rows.age_years)
    age = np.where(is_known, rows.age_years, 0.0)
    knots = np.array(AGE_KNOTS_YEARS, np.float64)
    pieces = np.stack([np.interp(age, knots, row) for row in np.eye(len(knots))], axis=1) * is_known[:, None]
    people = np.stack([~is_known, rows.sex == "F", rows.sex == "M"], axis=1)
    return np.concatenate([*parts, pieces, people], axis=1, dtype=np.float32)


def fit_logistic(
    inputs_NF: Tensor, wanted_NK: Tensor, penalties: Sequence[float], *, max_iterations: int = MAX_ITERATIONS
) -> list[tuple[float, Tensor, Tensor]]:
    """Fit a ridge logistic regression for each column of labels, by L-BFGS in the eigenbasis of the inputs.

    In that basis the Hessian of a code is close to diagonal, `p (1 - p)` times the eigenvalues plus the penalty, and
    dividing by its root makes rare and common codes, large and small directions converge together.

    Args:
        inputs_NF (`torch.FloatTensor` of shape `(N, F)`): Features; the bias is added here and not penalised.
        wanted_NK (`torch.BoolTensor` of shape `(N, K)`): Labels.
        penalties (`list[float]`): Penalties, fitted in this order, each from the solution of the one before.
        max_iterations (`int`, *optional*, defaults to `60`): Iterations per penalty.

    Returns:
        `list[tuple[float, torch.FloatTensor, torch.FloatTensor]]`: Penalty, weights `(F, K)` and bias `(K,)`.

    Examples:
        >>> inputs, wanted = torch.tensor([[0.0], [1.0]] * 50), torch.tensor([[False], [True]] * 50)
        >>> [(penalty, weights, bias)] = fit_logistic(inputs, wanted, [1.0])
        >>> bool(weights[0, 0] > 3), bool(bias[0] < -1.5)
        (True, True)
    """
    wanted_NK = wanted_NK.to(inputs_NF.dtype)
    values_F, basis_FF = torch.linalg.eigh((inputs_NF.T @ inputs_NF).double())
    values_F, basis_FF = values_F.clamp(min=0).to(inputs_NF.dtype), basis_FF.to(inputs_NF.dtype)
    rotated_NF = inputs_NF @ basis_FF
    share_K = wanted_NK.mean(dim=0).clamp(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    weights_FK, bias_K = torch.zeros(inputs_NF.shape[1], wanted_NK.shape[1]), torch.logit(share_K)
    curvature_K = share_K * (1 - share_K)
    bias_scale_K = (curvature_K * len(inputs_NF)).rsqrt()
    fits = []
    for penalty in penalties:
        scale_FK = (curvature_K * values_F[:, None] + penalty).rsqrt()
        unknown = [(weights_FK / scale_FK).requires_grad_(), (bias_K / bias_scale_K).requires_grad_()]
        optimizer = torch.optim.LBFGS(unknown, max_iter=max_iterations, history_size=10, line_search_fn="strong_wolfe")

        @torch.no_grad()
        def loss_and_gradient(
            unknown: list[Tensor] = unknown, scale_FK: Tensor = scale_FK, penalty: float = penalty
        ) -> Tensor:
            weights_FK = scale_FK * unknown[0]
            logits_NK = rotated_NF @ weights_FK + bias_scale_K * unknown[1]
            loss = functional.softplus(logits_NK).sum() - (logits_NK * wanted_NK).sum()
            loss += 0.5 * penalty * weights_FK.square().sum()
            residual_NK = logits_NK.sigmoid_().sub_(wanted_NK)
            unknown[0].grad = scale_FK * (rotated_NF.T @ residual_NK + penalty * weights_FK)
            unknown[1].grad = bias_scale_K * residual_NK.sum(dim=0)
            return loss

        optimizer.step(loss_and_gradient)
        weights_FK, bias_K = (scale_FK * unknown[0]).detach(), (bias_scale_K * unknown[1]).detach()
        fits.append((penalty, basis_FF @ weights_FK, bias_K))
    return fits
