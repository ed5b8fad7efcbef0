"""Baselines on counts of codes: the rivals that a pretrained transformer has to beat on a small cohort.

`LR Sparse` and `LR Dense` are those of Claim-PT, Tables 1 and 2: one column per code, and one per category with
demographics. All see the same patients, the same history and the same split as the transformer; what can be chosen is
chosen on the validation split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.features import count_codes, demographics, read_labels, select_codes
from claim_transformers.analysis.rivals.linear_models import fit_linear
from claim_transformers.codes import CategoryRules

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_LARGEST_WEIGHTS = 10


@dataclass(frozen=True)
class BaselineResult:
    """A fitted baseline and what it says of each split.

    Args:
        name (`str`): Name for tables.
        scores (`dict[str, NDArray[float]]`): Predicted probabilities per split, in row order: of shape `(examples,)`,
            or `(examples, labels)` where the label is a list.
        num_features (`int`): Columns that the model saw.
        parameters (`dict[str, float]`): What was given or chosen, for instance `C` or `trees`.
        validation_loss (`float`): Log loss on the validation split; `None` where it has no row.
        weights (`list[tuple[str, float]]`): The ten features with the largest weights, for a look at what it uses;
            with several labels, the root mean square over them. Empty where a model has no weights.
    """

    name: str
    scores: Mapping[str, NDArray[np.float64]]
    num_features: int
    parameters: Mapping[str, float] = field(default_factory=dict)
    validation_loss: float | None = None
    weights: Sequence[tuple[str, float]] = ()

    @property
    def inverse_penalty(self) -> float | None:
        """The `C` of scikit-learn, `None` for a model without one."""
        return self.parameters.get("C")


def fit_logistic_regression(
    splits: Mapping[str, pa.Table],
    *,
    features: Literal["sparse", "dense"] = "sparse",
    rules: CategoryRules | None = None,
    inverse_penalty: float | None = None,
    min_patients: int = 11,
    seed: int = 0,
) -> BaselineResult:
    """Fits logistic regression on counts of a cohort's history.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` with the columns of a cohort. `label`
            is 0 or 1, or a list of them per example: then every entry of the list is a label of its own.
        features (`str`): `"sparse"`: log counts of codes, claim types, age and sex. `"dense"`: log counts of
            categories instead of codes.
        rules (`CategoryRules`): Needed for `"dense"`.
        inverse_penalty (`float`): The `C` of scikit-learn to use; when `None`, the one of `PENALTIES` with the least
            log loss on the validation split.
        min_patients (`int`): Training patients that must hold a code for it to become a column.
        seed (`int`): Seed of the solver.

    Raises:
        ValueError: If the training split has one class only, or `"dense"` comes without `rules`.
    """
    if features == "dense" and rules is None:
        raise ValueError("features 'dense' counts categories: expected rules, found none")
    rolled = rules if features == "dense" else None
    names = select_codes(splits["train"], min_patients=min_patients, rules=rolled)
    inputs: dict[str, csr_matrix] = {}
    columns: list[str] = []
    for split, table in splits.items():
        inputs[split], columns = count_features(table, names, rules=rolled)
    labels = {split: read_labels(table) for split, table in splits.items()}
    penalties = PENALTIES if inverse_penalty is None else (inverse_penalty,)
    fit = fit_linear(inputs, labels, penalties, seed=seed)
    return BaselineResult(
        name=f"LR {features.title()}",
        scores=fit.scores,
        num_features=len(columns),
        parameters={"C": fit.inverse_penalty},
        validation_loss=fit.validation_loss,
        weights=_largest_weights(fit.weights, columns),
    )


def count_features(
    examples: pa.Table, names: Sequence[str], *, rules: CategoryRules | None = None
) -> tuple["csr_matrix", list[str]]:
    """Counts of codes or categories beside the demographics, as one sparse matrix."""
    from scipy.sparse import csr_matrix, hstack

    people, extra = demographics(examples)
    counts = count_codes(examples, names, rules=rules).matrix
    return hstack([counts, csr_matrix(people)], format="csr"), [*names, *extra]


def _largest_weights(weights: NDArray[np.float64], columns: Sequence[str]) -> list[tuple[str, float]]:
    """The features with the largest weights, largest first."""
    size: NDArray[Any] = weights if weights.ndim == 1 else np.sqrt((weights**2).mean(axis=1))
    return [(columns[i], float(size[i])) for i in np.argsort(-np.abs(size), kind="stable")[:_LARGEST_WEIGHTS]]
