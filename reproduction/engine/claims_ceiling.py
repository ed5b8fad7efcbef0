"""Claims ceiling: boosted trees that are taught the true risk itself, a teacher without the noise of the outcome."""

from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.cohorts.event.sampling import unit_hash

FloatArray = NDArray[np.float64]

VALIDATION_SHARE = 0.1
# Risks are turned into odds.
MOST_RISK = 0.999


@dataclass(frozen=True)
class TeachingOptions:
    """Sizes of the trees; those of scikit-learn's `HistGradientBoostingRegressor`.

    The loss is that of Poisson: its prediction is the mean risk of all children whose claims look the same, which is
    what orders them best; the mean of the log risk, which squared error would give, is not.

    Args:
        learning_rate (`float`, *optional*, defaults to `0.05`): Share of each tree that is added.
        max_iter (`int`, *optional*, defaults to `500`): Trees at most.
        max_leaf_nodes (`int`, *optional*, defaults to `31`): Leaves of a tree at most.
        min_samples_leaf (`int`, *optional*, defaults to `50`): Rows in a leaf at least.
        l2_regularization (`float`, *optional*, defaults to `1.0`): Penalty of leaf values.
        max_features (`float`, *optional*, defaults to `0.3`): Share of the columns that each split may look at.
        n_iter_no_change (`int`, *optional*, defaults to `20`): Trees without progress on children held out after which
            no more are added.
    """

    learning_rate: float = 0.05
    max_iter: int = 500
    max_leaf_nodes: int = 31
    min_samples_leaf: int = 50
    l2_regularization: float = 1.0
    max_features: float = 0.3
    n_iter_no_change: int = 20


@dataclass(frozen=True)
class Lessons:
    """Children at one index date after another, as numbers.

    Args:
        patient_ids (`pa.ChunkedArray`): Who.
        features (`NDArray[float32]` of shape `(rows, columns)`): What their claims say before the index date.
        risk (`NDArray[float]` of shape `(rows,)`): True risk over the horizon.
    """

    patient_ids: pa.ChunkedArray
    features: NDArray[np.float32]
    risk: FloatArray


def teach(
    lessons: Lessons, features: NDArray[np.float32], options: TeachingOptions
) -> tuple[FloatArray, dict[str, int]]:
    """Learn the true risk of children and say it of others.

    A tenth of the children says when trees are enough; all rows of a child are on one side.

    Args:
        lessons ([`Lessons`]): Children who are learned from.
        features (`NDArray[float32]` of shape `(examples, columns)`): Who is scored.
        options ([`TeachingOptions`]): Sizes of the trees.

    Returns:
        `tuple[NDArray[float], dict[str, int]]`: Risk of each example, and how many children, rows, features and trees
        there were.

    Raises:
        ValueError: If nobody is held out or left to learn from.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    held_out = unit_hash(lessons.patient_ids, "claims-ceiling/validation") < VALIDATION_SHARE
    if held_out.all() or not held_out.any():
        raise ValueError(f"expected children to learn from and to hold out, found {len(held_out)} rows; simulate more")
    # Regularisation and the least hessian of a leaf are meant for values near one.
    mean = float(lessons.risk.mean())
    target = lessons.risk / mean
    model = HistGradientBoostingRegressor(loss="poisson", **asdict(options), early_stopping=True, random_state=0)
    model.fit(lessons.features[~held_out], target[~held_out], X_val=lessons.features[held_out], y_val=target[held_out])
    details = {
        "children": int(pc.count_distinct(lessons.patient_ids).as_py()),
        "rows": len(target),
        "features": features.shape[1],
        "trees": int(model.n_iter_),
    }
    return np.clip(model.predict(features) * mean, 0.0, MOST_RISK), details
