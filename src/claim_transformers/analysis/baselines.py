"""Logistic regression on counts: the rivals that a pretrained transformer has to beat on a small cohort.

`LR Sparse` and `LR Dense` are those of Claim-PT, Tables 1 and 2: one column per code, and one per category with
demographics. Both see the same patients, the same history and the same split as the transformer; the penalty is chosen
on the validation split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.features import count_codes, demographics, select_codes
from claim_transformers.codes import CategoryRules

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class BaselineResult:
    """A fitted baseline and what it says of each split.

    Args:
        name (`str`): Name for tables.
        scores (`dict[str, NDArray[float]]`): Predicted probability of the label per split, in row order.
        num_features (`int`): Columns that the model saw.
        inverse_penalty (`float`): The `C` of scikit-learn that was best on the validation split.
        weights (`list[tuple[str, float]]`): The ten features with the largest weights, for a look at what it uses.
    """

    name: str
    scores: Mapping[str, NDArray[np.float64]]
    num_features: int
    inverse_penalty: float
    weights: Sequence[tuple[str, float]]


def fit_logistic_regression(
    splits: Mapping[str, pa.Table],
    *,
    features: Literal["sparse", "dense"] = "sparse",
    rules: CategoryRules | None = None,
    min_patients: int = 11,
    seed: int = 0,
) -> BaselineResult:
    """Fits logistic regression on counts of a cohort's history.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` with the columns of a cohort.
        features (`str`): `"sparse"`: log counts of codes, claim types, age and sex. `"dense"`: log counts of
            categories instead of codes.
        rules (`CategoryRules`): Needed for `"dense"`.
        min_patients (`int`): Training patients that must hold a code for it to become a column.
        seed (`int`): Seed of the solver.

    Returns:
        `BaselineResult`: Scores of every split.

    Raises:
        ValueError: If the training split has one class only, or `"dense"` comes without `rules`.
    """
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    if features == "dense" and rules is None:
        raise ValueError("features 'dense' counts categories: expected rules, found none")
    rolled = rules if features == "dense" else None
    names = select_codes(splits["train"], min_patients=min_patients, rules=rolled)
    inputs: dict[str, csr_matrix] = {}
    extra: list[str] = []
    for split, table in splits.items():
        people, extra = demographics(table)
        inputs[split] = hstack([count_codes(table, names, rules=rolled).matrix, csr_matrix(people)], format="csr")
    labels = {split: table["label"].to_numpy() for split, table in splits.items()}
    classes = np.unique(labels["train"])
    if len(classes) != 2:
        raise ValueError(f"expected two classes in the training split, found {len(classes)}")
    fitted = [
        LogisticRegression(C=penalty, max_iter=2000, solver="liblinear", random_state=seed).fit(
            inputs["train"], labels["train"]
        )
        for penalty in PENALTIES
    ]
    best = _best_on_validation(fitted, inputs["validation"], labels["validation"])
    weights = fitted[best].coef_[0]
    columns = [*names, *extra]
    largest = np.argsort(-np.abs(weights))[:10]
    return BaselineResult(
        name=f"LR {features.title()}",
        scores={split: fitted[best].predict_proba(matrix)[:, 1] for split, matrix in inputs.items()},
        num_features=len(columns),
        inverse_penalty=PENALTIES[best],
        weights=[(columns[i], float(weights[i])) for i in largest],
    )


def _best_on_validation(fitted: Sequence[Any], inputs: "csr_matrix", labels: NDArray[np.int64]) -> int:
    """The model with the least log loss on the validation split; it is defined also for a split of one class."""
    losses = []
    for model in fitted:
        probability = np.clip(model.predict_proba(inputs)[:, 1], 1e-6, 1 - 1e-6)
        losses.append(float(-np.mean(np.where(labels == 1, np.log(probability), np.log(1 - probability)))))
    return int(np.argmin(losses)) if len(labels) else len(fitted) // 2
