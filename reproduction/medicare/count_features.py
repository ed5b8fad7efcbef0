"""What an example of a readmission cohort tells a model that does not read sequences: blocks of columns.

The index stay is the last visit. What it says stands apart from what the visits before it say: the same diagnosis
means one thing as the reason of the stay and another as an old one. The clinical state before the admission is told by
counts, by windows and by the days since the last visit of each kind; the order of two kinds of visits is left to the
model, which may compare their days.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.features import ages_in_years, count_codes, select_codes
from claim_transformers.codes import CategoryRules, category_rules
from claim_transformers.cohorts.readmission.patient_codes import RACE
from reproduction.medicare.populations import example_patients

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FloatArray = NDArray[np.float64]

MIN_PATIENTS = 11
DROPPABLE = ("race", "sex")
SEXES = ("F", "M")
VISIT_TYPES = ("IP", "OP", "CAR", "DME", "HHA", "HOSP", "SNF", "RX")
RECENT_DAYS = 30
# Emergency care as the LACE index counts it, by codes that every cohort has, and evaluation and management in an
# office, with Medicare's wellness visits and care after a discharge (CPT and HCPCS level II).
EMERGENCY_CODES = tuple(f"HCPCS/{code}" for code in range(99281, 99286))
OFFICE_CODES = (
    *(f"HCPCS/{code}" for code in (*range(99201, 99206), *range(99211, 99216), 99495, 99496)),
    *(f"HCPCS/{code}" for code in ("G0402", "G0438", "G0439", "G0463")),
)


@dataclass(frozen=True)
class CountFeatures:
    """Which columns the examples of any cohort of the same layout become, as learned from training examples.

    Args:
        history_codes (`tuple[str, ...]`): Codes counted before the index stay.
        history_categories (`tuple[str, ...]`): Their categories.
        stay_codes (`tuple[str, ...]`): Codes that the index stay has or has not.
        stay_categories (`tuple[str, ...]`): Their categories.
        patient_codes (`tuple[str, ...]`): Tokens of the patient.
        rules (`CategoryRules`): From code to category.
        with_sex (`bool`): Whether sex is seen.
    """

    history_codes: tuple[str, ...]
    history_categories: tuple[str, ...]
    stay_codes: tuple[str, ...]
    stay_categories: tuple[str, ...]
    patient_codes: tuple[str, ...]
    rules: CategoryRules
    with_sex: bool

    @classmethod
    def fit(cls, train: pa.Table, *, drop: Collection[str] = (), most: int | None = None) -> "CountFeatures":
        """Choose the columns that at least `MIN_PATIENTS` training patients have.

        Args:
            train (`pa.Table`): Training examples.
            drop (`Collection[str]`, *optional*): `"race"` and `"sex"` leave these out.
            most (`int`, *optional*): Columns of each block at most, those that most patients have.

        Returns:
            [`CountFeatures`]: The columns.

        Raises:
            ValueError: If something else is to be dropped.
        """
        unknown = set(drop) - set(DROPPABLE)
        if unknown:
            raise ValueError(f"expected to drop out of {', '.join(DROPPABLE)}, found {', '.join(sorted(unknown))}")
        history, stay = split_index_stay(train)
        patients = example_patients(train)
        rules = category_rules()
        tokens = pa.chunked_array([_one_list_each(train["patient_codes"])])

        def frequent(codes: pa.ChunkedArray, rules: CategoryRules | None = None) -> list[str]:
            return _frequent(codes, patients, rules, most)

        hidden = tuple(f"{RACE}/" for name in drop if name == "race")
        # A group that is its own category, such as a DRG, has its column among the codes.
        return cls(
            history_codes=tuple(codes := frequent(history)),
            history_categories=tuple(name for name in frequent(history, rules) if name not in codes),
            stay_codes=tuple(codes := frequent(stay)),
            stay_categories=tuple(name for name in frequent(stay, rules) if name not in codes),
            patient_codes=tuple(token for token in frequent(tokens) if not token.startswith(hidden)),
            rules=rules,
            with_sex="sex" not in drop,
        )

    @property
    def names(self) -> list[str]:
        """Names of the columns of [`counts`]."""
        named = [f"history {name}" for name in (*self.history_codes, *self.history_categories)]
        named += [f"stay {name}" for name in (*self.stay_codes, *self.stay_categories)]
        return [*named, *self.patient_codes, *(f"sex {sex}" for sex in SEXES if self.with_sex)]

    def counts(self, examples: pa.Table) -> "csr_matrix":
        """Count what is named; what has no column is left out.

        Args:
            examples (`pa.Table`): Examples of a cohort.

        Returns:
            `csr_matrix` of shape `(examples, names)`: `log(1 + visits)` of the history, 0 or 1 elsewhere.

        Raises:
            ValueError: As [`split_index_stay`].
        """
        from scipy.sparse import csr_matrix, hstack

        history, stay = split_index_stay(examples)
        tokens = pa.chunked_array([_one_list_each(examples["patient_codes"])])
        present = [
            count_codes(pa.table({"codes": stay}), self.stay_codes).matrix,
            count_codes(pa.table({"codes": stay}), self.stay_categories, rules=self.rules).matrix,
            count_codes(pa.table({"codes": tokens}), self.patient_codes).matrix,
        ]
        for matrix in present:
            matrix.data[:] = 1.0
        if self.with_sex:
            sex = [pc.fill_null(pc.equal(examples["sex"], sex), False).to_numpy() for sex in SEXES]
            present.append(csr_matrix(np.column_stack(sex).astype(np.float64)))
        counted = [
            count_codes(pa.table({"codes": history}), self.history_codes).matrix,
            count_codes(pa.table({"codes": history}), self.history_categories, rules=self.rules).matrix,
        ]
        return hstack([*counted, *present], format="csr")


def split_index_stay(examples: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Separate the codes of the index stay, the last visit, from those before it.

    Args:
        examples (`pa.Table`): Examples with `visit_type` and `codes`.

    Returns:
        `tuple[pa.ChunkedArray, pa.ChunkedArray]`: Lists of the visits before, and lists of the one visit.

    Raises:
        ValueError: If the last visit of an example is no inpatient visit.

    Examples:
        >>> columns = {"visit_type": [["CAR", "IP"]], "codes": [[["HCPCS/99213"], ["DRG/291"]]]}
        >>> history, stay = split_index_stay(pa.table(columns))
        >>> history.to_pylist(), stay.to_pylist()
        ([[['HCPCS/99213']]], [[['DRG/291']]])
    """
    last = _last_visits(examples)
    visits = examples["codes"].combine_chunks()
    codes, lengths = visits.flatten(), pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    before = np.ones(len(codes), bool)
    before[last] = False
    history = _lists(lengths - 1, codes.filter(pa.array(before)))
    stay = _lists(np.ones(len(last), np.int64), codes.take(pa.array(last)))
    return pa.chunked_array([history]), pa.chunked_array([stay])


def read_numbers(examples: pa.Table) -> tuple[FloatArray, list[str]]:
    """Read what examples say in numbers: age, stay, money, visits of each type and how long ago the last ones were.

    Days count back from the admission. Visits on it or later belong to the stay and are counted apart.
    """
    rows = examples.num_rows
    last = _last_visits(examples)
    visits = pc.list_value_length(examples["visit_day"]).to_numpy().astype(np.int64)
    owner = np.repeat(np.arange(rows), visits)
    day = pc.list_flatten(examples["visit_day"]).to_numpy().astype(np.int64)
    days_back = np.repeat(examples["admission_day"].to_numpy().astype(np.int64), visits) - day
    is_before, is_inside = days_back > 0, days_back <= 0
    is_inside[last] = False

    def count(chosen: NDArray[np.bool_]) -> FloatArray:
        return np.bincount(owner[chosen], minlength=rows).astype(np.float64)

    def days_since(chosen: NDArray[np.bool_]) -> FloatArray:
        days = np.full(rows, np.inf)
        np.minimum.at(days, owner[chosen], days_back[chosen])
        return np.where(np.isinf(days), np.nan, days)

    kinds = pc.list_flatten(examples["visit_type"])
    groups = {kind: pc.fill_null(pc.equal(kinds, kind), False).to_numpy() for kind in VISIT_TYPES}
    groups |= {"emergency": _with_code(examples, EMERGENCY_CODES), "office": _with_code(examples, OFFICE_CODES)}
    columns = {
        "age years": ages_in_years(examples),
        "length of stay days": _to_float(examples["length_of_stay_days"]),
        "codes of the stay": _to_float(pc.list_value_length(pc.list_flatten(examples["codes"])))[last],
        **_amounts(examples, owner, is_before),
    }
    for group, is_of in groups.items():
        columns[f"{group} visits before"] = count(is_of & is_before)
        columns[f"{group} visits in {RECENT_DAYS} days"] = count(is_of & is_before & (days_back <= RECENT_DAYS))
        columns[f"{group} visits inside"] = count(is_of & is_inside)
        columns[f"days since {group}"] = days_since(is_of & is_before)
    return np.column_stack(list(columns.values())), list(columns)


def _amounts(examples: pa.Table, owner: NDArray[np.int64], is_before: NDArray[np.bool_]) -> dict[str, FloatArray]:
    """What was paid for the visits before the admission, where any amount is known."""
    rows = examples.num_rows
    if "visit_amount" not in examples.column_names:
        return {"paid before": np.full(rows, np.nan)}
    amount = _to_float(pc.list_flatten(examples["visit_amount"]))
    known = is_before & ~np.isnan(amount)
    paid = np.bincount(owner[known], weights=amount[known], minlength=rows)
    return {"paid before": np.where(np.bincount(owner[known], minlength=rows) > 0, paid, np.nan)}


def _with_code(examples: pa.Table, wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Which visits carry one of some codes."""
    codes = pc.list_flatten(examples["codes"])
    lengths = pc.list_value_length(codes).to_numpy().astype(np.int64)
    found = pc.is_in(pc.list_flatten(codes), value_set=pa.array(wanted)).to_numpy()
    visit = np.repeat(np.arange(len(lengths)), lengths)
    chosen: NDArray[np.bool_] = np.bincount(visit[found], minlength=len(lengths)) > 0
    return chosen


def _last_visits(examples: pa.Table) -> NDArray[np.int64]:
    """Position of the index stay of each example among all visits."""
    lengths = pc.list_value_length(examples["visit_type"]).to_numpy().astype(np.int64)
    last: NDArray[np.int64] = np.cumsum(lengths) - 1
    is_inpatient = pc.fill_null(pc.equal(pc.list_flatten(examples["visit_type"]), "IP"), False).to_numpy()
    wrong = len(lengths) if not len(is_inpatient) else int((~is_inpatient[last] | (lengths == 0)).sum())
    if wrong:
        raise ValueError(f"expected the index stay as the last visit, missing in {wrong} of {len(lengths)} examples")
    return last


def _frequent(
    codes: pa.ChunkedArray, patients: NDArray[np.int64], rules: CategoryRules | None, most: int | None
) -> list[str]:
    """Codes of enough patients; all examples of a patient count once. A block without codes has no columns."""
    if not len(pc.list_flatten(pc.list_flatten(codes))):
        return []
    order = np.argsort(patients, kind="stable")
    visits = codes.combine_chunks().take(pa.array(order))
    lengths = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    per_patient = np.bincount(patients[order], weights=lengths).astype(np.int64)
    merged = pa.table({"codes": pa.chunked_array([_lists(per_patient, visits.flatten())])})
    return select_codes(merged, min_patients=MIN_PATIENTS, rules=rules, most=most)


def _lists(lengths: NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _one_list_each(column: pa.ChunkedArray) -> pa.ListArray:
    """Tokens of each patient as the codes of a single visit."""
    return _lists(np.ones(len(column), np.int64), column.combine_chunks())


def _to_float(column: pa.ChunkedArray) -> FloatArray:
    values: FloatArray = column.cast(pa.float64()).to_numpy()
    return values
