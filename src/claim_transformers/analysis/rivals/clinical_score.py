"""LACE index from claims alone: the clinical score at discharge that a model of readmission has to beat.

van Walraven et al., "Derivation and validation of an index to predict early death or unplanned readmission after
discharge from hospital to the community" (CMAJ 182:551, 2010): points for Length of stay, Acute admission, Comorbidity
and Emergency visits in the six months before, 0 to 19 in all.

What claims cannot tell, and what stands in (docs/auditing.md):

* The length of stay is the days from admission to discharge, 0 on the same day. A cohort that has no `admission_day`
  and `discharge_day` has the day of its last inpatient visit and its index date instead.
* Whether an admission was acute is written on the claim (type of admission) but not in the patients table. Without the
  argument `is_acute`, an admission counts as acute with emergency care on the bill of the stay, on its first day or
  the day before; direct urgent admissions are missed.
* An emergency visit is a day with a code of emergency care. Emergency care that led to an earlier admission counts as
  one; that of the index admission does not. Look-backs shorter than six months see fewer, and without revenue centres
  and places of service (`code_columns`) only HCPCS codes tell.
* Comorbidities are those that somebody billed for in the look-back; the index was derived from charts and interviews.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.rivals.charlson import CHARLSON_WEIGHTS, charlson_scores, comorbidities_of
from claim_transformers.claims.small_cells import show_count, show_part_of
from claim_transformers.claims.visits import INPATIENT

_logger = logging.getLogger(__name__)
_Integers = npt.NDArray[np.int64]

# Upper ends of the classes of the table of the index, and the points of each class.
_LENGTH_DAYS, _LENGTH_POINTS = (0, 1, 2, 3, 6, 13), (0, 1, 2, 3, 4, 5, 7)
_COMORBIDITY_SCORE, _COMORBIDITY_POINTS = (0, 1, 2, 3), (0, 1, 2, 3, 5)
_EMERGENCY_VISITS, _EMERGENCY_POINTS = (0, 1, 2, 3), (0, 1, 2, 3, 4)
_ACUTE_POINTS = 3
EMERGENCY_DAYS = 183
_COMORBIDITY_DAYS = 365
# Revenue centres 045x and 0981 and place of service 23 are emergency rooms (ResDAC, identifying emergency room
# services); HCPCS 99281 to 99285 are visits there.
_EMERGENCY_PREFIXES = ("REV/045", "REV/0981", "POS/23", *(f"HCPCS/{code}" for code in range(99281, 99286)))
_EMERGENCY_SYSTEMS = ("REV/", "POS/")
# Visits of many stays reach back to the end of the look-back; those of a few may fall short of it by a week or two.
_LEAST_REACH_DAYS = EMERGENCY_DAYS - 14
# The index weighs the conditions as its bedside forms print them, above Charlson's for heart, lung and liver disease,
# dementia and connective tissue disease; forms without an entry for ulcer, paralysis or kidneys leave Charlson's.
_LACE_WEIGHTS: Mapping[str, int] = MappingProxyType(
    {
        **CHARLSON_WEIGHTS,
        "congestive heart failure": 2,
        "chronic pulmonary disease": 2,
        "mild liver disease": 2,
        "dementia": 3,
        "connective tissue disease": 3,
        "severe liver disease": 4,
        "AIDS": 4,
    }
)


@dataclass(frozen=True)
class LaceScores:
    """The index of each stay and what it is made of.

    Args:
        length_days (`NDArray[int]` of shape `(N,)`): Days from admission to the index date.
        is_acute (`NDArray[bool]` of shape `(N,)`): Whether the admission was acute.
        comorbidity (`NDArray[int]` of shape `(N,)`): Weighted conditions, before they are capped.
        emergency_visits (`NDArray[int]` of shape `(N,)`): Emergency days in the six months before the admission.
        points (`dict[str, NDArray[int]]`): Points for `length`, `acute`, `comorbidity` and `emergency`.

    Examples:
        >>> one, two = np.array([5]), np.array([True])
        >>> LaceScores(one, two, one, one, {"length": one, "acute": one}).total.tolist()
        [10]
    """

    length_days: _Integers
    is_acute: npt.NDArray[np.bool_]
    comorbidity: _Integers
    emergency_visits: _Integers
    points: Mapping[str, _Integers]

    @property
    def total(self) -> _Integers:
        """The index, 0 to 19."""
        total: _Integers = np.sum(list(self.points.values()), axis=0)
        return total


def _lace_points(
    length_days: npt.ArrayLike, is_acute: npt.ArrayLike, comorbidity: npt.ArrayLike, emergency_visits: npt.ArrayLike
) -> dict[str, _Integers]:
    """Look the four parts of the index up in its table."""
    parts = {
        "length": (length_days, _LENGTH_DAYS, _LENGTH_POINTS),
        "comorbidity": (comorbidity, _COMORBIDITY_SCORE, _COMORBIDITY_POINTS),
        "emergency": (emergency_visits, _EMERGENCY_VISITS, _EMERGENCY_POINTS),
    }
    points: dict[str, _Integers] = {}
    for name, (numbers, ends, worth) in parts.items():
        values = np.asarray(numbers, np.int64)
        if (values < 0).any():
            raise ValueError(f"expected {name} of at least 0, found {show_count(int((values < 0).sum()))} below")
        points[name] = np.array(worth)[np.searchsorted(ends, values, side="left")]
    points["acute"] = _ACUTE_POINTS * np.asarray(is_acute, np.int64)
    return {name: points[name] for name in ("length", "acute", "comorbidity", "emergency")}


def lace_scores(
    examples: pa.Table,
    *,
    is_acute: npt.ArrayLike | None = None,
    comorbidity_days: int = _COMORBIDITY_DAYS,
    weights: Mapping[str, int] = _LACE_WEIGHTS,
) -> LaceScores:
    """Compute the index of each index stay from the columns of a cohort.

    Args:
        examples (`pa.Table`): Examples with `visit_day`, `visit_type` and `codes`, whose last inpatient visit is the
            index stay, and either `admission_day` and `discharge_day` or `index_day`; days since 1970-01-01.
        is_acute (array of shape `(N,)`, *optional*): Whether the admission was acute, where the type of admission is
            known; without it emergency care that led to the admission says so.
        comorbidity_days (`int`, *optional*, defaults to `365`): Days before the discharge in which diagnoses count.
        weights (`dict[str, int]`, *optional*): Points of the 17 conditions; those of the index without it.

    Returns:
        [`LaceScores`]: The index and its parts. A log line warns of a cohort that is built without the codes of
        emergency care or without six months of history, because its scores are then too low.

    Raises:
        ValueError: If an example has no inpatient visit, a visit is after the discharge, or lengths differ.

    Examples:
        >>> columns = {"index_day": [120], "visit_day": [[50, 115]], "visit_type": [["OP", "IP"]]}
        >>> examples = pa.table(columns | {"codes": [[["HCPCS/99284"], ["ICD9CM/4280", "ICD9CM/25000", "REV/0450"]]]})
        >>> found = lace_scores(examples)
        >>> found.total.tolist(), {name: points.tolist() for name, points in found.points.items()}
        ([11], {'length': [4], 'acute': [3], 'comorbidity': [3], 'emergency': [1]})
    """
    rows = examples.num_rows
    visits = pc.list_value_length(examples["visit_day"]).fill_null(0).to_numpy().astype(np.int64)
    owner = np.repeat(np.arange(rows), visits)
    day = pc.list_flatten(examples["visit_day"]).to_numpy().astype(np.int64)
    index_visit = _index_visits(examples, owner)
    admitted, discharged = _stay_days(examples, day[index_visit])
    late = int((day > discharged[owner]).sum())
    if late:
        raise ValueError(f"expected visits up to the discharge, found {show_part_of(late, len(day))} after it")
    of_visit, code, codes = _code_occurrences(examples)
    emergency = np.zeros(len(day), bool)
    # Whether a code is one of emergency care is asked once of each distinct code, then carried to its visits.
    emergency[of_visit[_begins_with(codes, _EMERGENCY_PREFIXES)[code]]] = True

    days_before = admitted[owner] - day
    _warn_of_gaps(codes, days_before, is_acute_known=is_acute is not None)
    came_by = emergency & ((days_before == 0) | (days_before == 1))
    acute = emergency[index_visit] | (np.bincount(owner[came_by], minlength=rows) > 0)
    if is_acute is not None:
        acute = np.asarray(is_acute, bool)
        if acute.shape != (rows,):
            raise ValueError(f"expected is_acute of shape ({rows},), found {acute.shape}")
    before = emergency & (days_before > 1) & (days_before <= EMERGENCY_DAYS)
    # Several bills of one day are one visit: one number for patient and day, from which the patient comes back.
    emergency_days = np.unique(owner[before] * (EMERGENCY_DAYS + 1) + days_before[before])
    emergency_visits = np.bincount(emergency_days // (EMERGENCY_DAYS + 1), minlength=rows)

    recent = (discharged[owner] - day <= comorbidity_days)[of_visit]
    comorbidity = charlson_scores(_conditions(owner[of_visit][recent], code[recent], codes, rows), weights)
    length_days = discharged - admitted
    points = _lace_points(length_days, acute, comorbidity, emergency_visits)
    return LaceScores(length_days, acute, comorbidity, emergency_visits, points)


def _warn_of_gaps(codes: pa.Array, days_before: _Integers, *, is_acute_known: bool) -> None:
    """Say what the index needs and the examples cannot have."""
    if not _begins_with(codes, _EMERGENCY_SYSTEMS).any():
        _logger.warning(
            "No revenue centre (REV/) and no place of service (POS/) is among the codes of the examples: emergency "
            "visits%s are seen by HCPCS alone, and the index is too low. Add 'rev' and 'pos' to the code_columns of "
            "the cohort.",
            "" if is_acute_known else " and acute admissions",
        )
    reach = int(days_before.max()) if len(days_before) else 0
    if reach < _LEAST_REACH_DAYS:
        _logger.warning(
            "No visit lies more than %d days before its admission: the index counts emergency visits of %d days. "
            "Build the cohort with look_back_days of at least %d.",
            *(max(reach, 0), EMERGENCY_DAYS, EMERGENCY_DAYS),
        )


def _conditions(owner: _Integers, code: _Integers, codes: pa.Array, rows: int) -> npt.NDArray[np.bool_]:
    """Conditions `(N, 17)` that the codes of each example stand for."""
    of_code = comorbidities_of(codes)
    flags = np.zeros((rows, of_code.shape[1]), bool)
    for condition in range(of_code.shape[1]):
        flags[owner[of_code[:, condition][code]], condition] = True
    return flags


def _stay_days(examples: pa.Table, last_inpatient_day: _Integers) -> tuple[_Integers, _Integers]:
    """Days of admission and discharge of the index stays."""
    known = {"admission_day", "discharge_day"} <= set(examples.column_names)
    if not known:
        return last_inpatient_day, examples["index_day"].to_numpy().astype(np.int64)
    return tuple(examples[name].to_numpy().astype(np.int64) for name in ("admission_day", "discharge_day"))


def _index_visits(examples: pa.Table, owner: _Integers) -> _Integers:
    """Position of the last inpatient visit of each example among all visits."""
    is_inpatient = pc.fill_null(pc.equal(pc.list_flatten(examples["visit_type"]), INPATIENT), False)
    position = np.flatnonzero(is_inpatient.to_numpy(zero_copy_only=False).astype(bool))
    last = np.full(examples.num_rows, -1)
    # Visits are in order, so the last assignment is that of the last visit.
    last[owner[position]] = position
    missing = int((last < 0).sum())
    if missing:
        raise ValueError(
            f"expected an inpatient visit in every example, missing in {show_part_of(missing, len(last))}"
        )
    return last


def _code_occurrences(examples: pa.Table) -> tuple[_Integers, _Integers, pa.Array]:
    """Of each code in each visit the visit and the number of the code; and the distinct codes."""
    codes = pc.list_flatten(examples["codes"])
    lengths = pc.list_value_length(codes).fill_null(0).to_numpy().astype(np.int64)
    encoded = pc.list_flatten(codes).cast(pa.string()).combine_chunks().dictionary_encode()
    return np.repeat(np.arange(len(lengths)), lengths), encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def _begins_with(codes: pa.Array, prefixes: Sequence[str]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(codes), bool)
    for prefix in prefixes:
        found |= pc.starts_with(codes, prefix).to_numpy(zero_copy_only=False)
    return found
