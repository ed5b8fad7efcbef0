"""From when each patient is observed, and the seeded draws that choose among dates and patients."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.cohorts.definition import CohortDefinition
from claim_transformers.cohorts.rules import Days
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Timelines


def index_candidates(timelines: Timelines, definition: CohortDefinition) -> Iterator[tuple[Days, NDArray[np.bool_]]]:
    """The index dates that a definition allows, one per patient at a time.

    Args:
        timelines (`Timelines`): The patients.
        definition (`CohortDefinition`): Holds the index rule.

    Yields:
        `tuple[NDArray[int], NDArray[bool]]`: Days since 1970-01-01 and whether the patient has one, both of shape
        `(patients,)`.
    """
    if definition.index.rule == "next_encounter":
        yield _encounter_days(timelines, definition)
        return
    for day in definition.index_days:
        yield np.full(timelines.num_patients, day, np.int64), np.ones(timelines.num_patients, bool)


def _encounter_days(timelines: Timelines, definition: CohortDefinition) -> tuple[Days, NDArray[np.bool_]]:
    first, last = definition.window_days
    in_span = (timelines.visit_day >= first) & (timelines.visit_day <= last)
    outcome = timelines.visits_with(outcome_codes(definition), definition.label.visit_types)
    # A case's index is its first outcome visit. A control's is drawn among all its visits in the window with equal
    # weight; the draw is a function of seed and patient, so it does not move when other patients come or go.
    rank = unit_hash(timelines.patients["patient_id"], f"index/{definition.sampling.seed}")
    is_case = timelines.count(outcome & in_span) > 0
    choice = in_span & np.where(is_case[timelines.patient_of_visit], outcome, True)
    number = timelines.count(choice)
    pick = np.where(is_case, 0, np.floor(rank * np.maximum(number, 1))).astype(np.int64)
    position = np.cumsum(choice) - 1
    start = np.concatenate([[0], np.cumsum(number)])[:-1]
    chosen = choice & (position == (start + pick)[timelines.patient_of_visit])
    days = np.full(timelines.num_patients, UNKNOWN_DAY, np.int64)
    days[timelines.patient_of_visit[chosen]] = timelines.visit_day[chosen]
    return days, number > 0


def outcome_codes(definition: CohortDefinition) -> tuple[str, ...]:
    """The code prefixes of the outcome; empty where any code counts.

    Args:
        definition (`CohortDefinition`): Holds the code sets and the label.

    Returns:
        `tuple[str, ...]`: `SYSTEM/PREFIX` entries.
    """
    return () if definition.label.codes is None else definition.codes[definition.label.codes]


def unit_hash(patient_ids: pa.ChunkedArray, salt: str) -> NDArray[np.float64]:
    """A uniform number in [0, 1) per patient, a pure function of the salt and the id.

    Args:
        patient_ids (`pa.ChunkedArray`): Identifiers.
        salt (`str`): Names the draw, so that draws are independent of one another.

    Returns:
        `NDArray[float]` of shape `(patients,)`.

    Examples:
        >>> unit_hash(pa.chunked_array([["a", "b"]]), "sample/0").round(3)
        array([0.323, 0.281])
    """
    digests = (hashlib.sha256(f"{salt}|{patient_id}".encode()).digest() for patient_id in patient_ids.to_pylist())
    return np.array([int.from_bytes(digest[:8], "big") for digest in digests], np.uint64) / 2.0**64
