"""The simple models of the next visit, which a pretrained transformer has to beat on sequences with real order.

All of them answer the rows of [`NextVisitRows`], learn from the training rows and choose on the validation rows: the
same rows for everybody. The logistic regression per code, the strongest by far, is in `next_visit_regression`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reproduction.claim_pt.next_visit_regression import PENALTIES, fit_code_regressions
from reproduction.claim_pt.next_visit_task import NextVisitRows, log_loss_of_rows

FloatArray = NDArray[np.float32]
SMOOTHING_VISITS = (1.0, 10.0, 100.0, 1000.0)
# A code that nobody ever has keeps finite odds.
SMALLEST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class NextVisitScores:
    """What one model says of the rows of the validation and the test split.

    Args:
        name (`str`): Name for tables.
        validation (`NDArray[float32]` of shape `(N, K)`): Scores, higher means sooner.
        test (`NDArray[float32]` of shape `(N, K)`): The same for the test rows.
        chosen (`dict`, *optional*): What was chosen on the validation rows.
        is_simple (`bool`, *optional*, defaults to `False`): Whether it is one of the models to beat.
    """

    name: str
    validation: FloatArray
    test: FloatArray
    chosen: dict[str, Any] = field(default_factory=dict)
    is_simple: bool = False


def fit_simple_models(
    train: NextVisitRows,
    validation: NextVisitRows,
    test: NextVisitRows,
    *,
    penalties: tuple[float, ...] = PENALTIES,
) -> list[NextVisitScores]:
    """Fit popularity, repetition of the last visit, co-occurrence and a logistic regression per code.

    Args:
        train ([`NextVisitRows`]): Rows to learn from.
        validation ([`NextVisitRows`]): Rows that smoothing, features and penalty are chosen on.
        test ([`NextVisitRows`]): Rows to score.
        penalties (`tuple[float, ...]`, *optional*): Penalties of the regressions to choose from.

    Returns:
        `list[NextVisitScores]`: The four models. The scores of the last are log odds.

    Raises:
        ValueError: If the splits rank different codes.

    Examples:
        >>> import pyarrow as pa
        >>> from reproduction.claim_pt.next_visit_task import next_visit_rows
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
    everywhere = [np.tile(popularity, (len(rows), 1)) for rows in (validation, test)]
    # Shares are at most 1, so codes of the last visit stand before all others, the more popular first.
    repeated = [base + 2 * rows.last_visit for base, rows in zip(everywhere, (validation, test), strict=True)]
    regression = fit_code_regressions(train, validation, test, penalties=penalties)
    return [
        NextVisitScores("popularity", everywhere[0], everywhere[1], is_simple=True),
        NextVisitScores("repeat last visit", repeated[0], repeated[1], is_simple=True),
        _co_occurrence(train, validation, test),
        NextVisitScores("logistic regression", *regression.scores, regression.chosen, is_simple=True),
    ]


def _co_occurrence(train: NextVisitRows, validation: NextVisitRows, test: NextVisitRows) -> NextVisitScores:
    """Share of the visits after a code that carry another code, averaged over the codes of the last visit."""
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

    best = min(SMOOTHING_VISITS, key=loss_of)
    settings = {"smoothing_visits": best}
    return NextVisitScores(
        "co-occurrence", scores_of(validation, best), scores_of(test, best), settings, is_simple=True
    )
