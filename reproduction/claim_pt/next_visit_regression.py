"""A sparse logistic regression per code on history, last visit, age and sex: the rival of a transformer.

The penalty is on absolute weights. A code depends on few others, and with hundreds of features per code most of what
a ridge penalty loses is the noise of weights that should be zero: on both MEDS sets of the benchmark a ridge fit of
the same features has the larger log loss.

The fit is here rather than scikit-learn's (a test compares both): one-vs-rest runs a solver of its own per code, while
here one matrix product per step serves all codes. It is the accelerated proximal gradient method (Beck and Teboulle,
2009, FISTA) with a restart where momentum points uphill (O'Donoghue and Candes, 2015).

Letters: `N` rows, `F` features, `K` codes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from reproduction.claim_pt.next_visit_task import NextVisitRows, log_loss_of_rows

FloatArray = NDArray[np.float32]
# In units of the root of the number of rows, which the noise of a gradient grows with; from strong to weak.
PENALTIES = (0.1, 0.07, 0.05, 0.035)
HISTORIES = ("log counts", "log counts and presence")
# Linear pieces of age: narrow in childhood, where codes follow the year of life.
AGE_KNOTS_YEARS = (0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 23, 26, 30, 35, *range(40, 95, 5))
# Columns are brought to a mean square of one, but a rare code is never made more than so many times as loud.
LARGEST_SCALE = 6.0
RIDGE = 0.5
MAX_STEPS, STEPS_PER_CHECK = 200, 15
# Of the objective per row: far below the differences that the validation rows can tell.
TOLERANCE = 5e-4
SMALLEST_SHARE = 1e-6


@dataclass(frozen=True)
class CodeRegressions:
    """Log odds of every code from the regressions that were best on the validation rows.

    Args:
        scores (`tuple[NDArray[float32], NDArray[float32]]`): Of the validation and the test rows, `(N, K)` each.
        chosen (`dict`): The features, the penalty, its log loss on the validation rows, and the share of weights that
            are not zero.
    """

    scores: tuple[FloatArray, FloatArray]
    chosen: dict[str, Any]


def fit_code_regressions(
    train: NextVisitRows,
    validation: NextVisitRows,
    test: NextVisitRows,
    *,
    penalties: Sequence[float] = PENALTIES,
    histories: Sequence[str] = HISTORIES,
) -> CodeRegressions:
    """Fit a logistic regression per code, choosing features and penalty by the log loss of the validation rows.

    Args:
        train ([`NextVisitRows`]): Rows to learn from.
        validation ([`NextVisitRows`]): Rows to choose on.
        test ([`NextVisitRows`]): Rows to score.
        penalties (`list[float]`, *optional*): Penalties on absolute weights, in units of the root of the number of
            training rows. The search goes from strong to weak and ends where the log loss rises; it is made for the
            first way to write the history, and the others are tried at its end.
        histories (`list[str]`, *optional*): Ways to write the history, of `"log counts"` and
            `"log counts and presence"`.

    Returns:
        [`CodeRegressions`]: Log odds of the validation and the test rows.

    Raises:
        ValueError: If there is no penalty, or a way to write the history is unknown.
    """
    if not penalties or not histories or not set(histories) <= set(HISTORIES):
        raise ValueError(f"expected penalties and histories among {', '.join(HISTORIES)}, found {list(histories)}")
    wanted_NK = torch.from_numpy(train.targets).float()
    path = sorted(penalties, reverse=True)
    best_loss, best = math.inf, CodeRegressions((np.zeros((0, 0), np.float32),) * 2, {})
    for history in histories:
        inputs_NF, *others = (
            torch.from_numpy(regression_features(rows, history)) for rows in (train, validation, test)
        )
        scale_F = inputs_NF.square().mean(dim=0).rsqrt().clamp(max=LARGEST_SCALE)
        start, last_loss = None, math.inf
        for penalty in path:
            start = fit_sparse_logistic(inputs_NF * scale_F, wanted_NK, penalty * math.sqrt(len(train)), start)
            scores = [((inputs * scale_F) @ start[0] + start[1]).numpy() for inputs in others]
            loss = log_loss_of_rows(scores[0], validation)
            if loss < best_loss:
                share = float((start[0] != 0).float().mean())
                chosen = {"history": history, "penalty": penalty, "validation_log_loss": loss, "weights_used": share}
                best_loss, best = loss, CodeRegressions((scores[0], scores[1]), chosen)
            if loss > last_loss:
                break
            last_loss = loss
        # The best penalty of one way to write the history is that of the next, or close to it.
        path = [best.chosen["penalty"]]
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
        >>> from reproduction.claim_pt.next_visit_task import next_visit_rows
        >>> patients = pa.table({"birth_day": [0], "sex": ["F"], "visit_day": [[1, 2]], "codes": [[["A/1"], ["A/2"]]]})
        >>> features = regression_features(next_visit_rows(patients, ["A/1", "A/2"]))
        >>> features[0, :4].round(2).tolist() == np.float32([0.69, 0, 1, 0]).tolist()
        True
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


def fit_sparse_logistic(
    inputs_NF: Tensor,
    wanted_NK: Tensor,
    penalty: float,
    start: tuple[Tensor, Tensor] | None = None,
    *,
    max_steps: int = MAX_STEPS,
    tolerance: float = TOLERANCE,
) -> tuple[Tensor, Tensor]:
    """Fit a logistic regression for each column of labels with a penalty on absolute weights, and a little ridge.

    Args:
        inputs_NF (`torch.FloatTensor` of shape `(N, F)`): Features of similar scale.
        wanted_NK (`torch.FloatTensor` of shape `(N, K)`): Labels, 0 or 1.
        penalty (`float`): Factor of the absolute weights, against a log loss that is summed over the rows.
        start (`tuple[torch.Tensor, torch.Tensor]`, *optional*): Weights and bias to begin with.
        max_steps (`int`, *optional*, defaults to `200`): Steps at most.
        tolerance (`float`, *optional*, defaults to `5e-4`): The fit ends where the objective per row falls by less
            than this from check to check.

    Returns:
        `tuple[torch.FloatTensor, torch.FloatTensor]`: Weights `(F, K)` and bias `(K,)`, which is not penalised.

    Examples:
        >>> inputs, wanted = torch.tensor([[0.0, 1.0], [1.0, 1.0]] * 50), torch.tensor([[0.0], [1.0]] * 50)
        >>> weights, bias = fit_sparse_logistic(inputs, wanted, penalty=5.0)
        >>> bool(weights[0, 0] > 1), bool(weights[1, 0] == 0)
        (True, True)
    """
    share_K = wanted_NK.mean(dim=0).clamp(SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    if start is None:
        start = (inputs_NF.new_zeros(inputs_NF.shape[1], wanted_NK.shape[1]), torch.logit(share_K))
    weights_FK, bias_K = start
    # Probabilities stay near the share of a code in most rows, so that rare codes may take longer steps; a step that
    # turns out too long is halved.
    step_K = 1 / ((3 * share_K).clamp(max=0.25) * _largest_eigenvalue(inputs_NF) + RIDGE)
    bias_step_K = 1 / ((1.5 * share_K * (1 - share_K)).clamp(min=1e-4) * len(inputs_NF))
    ahead_FK, ahead_K, momentum = weights_FK, bias_K, 1.0
    before_K = torch.full_like(share_K, math.inf)
    for number in range(max_steps):
        logits_NK = inputs_NF @ ahead_FK + ahead_K
        if number % STEPS_PER_CHECK == 0:
            loss_K = (functional.softplus(logits_NK) - logits_NK * wanted_NK).sum(dim=0)
            loss_K += penalty * ahead_FK.abs().sum(dim=0) + 0.5 * RIDGE * ahead_FK.square().sum(dim=0)
            rises_K = loss_K > before_K
            step_K, bias_step_K = (torch.where(rises_K, step / 2, step) for step in (step_K, bias_step_K))
            if not rises_K.any() and float((before_K - loss_K).sum()) < tolerance * len(inputs_NF):
                break
            before_K = loss_K
        residual_NK = logits_NK.sigmoid_().sub_(wanted_NK)
        descended_FK = ahead_FK - step_K * (inputs_NF.T @ residual_NK + RIDGE * ahead_FK)
        next_FK = _shrink(descended_FK, penalty * step_K)
        next_K = ahead_K - bias_step_K * residual_NK.sum(dim=0)
        is_uphill = float(((ahead_FK - next_FK) * (next_FK - weights_FK)).sum()) > 0
        next_momentum = 1.0 if is_uphill else (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        ahead = 0.0 if is_uphill else (momentum - 1) / next_momentum
        ahead_FK, ahead_K = next_FK + ahead * (next_FK - weights_FK), next_K + ahead * (next_K - bias_K)
        weights_FK, bias_K, momentum = next_FK, next_K, next_momentum
    return weights_FK, bias_K


def _shrink(weights_FK: Tensor, by_K: Tensor) -> Tensor:
    """Move weights towards zero, and no further than that."""
    return weights_FK.sign() * (weights_FK.abs() - by_K).clamp(min=0)


def _largest_eigenvalue(inputs_NF: Tensor) -> float:
    """Of the sums of squares and products, by powers."""
    vector_F = torch.full((inputs_NF.shape[1],), inputs_NF.shape[1] ** -0.5)
    for _ in range(20):
        vector_F = inputs_NF.T @ (inputs_NF @ vector_F)
        vector_F = vector_F / vector_F.norm().clamp(min=1e-30)
    return float((inputs_NF @ vector_F).square().sum())
