"""Patients' timelines as flat arrays, so that a question about every visit is one vector operation.

A cohort asks about the order of visits inside a patient, which is segment arithmetic on sorted arrays and not a
relational query; numpy answers it on the list columns as they lie in memory.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

UNKNOWN_DAY = np.iinfo(np.int32).min


class Timelines:
    """The timelines of a table of patients, one flat array per fact.

    Args:
        patients (`pa.Table`): Rows of the patients table, see `claim_transformers.claims.sequences.PATIENTS_SCHEMA`.

    Examples:
        >>> table = pa.table({
        ...     "patient_id": ["a", "b"], "birth_day": pa.array([0, None], pa.int32()),
        ...     "visit_day": pa.array([[10, 400], [20]], pa.list_(pa.int32())),
        ...     "visit_type": [["OP", "IP"], ["OP"]],
        ...     "codes": [[["ICD9CM/49392"], ["ICD9CM/2500"]], [["HCPCS/99213"]]],
        ... })
        >>> timelines = Timelines(table)
        >>> timelines.visits_with(["ICD9CM/493"], [])
        array([ True, False, False])
        >>> timelines.count(timelines.visits_with([], ["IP"]))
        array([1, 0])
    """

    def __init__(self, patients: pa.Table) -> None:
        self.patients = patients.combine_chunks()
        self.num_patients = patients.num_rows
        days = _flat(self.patients["visit_day"])
        self.visit_start = _offsets(self.patients["visit_day"])
        self.visit_day = days.to_numpy(zero_copy_only=False).astype(np.int64)
        self.patient_of_visit = np.repeat(np.arange(self.num_patients), np.diff(self.visit_start))

    @cached_property
    def birth_day(self) -> NDArray[np.int64]:
        """Days since 1970-01-01, shape `(patients,)`; `UNKNOWN_DAY` where unknown."""
        return self._day("birth_day")

    @cached_property
    def death_day(self) -> NDArray[np.int64]:
        """Days since 1970-01-01, shape `(patients,)`; `UNKNOWN_DAY` while alive."""
        return self._day("death_day")

    def visits_with(self, code_prefixes: Sequence[str], visit_types: Sequence[str]) -> NDArray[np.bool_]:
        """Which visits carry a code and a claim type, shape `(visits,)`.

        Args:
            code_prefixes (`list[str]`): `SYSTEM/PREFIX` entries; any code, or none, when empty.
            visit_types (`list[str]`): Claim types; any when empty.
        """
        found = np.ones(len(self.visit_day), bool)
        if visit_types:
            types = _flat(self.patients["visit_type"])
            found &= pc.is_in(types, value_set=pa.array(list(visit_types), types.type)).to_numpy(zero_copy_only=False)
        if code_prefixes:
            encoded, code_start = self._codes
            names = encoded.dictionary
            wanted = np.zeros(len(names) + 1, bool)
            for prefix in code_prefixes:
                wanted[:-1] |= pc.starts_with(names, prefix).to_numpy(zero_copy_only=False)
            hits = wanted[encoded.indices.to_numpy(zero_copy_only=False)]
            running = np.concatenate([[0], np.cumsum(hits)])
            found &= (running[code_start[1:]] - running[code_start[:-1]]) > 0
        return found

    def count(self, visits: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many of the marked visits each patient has, shape `(patients,)`."""
        return np.bincount(self.patient_of_visit[visits], minlength=self.num_patients)

    def in_window(self, first_day: NDArray[np.int64], end_day: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which visits lie in `[first_day, end_day)` of their patient; the days have shape `(patients,)`."""
        owner = self.patient_of_visit
        inside: NDArray[np.bool_] = (self.visit_day >= first_day[owner]) & (self.visit_day < end_day[owner])
        return inside

    def covered(self, first_day: NDArray[np.int64], last_day: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which patients one enrolment span covers from `first_day` to `last_day`; true where no span is known.

        Spans are merged when claims are ingested, so a covered window lies inside a single one.
        """
        starts = _flat(self.patients["enrollment_start_day"]).to_numpy(zero_copy_only=False)
        ends = _flat(self.patients["enrollment_end_day"]).to_numpy(zero_copy_only=False)
        offsets = _offsets(self.patients["enrollment_start_day"])
        owner = np.repeat(np.arange(self.num_patients), np.diff(offsets))
        inside = (starts <= first_day[owner]) & (ends >= last_day[owner])
        covered = np.bincount(owner[inside], minlength=self.num_patients) > 0
        return covered | ~self.has_spans

    @property
    def has_spans(self) -> NDArray[np.bool_]:
        """Which patients have a known enrolment span, shape `(patients,)`."""
        return np.diff(_offsets(self.patients["enrollment_start_day"])) > 0

    def before(self, keep: NDArray[np.bool_], index_day: NDArray[np.int64]) -> pa.Table:
        """The kept patients with every visit on or after their index date removed.

        Args:
            keep (`NDArray[bool]` of shape `(patients,)`): Patients that stay.
            index_day (`NDArray[int]` of shape `(patients,)`): Index dates in days since 1970-01-01.

        Returns:
            `pa.Table`: The columns of the patients table and `index_day`. Enrolment after the index date and the day
            of death are removed as well: both are only known later.
        """
        seen = (self.visit_day < index_day[self.patient_of_visit]) & keep[self.patient_of_visit]
        rows = np.flatnonzero(keep)
        visits = np.flatnonzero(seen)
        offsets = np.concatenate([[0], np.cumsum(self.count(seen)[rows])]).astype(np.int32)
        columns = {name: self.patients[name].take(pa.array(rows)) for name in ("patient_id", "sex", "birth_day")}
        for name in ("visit_day", "visit_type", "codes"):
            values = _flat(self.patients[name]).take(pa.array(visits))
            columns[name] = pa.ListArray.from_arrays(pa.array(offsets), values)
        columns.update(self._known_enrolment(rows, index_day))
        columns["index_day"] = pa.array(index_day[rows], pa.int32())
        return pa.table(columns)

    def _known_enrolment(self, rows: NDArray[np.int64], index_day: NDArray[np.int64]) -> dict[str, pa.Array]:
        starts = _flat(self.patients["enrollment_start_day"]).to_numpy(zero_copy_only=False)
        ends = _flat(self.patients["enrollment_end_day"]).to_numpy(zero_copy_only=False)
        offsets = _offsets(self.patients["enrollment_start_day"])
        owner = np.repeat(np.arange(self.num_patients), np.diff(offsets))
        kept = np.zeros(self.num_patients, bool)
        kept[rows] = True
        begun = (starts <= index_day[owner]) & kept[owner]
        counts = np.bincount(owner[begun], minlength=self.num_patients)[rows]
        new_offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
        known_ends = np.minimum(ends[begun], index_day[owner[begun]])
        return {
            "enrollment_start_day": pa.ListArray.from_arrays(new_offsets, pa.array(starts[begun], pa.int32())),
            "enrollment_end_day": pa.ListArray.from_arrays(new_offsets, pa.array(known_ends, pa.int32())),
        }

    @cached_property
    def _codes(self) -> tuple[pa.DictionaryArray, NDArray[np.int64]]:
        """The codes of all visits and the offsets of each visit into them."""
        visits = _flat(self.patients["codes"])
        return pc.dictionary_encode(visits.flatten()), _offsets(visits)

    def _day(self, column: str) -> NDArray[np.int64]:
        days = pc.fill_null(self.patients[column].combine_chunks(), UNKNOWN_DAY)
        numbers: NDArray[np.int64] = days.to_numpy(zero_copy_only=False).astype(np.int64)
        return numbers


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.flatten()


def _offsets(column: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    """Offsets of a list column into its flattened values, counted from zero also for a slice."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
