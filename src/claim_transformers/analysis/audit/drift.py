"""Drift: has the population moved since the model learned, and does it still rank as well? One row per period.

Three looks at the inputs, none of which needs an outcome: the population stability index of each field, the share of
codes that the reference did not have (both in `stability`), and a classifier that tries to tell the period from the
reference ("domain classifier": 0.5 where nothing moved; Rabanser, Günnemann and Lipton, 2019, section 3.3).

One look at the performance, before outcomes are known: the AUROC that calibrated probabilities let expect
(confidence-based performance estimation, Białek et al., 2024, arXiv:2401.08348). It follows a change of the mix of
patients, and is blind to patients whose risk itself changed; where labels are there, the true AUROC stands beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from claim_transformers.analysis.audit.auroc_parts import estimated_auroc
from claim_transformers.analysis.audit.patient_draws import REPLICATES, draw
from claim_transformers.analysis.audit.stability import (
    MARKED,
    SLIGHT,
    STABLE,
    FieldStability,
    UnseenCodes,
    field_stability,
    unseen_codes,
)
from claim_transformers.analysis.audit.subgroup_verdicts import holm
from claim_transformers.analysis.audit.subgroups import LEVEL
from claim_transformers.claims.small_cells import is_small, show_count
from claim_transformers.training import MetricInterval, auroc
from claim_transformers.training.metrics import FloatArray

# A domain classifier above this tells the periods apart well enough to ask why.
_MARKED_DOMAIN_AUROC = 0.6
_FOLDS = 5
_REACH = 1.96  # Standard errors on either side of a normal 95 % interval.
# Trees split at most this many categories; the rarest share one.
_MOST_CATEGORIES = 200


@dataclass(frozen=True)
class DriftSample:
    """What is known of the rows of one period.

    Args:
        fields (`dict[str, array of shape (N,)]`): Inputs: numbers, NaN where missing, or categories, `None` where
            missing. No date and no identifier: they would tell the period.
        patients (array of shape `(N,)`, *optional*): Patient of each row; each row is a patient without it.
        probabilities (array of shape `(N,)`, *optional*): Calibrated probabilities by the model.
        labels (array of shape `(N,)`, *optional*): Outcomes, once they are known.
        codes (`pa.Table`, *optional*): Rows with `codes` (`list<list<string>>`), for the share of unseen codes.
    """

    fields: Mapping[str, npt.ArrayLike]
    patients: npt.ArrayLike | None = None
    probabilities: npt.ArrayLike | None = None
    labels: npt.ArrayLike | None = None
    codes: pa.Table | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(np.asarray(next(iter(self.fields.values()))))


@dataclass(frozen=True)
class PeriodDrift:
    """One period against the reference."""

    period: str  # Such as `"2010"` or `"2010-03"`.
    rows: int
    fields: list[FieldStability]
    unseen: UnseenCodes | None  # Codes that the reference did not have.
    domain_auroc: MetricInterval  # Of the classifier that tells the period from the reference.
    domain_p: float  # Of a domain AUROC of 0.5, corrected over the periods (Holm).
    estimated: MetricInterval | None = None  # AUROC as the probabilities let expect.
    true: MetricInterval | None = None  # AUROC, where labels are known and neither outcome has 1 to 10 rows.
    change: MetricInterval | None = None  # Estimated AUROC minus that of the reference.
    change_p: float | None = None  # Of no change, corrected over the periods (Holm).

    @property
    def worst_field(self) -> FieldStability:
        """The field with the largest index."""
        return max(self.fields, key=lambda found: found.index)

    @property
    def verdict(self) -> str:
        """`"marked"`, `"slight"` or `"stable"`: the strongest of the fields and of the domain classifier."""
        found = {field.verdict for field in self.fields}
        if self.domain_p <= LEVEL:
            is_far = self.domain_auroc.value is not None and self.domain_auroc.value >= _MARKED_DOMAIN_AUROC
            found.add(MARKED if is_far else SLIGHT)
        return next(level for level in (MARKED, SLIGHT, STABLE) if level in found)

    @property
    def performance(self) -> str:
        """What the estimated AUROC says: `"as in the reference"`, `"expected lower"` or `"expected higher"`."""
        if self.change is None or self.change.value is None or self.change_p is None:
            return "not estimated"
        if self.change_p > LEVEL:
            return "as in the reference"
        return "expected lower" if self.change.value < 0 else "expected higher"


def measure_drift(
    reference: DriftSample,
    periods: Mapping[str, DriftSample],
    *,
    model: Literal["trees", "linear"] = "trees",
    tokenizer: Any = None,
    bins: int = 10,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[PeriodDrift]:
    """Hold every period against the reference.

    Args:
        reference ([`DriftSample`]): Rows like those that the model learned from, but not the same: its validation
            split, say, because a model is too sure of its training rows.
        periods (`dict[str, DriftSample]`): Later rows by month or year, in order.
        model (`str`, *optional*, defaults to `"trees"`): Domain classifier, see [`_domain_auroc`].
        tokenizer (`ClaimTokenizer`, *optional*): Also measure how many codes it backs off.
        bins (`int`, *optional*, defaults to `10`): Quantile bins of a number.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.
        seed (`int`, *optional*, defaults to `0`): Seed of draws, folds and trees.

    Returns:
        `list[PeriodDrift]`: In the order of the periods; `drift_tables` shows them.

    Raises:
        ValueError: If there is no period, a period lacks a field or has numbers where the reference has categories,
            or lengths differ.
    """
    if not periods:
        raise ValueError("expected at least one period, found none")
    for name, sample in {"the reference": reference, **periods}.items():
        _refuse_misfits(name, sample, reference)
    base = _estimate(reference, replicates, seed) if reference.probabilities is not None else None
    measured = []
    for number, (name, sample) in enumerate(periods.items()):
        domain, error = _domain_auroc(reference, sample, model=model, replicates=replicates, seed=seed)
        estimated = _estimate(sample, replicates, seed + 1 + number) if sample.probabilities is not None else None
        change = _difference(estimated, base) if estimated and base else None
        fields = field_stability(
            reference.fields,
            sample.fields,
            reference.patients,
            sample.patients,
            bins=bins,
            level=LEVEL / len(periods),
            seed=seed,
        )
        unseen = None
        if reference.codes is not None and sample.codes is not None:
            unseen = unseen_codes(reference.codes, sample.codes, tokenizer=tokenizer)
        true = _true_auroc(sample, replicates, seed + 1 + number)
        # Trees that find nothing rank at random, below as often as above: only above counts.
        # A classifier without a mistake has no spread over draws, and leaves no doubt.
        above = (domain.value or 0.5) - 0.5
        domain_p = _upper_tail(above / error) if error else float(above <= 0)
        measured.append((name, sample.rows, fields, unseen, domain, domain_p, estimated, true, change))
    domain_ps = holm([found[5] for found in measured])
    changed = [found[8] for found in measured]
    change_ps = iter(holm([change[1] for change in changed if change is not None]))
    return [
        PeriodDrift(
            *(name, rows, fields, unseen, domain, float(domain_ps[number])),
            estimated=estimated[0] if estimated else None,
            true=true,
            change=change[0] if change else None,
            change_p=float(next(change_ps)) if change else None,
        )
        for number, (name, rows, fields, unseen, domain, _, estimated, true, change) in enumerate(measured)
    ]


def _domain_auroc(
    reference: DriftSample,
    current: DriftSample,
    *,
    model: Literal["trees", "linear"] = "trees",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[MetricInterval, float]:
    """Measure how well a classifier tells a period from the reference, cross-validated by patient."""
    for name, sample in (("the reference", reference), ("the period", current)):
        _refuse_misfits(name, sample, reference)
    inputs, is_category = _inputs(reference.fields, current.fields)
    is_current = np.r_[np.zeros(reference.rows), np.ones(current.rows)].astype(np.int64)
    patients = _joint_patients(reference, current)
    for name, chosen in (("reference", is_current == 0), ("period", is_current == 1)):
        count = len(np.unique(patients[chosen]))
        if count < _FOLDS:
            raise ValueError(f"expected at least {_FOLDS} patients in the {name}, found {show_count(count)}")
    # A patient with rows in both periods is in one fold, so that knowing the patient is no help.
    folds, scores = _out_of_fold(inputs, is_category, is_current, patients, model, seed)

    # Scores of different folds do not compare, so each fold has an area of its own.
    def mean_area(weights: FloatArray) -> FloatArray:
        areas = [
            np.asarray(auroc(is_current[inside], scores[inside], weights[:, inside]))
            for inside in (folds == fold for fold in range(_FOLDS))
        ]
        mean: FloatArray = np.stack(areas).mean(axis=0)
        return mean[:, None]

    found = draw(mean_area, len(is_current), patients, replicates=replicates, seed=seed)
    # What chance gives one fold to learn it gives the others to confirm and the other way round: every pair of folds
    # counts twice, hence the square root of two.
    value, error = float(found.value[0]), float(np.sqrt(2.0) * found.standard_errors()[0])
    low, high = np.clip([value - _REACH * error, value + _REACH * error], 0.0, 1.0).tolist()
    return MetricInterval(value, low, high, found.patients, replicates), error


def _out_of_fold(
    inputs: FloatArray,
    is_category: npt.NDArray[np.bool_],
    labels: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
    model: str,
    seed: int,
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Fold of each row, and its score by a classifier that learned from the other folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds, scores = np.zeros(len(labels), np.int64), np.zeros(len(labels))
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    for fold, (learn, held_out) in enumerate(splitter.split(inputs, labels, patients)):
        classifier = _classifier(model, is_category, seed).fit(inputs[learn], labels[learn])
        folds[held_out] = fold
        scores[held_out] = classifier.predict_proba(inputs[held_out])[:, 1]
    return folds, scores


def _classifier(model: str, is_category: npt.NDArray[np.bool_], seed: int) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if model == "trees":
        return HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=40, categorical_features=is_category, random_state=seed
        )
    if model != "linear":
        raise ValueError(f"expected a domain classifier 'trees' or 'linear', found {model!r}")
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ~is_category),
        (OneHotEncoder(handle_unknown="ignore"), is_category),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def _refuse_misfits(name: str, sample: DriftSample, reference: DriftSample) -> None:
    """Stop at a table whose columns do not fit each other, or not those of the reference."""
    if not sample.fields:
        raise ValueError(f"expected at least one field in {name}, found none")
    missing = sorted(set(reference.fields) - set(sample.fields))
    if missing:
        raise ValueError(f"expected the fields of the reference in {name}, found none named {', '.join(missing)}")
    # The codes may be those of more rows.
    of_rows = {"patients": sample.patients, "probabilities": sample.probabilities, "labels": sample.labels}
    for column, values in {**sample.fields, **of_rows}.items():
        if values is not None and np.shape(values) != (sample.rows,):
            raise ValueError(
                f"expected {sample.rows} rows in every column of {name}, found the shape {np.shape(values)} of "
                f"{column!r}"
            )
    for field, values in reference.fields.items():
        numbers, found = (np.asarray(column).dtype.kind in "iufb" for column in (values, sample.fields[field]))
        if numbers != found:
            kinds = ["categories", "numbers"]
            raise ValueError(f"expected {kinds[numbers]} in {field!r} of {name}, found {kinds[found]}")


def _inputs(
    reference: Mapping[str, npt.ArrayLike], current: Mapping[str, npt.ArrayLike]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Fields of both periods as one matrix, categories as numbers, and which columns are categories."""
    import pyarrow.compute as pc

    columns, is_category = [], []
    for name, values in reference.items():
        both = np.concatenate([np.asarray(values), np.asarray(current[name])])
        is_category.append(both.dtype.kind not in "iufb")
        if not is_category[-1]:
            columns.append(both.astype(np.float64))
            continue
        encoded = pa.array(both.tolist(), pa.string()).dictionary_encode()
        codes = pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        counts = np.bincount(codes)
        place = np.empty(len(counts), np.int64)
        place[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        columns.append(np.minimum(place[codes], _MOST_CATEGORIES).astype(np.float64))
    return np.stack(columns, axis=1), np.array(is_category)


def _joint_patients(reference: DriftSample, current: DriftSample) -> npt.NDArray[np.int64]:
    """Patients of both periods, numbered together where both name them and apart where one does not."""
    if reference.patients is not None and current.patients is not None:
        both = np.concatenate([np.asarray(reference.patients), np.asarray(current.patients)])
        return np.unique(both, return_inverse=True)[1]
    numbers: list[npt.NDArray[np.int64]] = []
    for sample in (reference, current):
        patients = np.arange(sample.rows) if sample.patients is None else np.asarray(sample.patients)
        found = np.unique(patients, return_inverse=True)[1]
        numbers.append(found + (numbers[0].max() + 1 if numbers else 0))
    return np.concatenate(numbers)


def _estimate(sample: DriftSample, replicates: int, seed: int) -> tuple[MetricInterval, float]:
    """Estimated AUROC with its interval and standard error."""
    probabilities = np.asarray(sample.probabilities, np.float64)
    found = draw(
        lambda weights: np.asarray(estimated_auroc(probabilities, weights))[:, None],
        sample.rows,
        sample.patients,
        replicates=replicates,
        seed=seed,
    )
    return found.interval(0), float(found.standard_errors()[0])


def _difference(
    one: tuple[MetricInterval, float], other: tuple[MetricInterval, float]
) -> tuple[MetricInterval, float] | None:
    """Difference of two independent estimates with its normal interval, and the p-value of none."""
    if one[0].value is None or other[0].value is None:
        return None
    value, error = one[0].value - other[0].value, float(np.hypot(one[1], other[1]))
    reach = _REACH * error
    clusters, replicates = one[0].clusters + other[0].clusters, min(one[0].replicates, other[0].replicates)
    return MetricInterval(value, value - reach, value + reach, clusters, replicates), 2 * _upper_tail(
        abs(value) / error
    )


def _true_auroc(sample: DriftSample, replicates: int, seed: int) -> MetricInterval | None:
    from claim_transformers.training import clustered_interval

    if sample.labels is None or sample.probabilities is None:
        return None
    positives = int(np.asarray(sample.labels).sum())
    if is_small(min(positives, sample.rows - positives)):
        return None
    return clustered_interval(
        auroc, sample.labels, sample.probabilities, sample.patients, replicates=replicates, seed=seed
    )


def _upper_tail(distance: float) -> float:
    from scipy.stats import norm

    return float(norm.sf(distance))
