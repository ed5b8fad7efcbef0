"""Changing the codes of every visit of a patients table at once: rolling them up, and adding numbers as tokens.

These work on the list columns of any table in the layout of the patients table, cohorts included, without a loop over
patients or visits. Rolled-up codes of a visit are sorted and distinct; numbers follow the codes.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.codes.roll_up import RollUp

PAID, STAY_LENGTH = "PAID", "LOS"

Positions = NDArray[np.int64]


def roll_up_visits(patients: pa.Table, roll_up: RollUp) -> pa.Table:
    """Put the groups of codes in the place of codes, each once per visit.

    Args:
        patients (`pa.Table`): Rows with `codes` (`list<list<string>>`), other columns as they are.
        roll_up ([`RollUp`]): How far.

    Returns:
        `pa.Table`: The table with rolled-up `codes`.

    Examples:
        >>> table = pa.table({"codes": [[["ICD9CM/49390", "ICD9CM/49392"], ["HCPCS/99213"]]]})
        >>> roll_up_visits(table, RollUp("chapter"))["codes"].to_pylist()
        [[['ICD9CHAPTER/8'], ['HCPCSSECTION/EVALUATION']]]
    """
    visit_counts, code_counts, codes = _flatten(patients["codes"])
    owner = np.repeat(np.arange(len(code_counts)), code_counts)
    return _with_codes(patients, visit_counts, owner, roll_up.codes(codes), len(code_counts))


def visit_amounts(patients: pa.Table) -> NDArray[np.float64]:
    """The paid amount of every visit, flat.

    Args:
        patients (`pa.Table`): Rows with `visit_amount` (`list<float>`).

    Returns:
        `NDArray[float]` of shape `(visits,)`: US dollars, NaN where unknown.

    Raises:
        KeyError: If the table has no such column.

    Examples:
        >>> visit_amounts(pa.table({"visit_amount": pa.array([[12.5, None]], pa.list_(pa.float32()))}))
        array([12.5,  nan])
    """
    flat = _one_array(patients["visit_amount"]).flatten().cast(pa.float64())
    amounts: NDArray[np.float64] = pc.fill_null(flat, np.nan).to_numpy(zero_copy_only=False)
    return amounts


def add_number_codes(patients: pa.Table, bins: NumberBins) -> pa.Table:
    """Add the numbers that bins were fitted for to the codes of their visits.

    `PAID/k`, from `visit_amount`, stands on each visit whose amount is known; `LOS/k`, from `length_of_stay_days`, on
    the last visit, which is the index stay of a readmission cohort.

    Args:
        patients (`pa.Table`): Rows with `codes`, and `visit_amount` and `length_of_stay_days` where the bins have
            `PAID` and `LOS`.
        bins ([`NumberBins`]): Fitted on training rows.

    Returns:
        `pa.Table`: The table with more `codes`.

    Raises:
        KeyError: If a column is missing.

    Examples:
        >>> table = pa.table({"codes": [[["A/1"], ["B/2"]]], "visit_amount": pa.array([[5.0, None]]),
        ...                   "length_of_stay_days": [3]})
        >>> add_number_codes(table, NumberBins({"PAID": (1.0,), "LOS": (2.0, 7.0)}))["codes"].to_pylist()
        [[['A/1', 'PAID/1'], ['B/2', 'LOS/1']]]
    """
    visit_counts, code_counts, codes = _flatten(patients["codes"])
    num_visits = len(code_counts)
    owners, words = [np.repeat(np.arange(num_visits), code_counts)], [codes.cast(pa.string())]
    if PAID in bins.edges:
        owners.append(np.arange(num_visits))
        words.append(bins.tokens(PAID, visit_amounts(patients)))
    if STAY_LENGTH in bins.edges:
        has_visit = visit_counts > 0
        days = pc.fill_null(pc.cast(patients["length_of_stay_days"], pa.float64()), np.nan).to_numpy()
        owners.append(np.cumsum(visit_counts)[has_visit] - 1)
        words.append(bins.tokens(STAY_LENGTH, days[has_visit]))
    owner, word = np.concatenate(owners), pa.concat_arrays(words)
    known = pc.is_valid(word).to_numpy(zero_copy_only=False)
    return _with_codes(patients, visit_counts, owner[known], word.drop_null(), num_visits, sort=False)


def drop_codes(patients: pa.Table, prefix: str, *, column: str = "codes") -> pa.Table:
    """Leave out the codes that begin with a prefix.

    Args:
        patients (`pa.Table`): Rows with the column.
        prefix (`str`): Such as `"DISP/"`.
        column (`str`, *optional*, defaults to `"codes"`): A column of lists of strings, or of lists of such lists.

    Returns:
        `pa.Table`: The table without them; visits that are empty now stay.

    Examples:
        >>> table = pa.table({"codes": [[["DISP/02", "DRG/470"]], [["DISP/01"]]], "patient_codes": [["RACE/X"], []]})
        >>> drop_codes(table, "DISP/")["codes"].to_pylist()
        [[['DRG/470']], [[]]]
        >>> drop_codes(table, "RACE/", column="patient_codes")["patient_codes"].to_pylist()
        [[], []]
    """
    lists = _one_array(patients[column])
    has_visits = pa.types.is_list(lists.type.value_type)
    codes = lists.flatten() if has_visits else lists
    words = codes.flatten()
    kept = pc.invert(pc.starts_with(words, prefix))
    running = np.concatenate([[0], np.cumsum(kept.to_numpy(zero_copy_only=False))]).astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(_lengths(codes))])
    left = pa.ListArray.from_arrays(pa.array(running[ends]), words.filter(kept))
    written = _as_lists(_lengths(lists), left) if has_visits else left
    return patients.set_column(patients.column_names.index(column), column, written)


def _flatten(column: pa.ChunkedArray) -> tuple[Positions, Positions, pa.Array]:
    """Visits of each patient, codes of each visit, and all codes."""
    visits = _one_array(column)
    codes = visits.flatten()
    return _lengths(visits), _lengths(codes), codes.flatten()


def _one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array


def _lengths(lists: pa.Array) -> Positions:
    lengths: Positions = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _with_codes(
    patients: pa.Table,
    visit_counts: Positions,
    owner: Positions,
    codes: pa.Array,
    num_visits: int,
    *,
    sort: bool = True,
) -> pa.Table:
    """Replace the column, from the visit of each code; each once, and sorted within a visit where asked."""
    encoded = pc.dictionary_encode(codes)
    words = encoded.dictionary
    place = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if sort:
        order = pc.sort_indices(words).to_numpy()
        rank = np.empty(len(words), np.int64)
        rank[order] = np.arange(len(words))
        pairs = np.unique(owner * max(len(words), 1) + rank[place])
        owner, place = pairs // max(len(words), 1), order[pairs % max(len(words), 1)] if len(words) else pairs
    else:
        in_order = np.argsort(owner, kind="stable")
        owner, place = owner[in_order], place[in_order]
    inner = _as_lists(np.bincount(owner, minlength=num_visits), words.take(pa.array(place)))
    column = _as_lists(visit_counts, inner)
    return patients.set_column(patients.column_names.index("codes"), "codes", column)


def _as_lists(counts: Positions, values: pa.Array) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)
