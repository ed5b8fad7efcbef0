"""Gradient boosting on counts of codes: the strongest of the cold-start baselines that are no neural network.

The trees are scikit-learn's (`HistGradientBoostingClassifier`). Trees are added while they help on the validation
split, and the prediction uses the number of trees that was best there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.baselines import BaselineResult, count_features
from claim_transformers.analysis.rivals.features import count_codes, read_labels, select_codes
from claim_transformers.analysis.rivals.linear_models import log_loss
from claim_transformers.codes import CategoryRules


@dataclass(frozen=True)
class BoostingParameters:
    """What a search over gradient boosting may vary; the names are scikit-learn's.

    Args:
        learning_rate (`float`, *optional*, defaults to `0.05`): Share of each tree that is added.
        max_iter (`int`, *optional*, defaults to `400`): Trees at most.
        max_leaf_nodes (`int`, *optional*, defaults to `8`): Leaves of a tree at most.
        min_samples_leaf (`int`, *optional*, defaults to `20`): Examples in a leaf at least.
        l2_regularization (`float`, *optional*, defaults to `1.0`): Penalty of leaf values.
        max_features (`float`, *optional*, defaults to `0.3`): Share of the columns that each split may look at.
        n_iter_no_change (`int`, *optional*, defaults to `30`): Trees without progress on the validation split after
            which no more are added.
    """

    learning_rate: float = 0.05
    max_iter: int = 400
    max_leaf_nodes: int = 8
    min_samples_leaf: int = 20
    l2_regularization: float = 1.0
    max_features: float = 0.3
    n_iter_no_change: int = 30


def fit_gradient_boosting(
    splits: Mapping[str, pa.Table],
    *,
    rules: CategoryRules,
    parameters: BoostingParameters | None = None,
    most_codes: int = 300,
    min_patients: int = 11,
    seed: int = 0,
) -> BaselineResult:
    """Fit gradient boosting on the features of LR Dense and the most common codes.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` with the columns of a cohort.
        rules (`CategoryRules`): From code to category.
        parameters (`BoostingParameters`, *optional*): Sizes and rates; the defaults suit a cohort of a few hundred.
        most_codes (`int`, *optional*, defaults to `300`): Codes that become columns, those of most training patients.
        min_patients (`int`, *optional*, defaults to `11`): Training patients behind every column.
        seed (`int`, *optional*, defaults to `0`): Seed of the columns that splits look at.

    Returns:
        `BaselineResult`: Scores of every split, with the number of `trees` used among the parameters.

    Raises:
        ValueError: If the training split has one class only, or the label is a list.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    chosen = parameters or BoostingParameters()
    labels = {split: read_labels(table) for split, table in splits.items()}
    if labels["train"].ndim != 1:
        raise ValueError(
            "expected one label per example, found a list; use fit_logistic_regression for several labels"
        )
    classes = np.unique(labels["train"])
    if len(classes) != 2:
        raise ValueError(f"expected two classes in the training split, found {len(classes)}")
    inputs = _dense_features(splits, rules, most_codes=most_codes, min_patients=min_patients)
    validate = len(labels.get("validation", ())) > 0
    model = HistGradientBoostingClassifier(
        **asdict(chosen), early_stopping=validate, scoring="loss", tol=0.0, random_state=seed
    )
    held_out = {"X_val": inputs["validation"], "y_val": labels["validation"]} if validate else {}
    model.fit(inputs["train"], labels["train"], **held_out)
    # The first validation score is that of no tree at all.
    trees = max(1, int(np.argmax(model.validation_score_))) if validate else int(model.n_iter_)
    scores = {split: _probabilities(model, matrix, trees) for split, matrix in inputs.items()}
    return BaselineResult(
        name="Gradient boosting",
        scores=scores,
        num_features=inputs["train"].shape[1],
        parameters={**asdict(chosen), "trees": trees},
        validation_loss=log_loss(labels["validation"], scores["validation"]) if validate else None,
    )


def _dense_features(
    splits: Mapping[str, pa.Table], rules: CategoryRules, *, most_codes: int, min_patients: int
) -> dict[str, NDArray[np.float32]]:
    """Categories, demographics and the most common codes; trees bin every column, so single precision is enough."""
    categories = select_codes(splits["train"], min_patients=min_patients, rules=rules)
    codes = select_codes(splits["train"], min_patients=min_patients, most=most_codes)
    features = {}
    for split, table in splits.items():
        dense, _ = count_features(table, categories, rules=rules)
        counts = count_codes(table, codes).matrix
        features[split] = np.hstack([dense.toarray(), counts.toarray()]).astype(np.float32)
    return features


def _probabilities(model: Any, inputs: NDArray[np.float32], trees: int) -> NDArray[np.float64]:
    """The probability of label 1 after this many trees."""
    if len(inputs) == 0:
        return np.zeros(0)
    staged = next(islice(model.staged_predict_proba(inputs), trees - 1, None))
    probability: NDArray[np.float64] = staged[:, 1]
    return probability
