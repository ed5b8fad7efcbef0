"""Counts of categories by how long ago they were, inpatient visits apart: what trees can read off claims.

`features` counts over the whole record, as the baselines of the paper do. Here the same category counts once for each
look-back window, so that a model sees whether something is recent, growing or over.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.rivals.features import CodeCounts, categories_of_tokens
from claim_transformers.codes import CategoryRules

# Days before the index date; `None` is the whole record.
WINDOWS_DAYS = (30, 90, 180, 365, None)
INPATIENT = "IP"


def count_in_windows(
    examples: pa.Table,
    *,
    rules: CategoryRules,
    windows_days: Sequence[int | None] = WINDOWS_DAYS,
    names: Sequence[str] | None = None,
) -> CodeCounts:
    """Count the visits that carry each category within each window before the index date, on a log scale.

    Several codes of one category in one visit count once. A code without a category is left out.

    Args:
        examples (`pa.Table`): Examples with `index_day`, `visit_day`, `visit_type` and `codes`.
        rules (`CategoryRules`): From code to category.
        windows_days (`list[int]`, *optional*): Lengths of the windows; `None` for the whole record.
        names (`list[str]`, *optional*): Columns of the result, such as those of the training examples; without it all
            that occur, sorted.

    Returns:
        [`CodeCounts`]: Sparse counts. A name is the category, `" inpatient"` for inpatient visits, and the window.

    Raises:
        ValueError: If a window is shorter than a day or there twice, or a visit is not before its index date.

    Examples:
        >>> rules = CategoryRules({"ICD9CM/493": "CCS/128"})
        >>> columns = {"index_day": [100], "visit_day": [[20, 95]], "visit_type": [["IP", "OP"]]}
        >>> examples = pa.table(columns | {"codes": [[["ICD9CM/4930", "ICD9CM/4931"], ["ICD9CM/4930"]]]})
        >>> counts = count_in_windows(examples, rules=rules, windows_days=[30, None])
        >>> counts.names
        ['CCS/128 ever', 'CCS/128 in 30 days', 'CCS/128 inpatient ever']
        >>> np.expm1(counts.matrix.toarray()).round(6).tolist()
        [[1.0, 1.0, 1.0]]
        >>> count_in_windows(examples, rules=rules, windows_days=[0])
        Traceback (most recent call last):
            ...
        ValueError: expected different windows of at least a day, found [0]
    """
    from scipy.sparse import csr_matrix

    lengths = [np.inf if days is None else days for days in windows_days]
    if not lengths or min(lengths) < 1 or len(set(lengths)) != len(lengths):
        raise ValueError(f"expected different windows of at least a day, found {list(windows_days)}")
    owner, days_back, kind, kinds = _visits_with_category(examples, rules)
    found = [f"{name} {_shown(days)}" for days in windows_days for name in kinds]
    # Column `w * kinds + k` of the occurrences is window `w` of kind `k`; one that lies in several counts in each.
    inside = [np.flatnonzero(days_back <= days) for days in lengths]
    rows = np.concatenate([owner[chosen] for chosen in inside])
    columns = np.concatenate([kind[chosen] + window * len(kinds) for window, chosen in enumerate(inside)])
    if names is None:
        occurring = np.unique(columns)
        names = sorted(found[column] for column in occurring)
    place = pc.index_in(pa.array(found, pa.string()), value_set=pa.array(list(names), pa.string()))
    place_of = pc.fill_null(place, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    columns = place_of[columns] if len(columns) else columns
    kept = columns >= 0
    shape = (examples.num_rows, len(names))
    counts = csr_matrix((np.ones(int(kept.sum()), np.float32), (rows[kept], columns[kept])), shape=shape)
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    return CodeCounts(counts, list(names))


def _visits_with_category(
    examples: pa.Table, rules: CategoryRules
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Of every pair of visit and category: patient, days before the index date, and which kind; names of the kinds."""
    visits = pc.list_value_length(examples["codes"]).to_numpy(zero_copy_only=False).astype(np.int64)
    owner = np.repeat(np.arange(examples.num_rows), visits)
    visit_day = pc.list_flatten(examples["visit_day"]).to_numpy(zero_copy_only=False).astype(np.int64)
    days_back = np.repeat(examples["index_day"].to_numpy().astype(np.int64), visits) - visit_day
    if len(days_back) and days_back.min() < 1:
        late = int(np.count_nonzero(days_back < 1))
        raise ValueError(f"expected visits before the index date, found {late} of {len(days_back)} at or after it")
    is_inpatient = pc.fill_null(pc.equal(pc.list_flatten(examples["visit_type"]), INPATIENT), False)
    inpatient = is_inpatient.to_numpy(zero_copy_only=False).astype(np.int64)

    codes = pc.list_flatten(examples["codes"])
    visit = np.repeat(np.arange(len(owner)), pc.list_value_length(codes).to_numpy(zero_copy_only=False))
    encoded = pc.dictionary_encode(pc.list_flatten(codes))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    rolled = pc.dictionary_encode(categories_of_tokens(encoded.dictionary.to_pylist(), rules))
    category_of_code = pc.fill_null(rolled.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    category = category_of_code[encoded.indices.to_numpy(zero_copy_only=False)] if len(encoded) else visit
    categories = rolled.dictionary.to_pylist()
    kinds = [f"{name}{suffix}" for name in categories for suffix in ("", " inpatient")]

    known = category >= 0
    keys = np.unique(visit[known] * max(len(categories), 1) + category[known])
    visit, category = np.divmod(keys, max(len(categories), 1))
    return owner[visit], days_back[visit], 2 * category + inpatient[visit], kinds


def _shown(days: int | None) -> str:
    return "ever" if days is None else f"in {days} days"
