"""Rivals of a model of cost: what was spent last year, regression and boosting on counts, and the score of CMS.

All see the same patients and the same past as the transformer, amounts included, and are fitted on the training split;
what can be chosen is chosen on the validation split.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.baselines import count_features
from claim_transformers.analysis.rivals.features import ages_in_years, count_codes, select_codes
from claim_transformers.claims.small_cells import show_count
from claim_transformers.claims.visit_amounts import AMOUNT_FIELDS
from claim_transformers.codes import CategoryRules
from claim_transformers.codes.errors import ClaimDataError

_YEAR_DAYS = 365
_PENALTIES = (0.001, 0.01, 0.1, 1.0)
_TWEEDIE_POWER = 1.5
_MOST_CODES = 300
_TYPES = ("IP", "OP", "CAR", "RX")
_HCC_MODEL = "CMS-HCC Model V28"
_ICD10 = "ICD10CM/"
# A year of a very ill patient is about 1, so that a penalty weighs it as it does logarithms.
_LARGE_DOLLARS = 1e5

_Amounts = NDArray[np.float64]


@dataclass(frozen=True)
class CostModel:
    """A fitted rival and what it predicts of each split.

    Args:
        name (`str`): Name for tables.
        scores (`dict[str, NDArray[float]]`): Predicted US dollars per split, in row order.
        parameters (`dict[str, float]`): What was chosen.

    Examples:
        >>> CostModel("Prior cost", {"test": np.array([120.0])}).scores["test"].tolist()
        [120.0]
    """

    name: str
    scores: Mapping[str, _Amounts]
    parameters: Mapping[str, float] = field(default_factory=dict)


def prior_amounts(
    examples: pa.Table,
    *,
    amount: Literal["allowed", "paid"] = "allowed",
    days: int = _YEAR_DAYS,
    types: Sequence[str] = (),
) -> _Amounts:
    """Sum what was spent before the index date, as far as it was known then.

    Args:
        examples (`pa.Table`): Rows of a cohort with `visit_allowed_amount` or `visit_amount`.
        amount (`str`, *optional*, defaults to `"allowed"`): Which amount.
        days (`int`, *optional*, defaults to `365`): Days before the index date.
        types (`Sequence[str]`, *optional*): Claim types that count; all when empty.

    Returns:
        `NDArray[float]` of shape `(examples,)`: US dollars; a visit without an amount adds nothing.

    Raises:
        ClaimDataError: `E_COLUMN`, if the claims have no such amounts.

    Examples:
        >>> visits = {"visit_day": [[1, 500]], "visit_type": [["IP", "OP"]], "visit_allowed_amount": [[9.0, 2.0]]}
        >>> prior_amounts(pa.table({"index_day": [600], **visits})).tolist()
        [2.0]
    """
    name = AMOUNT_FIELDS[f"{amount}_amount"].name
    if name not in examples.column_names:
        raise ClaimDataError(
            "E_COLUMN", f"expected examples with {name}, found none: ingest claims with amounts again"
        )
    lengths = pc.list_value_length(examples["visit_day"]).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(examples.num_rows), lengths)
    ago_days = examples["index_day"].to_numpy()[owner] - pc.list_flatten(examples["visit_day"]).to_numpy()
    dollars = pc.fill_null(pc.cast(pc.list_flatten(examples[name]), pa.float64()), 0.0).to_numpy()
    counts = ago_days <= days
    if types:
        kinds = pc.list_flatten(examples["visit_type"]).cast(pa.string())
        counts = counts & pc.is_in(kinds, value_set=pa.array(list(types), pa.string())).to_numpy()
    spent = np.bincount(owner[counts], weights=dollars[counts], minlength=examples.num_rows)
    return spent.astype(np.float64)


def fit_prior_cost(splits: Mapping[str, pa.Table], *, amount: Literal["allowed", "paid"] = "allowed") -> CostModel:
    """Predict next year's cost by last year's, on a straight line through the training patients.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` of a cohort of amounts.
        amount (`str`, *optional*, defaults to `"allowed"`): Which amount of the past.

    Raises:
        ClaimDataError: `E_COLUMN`, if the claims have no such amounts.
    """
    return _on_a_line(
        "Prior cost", {split: prior_amounts(table, amount=amount) for split, table in splits.items()}, splits
    )


def fit_cost_regression(
    splits: Mapping[str, pa.Table],
    *,
    kind: Literal["ridge", "tweedie"] = "tweedie",
    amount: Literal["allowed", "paid"] = "allowed",
    min_patients: int = 11,
) -> CostModel:
    """Fit a regression on log counts of codes, demographics and past amounts.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` of a cohort of amounts.
        kind (`str`, *optional*, defaults to `"tweedie"`): `"tweedie"`, with a log link, or `"ridge"`.
        amount (`str`, *optional*, defaults to `"allowed"`): Which amount of the past.
        min_patients (`int`, *optional*, defaults to `11`): Training patients behind a column.

    Returns:
        [`CostModel`]: Dollars of every split, by the penalty that is best on the validation split.

    Raises:
        ClaimDataError: `E_COLUMN`, if the claims have no such amounts.
    """
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import Ridge, TweedieRegressor

    names = select_codes(splits["train"], min_patients=min_patients)
    inputs = {
        split: hstack([count_features(table, names)[0], csr_matrix(_past_spending(table, amount))], format="csr")
        for split, table in splits.items()
    }
    labels = {split: _labels(table) for split, table in splits.items()}
    scale = float(labels["train"].mean())

    def fitted(penalty: float) -> Callable[[Any], _Amounts]:
        rows = inputs["train"].shape[0]
        model = (
            Ridge(alpha=penalty * rows)
            if kind == "ridge"
            else TweedieRegressor(power=_TWEEDIE_POWER, alpha=penalty, link="log", max_iter=500)
        )
        model.fit(inputs["train"], labels["train"] / scale)
        return lambda matrix: np.maximum(model.predict(matrix), 0.0) * scale

    models = {penalty: fitted(penalty) for penalty in _PENALTIES}
    errors = {
        penalty: _error(labels["validation"], model(inputs["validation"]), kind) for penalty, model in models.items()
    }
    best = min(errors, key=errors.__getitem__)
    scores = {split: models[best](matrix) for split, matrix in inputs.items()}
    return CostModel("Ridge" if kind == "ridge" else "Tweedie GLM", scores, {"penalty": best})


def fit_cost_boosting(
    splits: Mapping[str, pa.Table],
    *,
    rules: CategoryRules,
    loss: Literal["poisson", "squared_error"] = "poisson",
    amount: Literal["allowed", "paid"] = "allowed",
    min_patients: int = 11,
    seed: int = 0,
) -> CostModel:
    """Fit gradient boosting on counts of categories and of the most common codes, demographics and past amounts.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` of a cohort of amounts.
        rules (`CategoryRules`): From code to category.
        loss (`str`, *optional*, defaults to `"poisson"`): `"poisson"`, with a log link, or `"squared_error"`.
        amount (`str`, *optional*, defaults to `"allowed"`): Which amount of the past.
        min_patients (`int`, *optional*, defaults to `11`): Training patients behind a column.
        seed (`int`, *optional*, defaults to `0`): Seed of the columns that splits look at.

    Returns:
        [`CostModel`]: Dollars of every split, by as many trees as help on the validation split.

    Raises:
        ClaimDataError: `E_COLUMN`, if the claims have no such amounts.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    categories = select_codes(splits["train"], min_patients=min_patients, rules=rules)
    codes = select_codes(splits["train"], min_patients=min_patients, most=_MOST_CODES)
    inputs = {
        split: np.hstack(
            [
                count_features(table, categories, rules=rules)[0].toarray(),
                count_codes(table, codes).matrix.toarray(),
                _past_spending(table, amount),
            ]
        ).astype(np.float32)
        for split, table in splits.items()
    }
    labels = {split: _labels(table) for split, table in splits.items()}
    scale = float(labels["train"].mean())
    model = HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=0.05,
        max_iter=400,
        max_leaf_nodes=8,
        l2_regularization=1.0,
        max_features=0.3,
        n_iter_no_change=30,
        early_stopping=True,
        tol=0.0,
        random_state=seed,
    )
    held_out = {"X_val": inputs["validation"], "y_val": labels["validation"] / scale}
    model.fit(inputs["train"], labels["train"] / scale, **held_out)
    scores = {split: np.maximum(model.predict(matrix), 0.0) * scale for split, matrix in inputs.items()}
    return CostModel("Gradient boosting", scores, {"trees": float(model.n_iter_)})


def fit_hcc_score(splits: Mapping[str, pa.Table], *, model: str = _HCC_MODEL, days: int = _YEAR_DAYS) -> CostModel:
    """Predict cost by the risk score that CMS pays Medicare plans by, on a straight line through training patients.

    The score is that of the package `hccinfhir`, of age, sex and the ICD-10-CM diagnoses of a year. Who is below 65 is
    taken as entitled by disability, and nobody as dually eligible or institutionalised, which examples do not tell.

    Args:
        splits (`dict[str, pa.Table]`): Tables `train`, `validation` and `test` of a cohort of amounts.
        model (`str`, *optional*, defaults to `"CMS-HCC Model V28"`): Model of CMS, as `hccinfhir` names it.
        days (`int`, *optional*, defaults to `365`): Days before the index date whose diagnoses count.

    Raises:
        ClaimDataError: `E_COLUMN`, if an age or a sex is unknown, or no training example has a diagnosis in ICD-10-CM:
            a score of something else would stand under the name of CMS.
        ImportError: If `hccinfhir` is not installed; the message says how.
    """
    try:
        from hccinfhir import Demographics, HCCInFHIR
    except ImportError as error:
        raise ImportError("expected the package hccinfhir: pip install 'claim-transformers[hcc]'") from error
    calculator = HCCInFHIR(filter_claims=False, model_name=model)
    diagnoses_of = {split: _recent_diagnoses(table, days) for split, table in splits.items()}
    if not any(diagnoses_of["train"]):
        raise ClaimDataError("E_COLUMN", f"expected diagnoses in ICD-10-CM within {days} days, found none to score")

    def score(split: str) -> _Amounts:
        table = splits[split]
        ages, sexes = ages_in_years(table), table["sex"].to_pylist()
        if unknown := sum(not age >= 0 or sex not in ("F", "M") for age, sex in zip(ages, sexes, strict=True)):
            raise ClaimDataError(
                "E_COLUMN", f"expected the age and sex of everybody, found {show_count(unknown)} without in {split}"
            )
        found = np.empty(table.num_rows)
        # The package takes one person at a time.
        for row, diagnoses in enumerate(diagnoses_of[split]):
            age = int(ages[row])
            person = Demographics(
                age=age, sex=sexes[row], orec="1" if age < 65 else "0", crec="1" if age < 65 else "0"
            )
            found[row] = calculator.calculate_from_diagnosis(diagnoses, person).risk_score
        return found

    return _on_a_line("CMS-HCC score", {split: score(split) for split in splits}, splits)


def _recent_diagnoses(table: pa.Table, days: int) -> list[list[str]]:
    """The ICD-10-CM diagnoses of each example in the days before its index date, without the system."""
    lengths = pc.list_value_length(table["visit_day"]).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(table.num_rows), lengths)
    is_recent = table["index_day"].to_numpy()[owner] - pc.list_flatten(table["visit_day"]).to_numpy() <= days
    visits = pc.list_flatten(table["codes"])
    of_visit = np.repeat(np.arange(len(visits)), pc.list_value_length(visits).to_numpy(zero_copy_only=False))
    codes = pc.list_flatten(visits).cast(pa.string())
    kept = pc.starts_with(codes, _ICD10).to_numpy(zero_copy_only=False) & is_recent[of_visit]
    rows = owner[of_visit[kept]]
    words = pc.utf8_slice_codeunits(codes.filter(pa.array(kept)), len(_ICD10))
    ends = np.append(0, np.cumsum(np.bincount(rows, minlength=table.num_rows)))
    lists = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), words.combine_chunks())
    return [sorted(set(codes)) for codes in lists.to_pylist()]


def _on_a_line(name: str, values: Mapping[str, _Amounts], splits: Mapping[str, pa.Table]) -> CostModel:
    """Dollars as a straight line of one number, by least squares on the training split."""
    column, labels = values["train"], _labels(splits["train"])
    # Where all have one value, it tells nothing, and the mean is the line.
    slope, constant = np.polyfit(column, labels, 1) if np.ptp(column) else (0.0, labels.mean())
    scores = {split: np.maximum(slope * column + constant, 0.0) for split, column in values.items()}
    return CostModel(name, scores, {"slope": float(slope), "constant": float(constant)})


def _past_spending(table: pa.Table, amount: Literal["allowed", "paid"]) -> _Amounts:
    """Logarithms of what was spent in a quarter, a year and ever, and by claim type, and the year itself."""
    year = prior_amounts(table, amount=amount)
    parts = [prior_amounts(table, amount=amount, days=days) for days in (90, 100 * _YEAR_DAYS)]
    parts += [prior_amounts(table, amount=amount, types=[kind]) for kind in _TYPES]
    return np.column_stack(
        [year / _LARGE_DOLLARS, np.log1p(np.maximum(year, 0.0)), *(np.log1p(np.maximum(part, 0.0)) for part in parts)]
    )


def _labels(table: pa.Table) -> _Amounts:
    labels: _Amounts = table["label"].to_numpy().astype(np.float64)
    return labels


def _error(labels: _Amounts, scores: _Amounts, kind: str) -> float:
    """What penalties are chosen by: the squared error, or the deviance of a Tweedie distribution."""
    from sklearn.metrics import mean_tweedie_deviance

    if kind == "ridge":
        return float(((labels - scores) ** 2).mean())
    return float(mean_tweedie_deviance(labels, np.maximum(scores, 1e-6), power=_TWEEDIE_POWER))
