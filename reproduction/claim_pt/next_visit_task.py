"""Next-visit prediction as a ranking task that every model answers alike, from counts to transformers.

Every visit of a patient but the first is predicted, from all visits before it. The candidates are the codes that
enough training patients hold; other codes are neither ranked nor hidden. What is known is what was known at the visit
before: the age is the age on that day, because the day of the predicted visit is part of the future.

Two questions are asked of the same scores. *All codes*: the candidates are ranked, and the codes of the visit are
looked for among the first k. *New onset*: the candidates that the patient had before are struck out, for every model,
and the codes that are new to the patient are looked for among the first k of the rest, since repeated codes inflate
recall. A visit counts once; a visit without any code to look for does not count.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.ages import whole_years

QUESTIONS = ("all codes", "new onset")
# Tables of rows by codes are dense: a gigabyte of float32 each at this size.
MAX_CELLS = 2**28


@dataclass(frozen=True)
class NextVisitRows:
    """Visits to predict, one row each: what was known before, and what came.

    Args:
        codes (`tuple[str, ...]`): Candidates, one per column.
        patient (`NDArray[int64]` of shape `(N,)`): Row of the patient in the patients table.
        visit (`NDArray[int64]` of shape `(N,)`): Number of the predicted visit within its patient, 1 for the second.
        counts (`NDArray[float32]` of shape `(N, K)`): How many earlier visits carry each code.
        last_visit (`NDArray[bool]` of shape `(N, K)`): Codes of the visit before.
        age_years (`NDArray[float64]` of shape `(N,)`): Age at the visit before, NaN where unknown.
        sex (`NDArray[str]` of shape `(N,)`): `"F"`, `"M"` or the empty string.
        targets (`NDArray[bool]` of shape `(N, K)`): Codes of the predicted visit.
    """

    codes: tuple[str, ...]
    patient: NDArray[np.int64]
    visit: NDArray[np.int64]
    counts: NDArray[np.float32]
    last_visit: NDArray[np.bool_]
    age_years: NDArray[np.float64]
    sex: NDArray[np.str_]
    targets: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.patient)

    def wanted(self, question: str) -> NDArray[np.bool_]:
        """The codes that a question looks for, `(N, K)`."""
        _check_question(question)
        return self.targets if question == "all codes" else self.targets & (self.counts == 0)


def ages_at_visits(patients: pa.Table, patient: NDArray[np.int64]) -> NDArray[np.float64]:
    """Age in full years at each visit, whose patients are given by row; NaN where unknown."""
    births = pc.fill_null(patients["birth_day"], 0).to_numpy()[patient]
    is_known = pc.is_valid(patients["birth_day"]).to_numpy()[patient]
    years: NDArray[np.float64] = np.where(
        is_known, whole_years(births, pc.list_flatten(patients["visit_day"]).to_numpy()), np.nan
    )
    return years


def next_visit_rows(patients: pa.Table, codes: Sequence[str]) -> NextVisitRows:
    """Lay out the visits of a split as rows to predict.

    Args:
        patients (`pa.Table`): Rows of the patients table, visits in order.
        codes (`list[str]`): Candidates, such as `select_codes` of the training split.

    Returns:
        [`NextVisitRows`]: One row per visit but the first of each patient, by patient and visit.

    Raises:
        ValueError: If there is no candidate, nobody has a second visit, or the table of visits by candidates does not
            fit in memory.

    Examples:
        >>> patients = pa.table(
        ...     {
        ...         "birth_day": [0],
        ...         "sex": ["F"],
        ...         "visit_day": [[3653, 4000, 4100]],
        ...         "codes": [[["A/1"], ["A/1", "A/2"], ["A/2"]]],
        ...     }
        ... )
        >>> rows = next_visit_rows(patients, ["A/1", "A/2"])
        >>> rows.counts.tolist(), rows.targets.tolist()
        ([[1.0, 0.0], [2.0, 1.0]], [[True, True], [False, True]])
        >>> rows.wanted("new onset").tolist(), rows.age_years.round(1).tolist()
        ([[False, True], [False, False]], [10.0, 10.0])
    """
    visits = patients["codes"].combine_chunks()
    num_visits = pc.fill_null(pc.list_value_length(visits), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    total = int(num_visits.sum())
    if not len(codes) or not (num_visits > 1).any():
        raise ValueError(
            f"expected candidates and patients with a second visit, found {len(codes)} candidates and "
            f"{int((num_visits > 1).sum())} such patients"
        )
    if total * len(codes) > MAX_CELLS:
        raise ValueError(
            f"expected at most {MAX_CELLS} cells of visits by candidates, found {total} x {len(codes)}; rank "
            "categories, or codes of more patients"
        )
    patient = np.repeat(np.arange(len(num_visits)), num_visits)
    first = np.cumsum(num_visits) - num_visits
    number = np.arange(total) - np.repeat(first, num_visits)
    carried = _visits_by_codes(pc.list_flatten(visits), codes)
    rows = np.flatnonzero(number > 0)

    ages = ages_at_visits(patients, patient)
    sexes = pc.fill_null(pc.cast(patients["sex"], pa.string()), "").to_numpy(zero_copy_only=False).astype(np.str_)
    return NextVisitRows(
        codes=tuple(codes),
        patient=patient[rows],
        visit=number[rows],
        counts=_counts_before(carried, np.repeat(first, num_visits))[rows],
        last_visit=carried[rows - 1],
        age_years=ages[rows - 1],
        sex=sexes[patient[rows]],
        targets=carried[rows],
    )


def recall_of_rows(
    scores: NDArray[np.floating], rows: NextVisitRows, ks: Sequence[int], question: str = "all codes"
) -> dict[int, NDArray[np.float64]]:
    """Share of each row's wanted codes among its k best scores.

    Args:
        scores (`NDArray` of shape `(N, K)`): Higher means sooner. Ties go to the earlier column.
        rows ([`NextVisitRows`]): What was to be predicted.
        ks (`list[int]`): Codes that are looked at.
        question (`str`, *optional*, defaults to `"all codes"`): Or `"new onset"`.

    Returns:
        `dict[int, NDArray[float64]]`: Recall of each row by k, NaN where nothing is wanted.

    Raises:
        ValueError: If the shapes differ, a score is NaN, or the question is unknown.

    Examples:
        >>> patients = pa.table(
        ...     {"birth_day": [0], "sex": ["F"], "visit_day": [[1, 2]], "codes": [[["A/1"], ["A/1", "A/2"]]]}
        ... )
        >>> rows = next_visit_rows(patients, ["A/1", "A/2", "A/3"])
        >>> scores = np.array([[0.9, 0.1, 0.5]])
        >>> recall_of_rows(scores, rows, [1])[1].tolist(), recall_of_rows(scores, rows, [1], "new onset")[1].tolist()
        ([0.5], [0.0])
    """
    wanted = rows.wanted(question)
    if scores.shape != wanted.shape or np.isnan(scores).any():
        raise ValueError(f"expected scores without NaN of shape {wanted.shape}, found {scores.shape}")
    if question == "new onset":
        scores = np.where(rows.counts > 0, -np.inf, scores)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : max(ks)]
    found = np.take_along_axis(wanted, best, axis=1)
    total = wanted.sum(axis=1).astype(np.float64)
    return {
        k: np.divide(found[:, :k].sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0) for k in ks
    }


def log_loss_of_rows(logits: NDArray[np.floating], rows: NextVisitRows) -> float:
    """Binary cross-entropy of a row, summed over the candidates: what hyper-parameters are chosen by.

    Args:
        logits (`NDArray` of shape `(N, K)`): Log odds of each candidate.
        rows ([`NextVisitRows`]): What was to be predicted.

    Returns:
        `float`: Mean over the rows.

    Examples:
        >>> patients = pa.table({"birth_day": [0], "sex": ["F"], "visit_day": [[1, 2]], "codes": [[["A/1"], ["A/2"]]]})
        >>> round(log_loss_of_rows(np.zeros((1, 2)), next_visit_rows(patients, ["A/1", "A/2"])), 4)
        1.3863
    """
    return float((np.logaddexp(0.0, logits).sum() - logits[rows.targets].sum()) / len(rows))


def shuffle_visits(patients: pa.Table, *, seed: int = 0) -> pa.Table:
    """Give the visits of each patient a random order, the dates staying where they are.

    Whatever a model gains from the order of visits is lost by it; what it gains from who the patient is, stays.

    Args:
        patients (`pa.Table`): Rows of the patients table.
        seed (`int`, *optional*, defaults to `0`): Seed of the permutations.

    Returns:
        `pa.Table`: The same table with `codes` permuted within each patient.

    Examples:
        >>> table = pa.table({"codes": [[["A/1"], ["A/2"], ["A/3"]], [["A/4"]]]})
        >>> first, second = shuffle_visits(table, seed=1)["codes"].to_pylist()
        >>> sorted(first), second
        ([['A/1'], ['A/2'], ['A/3']], [['A/4']])
    """
    visits = patients["codes"].combine_chunks()
    lengths = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    keys = np.random.default_rng(seed).random(int(lengths.sum()))
    order = np.lexsort((keys, np.repeat(np.arange(len(lengths)), lengths)))
    return replace_codes(patients, pc.list_flatten(visits).take(pa.array(order)))


def keep_visit_type(patients: pa.Table, visit_type: str) -> pa.Table:
    """Leave out the visits of other types.

    Args:
        patients (`pa.Table`): Rows of the patients table.
        visit_type (`str`): Type of the visits that stay.

    Returns:
        `pa.Table`: All patients, with fewer visits or none.

    Examples:
        >>> table = pa.table({"visit_day": [[1, 2]], "visit_type": [["IP", "RX"]], "codes": [[["A/1"], ["B/1"]]]})
        >>> keep_visit_type(table, "IP")["codes"].to_pylist()
        [[['A/1']]]
    """
    lengths = pc.fill_null(pc.list_value_length(patients["visit_type"]), 0).to_numpy(zero_copy_only=False)
    is_kept = pc.fill_null(pc.equal(pc.list_flatten(patients["visit_type"].combine_chunks()), visit_type), False)
    owner = np.repeat(np.arange(len(lengths)), lengths)[is_kept.to_numpy(zero_copy_only=False)]
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(lengths)))]), pa.int32())
    for name in ("visit_day", "visit_type", "codes"):
        kept = pa.ListArray.from_arrays(offsets, pc.list_flatten(patients[name].combine_chunks()).filter(is_kept))
        patients = patients.set_column(patients.column_names.index(name), name, kept)
    return patients


def replace_codes(patients: pa.Table, codes: pa.Array) -> pa.Table:
    """Put other codes into the visits of a patients table.

    Args:
        patients (`pa.Table`): Rows of the patients table.
        codes (`pa.ListArray`): Codes of all visits, one list each, patient after patient.

    Returns:
        `pa.Table`: The table with these codes.

    Raises:
        ValueError: If there is not one list for each visit.

    Examples:
        >>> table = pa.table({"codes": [[["A/1"], ["A/2"]]]})
        >>> replace_codes(table, pa.array([["B/1"], ["B/2", "B/3"]]))["codes"].to_pylist()
        [[['B/1'], ['B/2', 'B/3']]]
    """
    lengths = pc.fill_null(pc.list_value_length(patients["codes"]), 0).to_numpy(zero_copy_only=False)
    if int(lengths.sum()) != len(codes):
        raise ValueError(f"expected codes of {int(lengths.sum())} visits, found {len(codes)}")
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    nested = pa.ListArray.from_arrays(offsets, codes)
    return patients.set_column(patients.column_names.index("codes"), "codes", nested)


def _visits_by_codes(codes_of_visits: pa.Array, codes: Sequence[str]) -> NDArray[np.bool_]:
    """Which candidate each visit carries."""
    per_visit = pc.fill_null(pc.list_value_length(codes_of_visits), 0).to_numpy(zero_copy_only=False)
    column = pc.index_in(pc.list_flatten(codes_of_visits), value_set=pa.array(list(codes), pa.string()))
    column_of = pc.fill_null(column, -1).to_numpy(zero_copy_only=False)
    visit = np.repeat(np.arange(len(per_visit)), per_visit)
    carried = np.zeros((len(per_visit), len(codes)), np.bool_)
    carried[visit[column_of >= 0], column_of[column_of >= 0]] = True
    return carried


def _counts_before(carried: NDArray[np.bool_], first_of_patient: NDArray[np.int64]) -> NDArray[np.float32]:
    """Visits of the same patient before each visit that carry each code."""
    running = np.cumsum(carried, axis=0, dtype=np.int32) - carried
    return np.asarray(running - running[first_of_patient], np.float32)


def _check_question(question: str) -> None:
    if question not in QUESTIONS:
        raise ValueError(f"expected a question among {', '.join(map(repr, QUESTIONS))}, found {question!r}")
