"""Features of cold-start models: counts of codes and categories per patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.ages import whole_years
from claim_transformers.codes import CategoryRules
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.training.labels import LABEL_COLUMN, label_name
from claim_transformers.training.token_columns import scalar_column

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_UTILISATION_TYPES = ("IP", "OP", "RX", "CAR")


@dataclass(frozen=True)
class CodeCounts:
    """How many visits of each patient carry each code."""

    matrix: "csr_matrix"  # `log(1 + visits)`, shape `(patients, codes)`.
    names: list[str]  # Code or category of each column.


def select_codes(
    examples: pa.Table, *, min_patients: int = 11, rules: CategoryRules | None = None, most: int | None = None
) -> list[str]:
    """The codes, or with `rules` the categories, that enough patients of the training split have."""
    patient, index, names = _occurrences(examples, rules)
    # One number for patient and name, so that a patient counts once however often the name stands in the record.
    pairs = np.unique(patient * len(names) + index)
    held_by = np.bincount(pairs % max(len(names), 1), minlength=len(names))
    # The most common first, and by name among equals, so that the choice depends on no order of rows.
    common = sorted(np.flatnonzero(held_by >= min_patients), key=lambda i: (-held_by[i], names[i]))
    kept = sorted(names[i] for i in common[:most])
    if not kept:
        most = int(held_by.max()) if len(held_by) else 0
        raise ValueError(f"expected a code held by at least {min_patients} patients, the most common one has {most}")
    return kept


def count_codes(examples: pa.Table, names: Sequence[str], *, rules: CategoryRules | None = None) -> CodeCounts:
    """Counts the visits that carry each of the named codes, on a log scale."""
    from scipy.sparse import csr_matrix

    patient, index, found = _occurrences(examples, rules)
    column = pc.index_in(pa.array(found, pa.string()), value_set=pa.array(list(names), pa.string()))
    column_of = pc.fill_null(column, -1).to_numpy(zero_copy_only=False)
    columns = column_of[index] if len(index) else np.zeros(0, np.int64)
    kept = columns >= 0
    shape = (examples.num_rows, len(names))
    counts = csr_matrix((np.ones(int(kept.sum())), (patient[kept], columns[kept])), shape=shape)
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    return CodeCounts(counts, list(names))


def categories_of_tokens(tokens: Sequence[str], rules: CategoryRules) -> pa.Array:
    """The category of each token; what is no code, such as `CCS/128` or `LOS/1` of written sequences, is its own."""
    return pa.array([rules.category_of_token(token) for token in tokens], pa.string())


def ages_in_years(examples: pa.Table) -> NDArray[np.float64]:
    """Ages at the index date in full calendar years, NaN where unknown."""
    if missing := [name for name in ("birth_day", "index_day") if name not in examples.column_names]:
        found = " and ".join(missing)
        raise ClaimDataError("E_COLUMN", f"expected examples of a cohort, found no {found}: run `cohort`")
    born, index_day = (pc.fill_null(examples[name], 0).to_numpy() for name in ("birth_day", "index_day"))
    is_known = pc.and_(pc.is_valid(examples["birth_day"]), pc.is_valid(examples["index_day"])).to_numpy()
    years: NDArray[np.float64] = np.where(is_known, whole_years(born, index_day), np.nan)
    return years


def demographics(examples: pa.Table) -> tuple[NDArray[np.float64], list[str]]:
    """Age at the index date, sex, and how often each kind of care was used."""
    age_years = ages_in_years(examples)
    columns = [np.nan_to_num(age_years) / 20.0, np.isnan(age_years)]
    columns += [pc.fill_null(pc.equal(examples["sex"], sex), False).to_numpy() for sex in ("F", "M")]
    names = ["age_years / 20", "age unknown", "female", "male"]
    lengths = pc.list_value_length(examples["visit_type"]).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(examples.num_rows), lengths)
    kinds = pc.list_flatten(examples["visit_type"])
    days_back = (
        np.repeat(examples["index_day"].to_numpy(), lengths) - pc.list_flatten(examples["visit_day"]).to_numpy()
    )
    for kind in _UTILISATION_TYPES:
        of_kind = pc.equal(kinds, kind).to_numpy(zero_copy_only=False)
        for days in (90, 365, None):
            chosen = of_kind if days is None else of_kind & (days_back <= days)
            columns.append(np.log1p(np.bincount(owner[chosen], minlength=examples.num_rows)))
            names.append(f"{kind} visits" + ("" if days is None else f" in {days} days"))
    return np.column_stack([np.asarray(column, np.float64) for column in columns]), names


def read_labels(examples: pa.Table) -> NDArray[np.int64]:
    """Read the labels of a cohort: one per example, or one list of 0 and 1 per example."""
    column = examples[label_name(examples.column_names) or LABEL_COLUMN]
    if pa.types.is_fixed_size_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    values = scalar_column(pa.table({LABEL_COLUMN: column}), LABEL_COLUMN) if examples.num_rows else np.zeros(0)
    if not np.isin(values, (0, 1)).all():
        raise ValueError("expected labels 0 or 1, found others")
    return values.astype(np.int64)


def _occurrences(
    examples: pa.Table, rules: CategoryRules | None
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Patient and name index of every code occurrence; a name counts once a visit."""
    visits = examples["codes"].combine_chunks()
    visits_per_patient = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    codes = pc.list_flatten(visits)
    codes_per_visit = pc.list_value_length(codes).to_numpy(zero_copy_only=False)
    # Of patients to visits, then of visits to codes.
    owner = np.repeat(np.repeat(np.arange(examples.num_rows), visits_per_patient), codes_per_visit)
    encoded = pc.dictionary_encode(pc.list_flatten(codes))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    index = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    names = encoded.dictionary.to_pylist()
    if rules is None:
        return owner, index, names
    rolled = pc.dictionary_encode(categories_of_tokens(names, rules))
    category = pc.fill_null(rolled.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    visit = np.repeat(np.arange(len(codes_per_visit)), codes_per_visit)
    return _once_a_visit(owner, visit, category[index], rolled.dictionary.to_pylist())


def _once_a_visit(
    owner: NDArray[np.int64], visit: NDArray[np.int64], index: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    # Several codes of a visit roll up to one category; one number for visit and name finds the repeats.
    known = index >= 0
    keys = np.sort(visit[known] * max(len(names), 1) + index[known])
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys
    owner_of_visit = np.zeros(int(visit.max()) + 1 if len(visit) else 0, np.int64)
    owner_of_visit[visit] = owner
    return owner_of_visit[keys // max(len(names), 1)], keys % max(len(names), 1), names
