"""Index stays: which stays they are, what their labels are, and how many fell out at each step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.claims.engine import engine_errors, fetch
from claim_transformers.cohorts.attrition import AttritionStep
from claim_transformers.cohorts.readmission.claims import CLAIMS, STAY_CLAIMS, stay_codes
from claim_transformers.cohorts.readmission.definition import UNPLANNED, ReadmissionDefinition
from claim_transformers.cohorts.readmission.labels import (
    AGAINST_ADVICE,
    CENSORED,
    DIED,
    OBSERVED,
    TRANSFER,
    censor_windows,
    label_stays,
    mark_excluded,
    mark_planned,
)
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags, Timelines

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend


@dataclass(frozen=True)
class IndexStays:
    """All stays, which of them are index stays, and their labels; arrays of shape `(stays,)`.

    Args:
        keep (`NDArray[bool]`): Index stays with a label.
        label (`NDArray[int8]`): 1 for a readmission.
        gap_days (`NDArray[int]`): Days from discharge to the next admission.
        is_planned_next (`NDArray[bool]`): Whether the label is 0 because the next admission was planned.
        is_transfer_label (`NDArray[bool]`): Whether the label is 1 because of a transfer.
        is_observed (`NDArray[bool]`): Whether the window was observed.
        discharge_day (`NDArray[int]`): Days since 1970-01-01.
        steps (`list[AttritionStep]`): How many stays each step left; they count stays, not patients.
    """

    keep: Flags
    label: NDArray[np.int8]
    gap_days: Days
    is_planned_next: Flags
    is_transfer_label: Flags
    is_observed: Flags
    discharge_day: Days
    steps: tuple[AttritionStep, ...]


def select_index_stays(
    connection: "Backend",
    tables: Mapping[str, "ir.Table"],
    stays: pa.Table,
    people: Timelines,
    definition: ReadmissionDefinition,
    last_day: int,
) -> IndexStays:
    """Label all stays, in order, and choose the index stays among them.

    `people` are their patients without visits, `last_day` is the last day of the data.
    """
    admission, discharge = (
        stays[name].cast(pa.int32()).to_numpy().astype(np.int64) for name in ("admission_date", "discharge_date")
    )
    nobody = np.zeros(stays.num_rows, bool)
    planned = excluded = nobody
    if definition.rule == UNPLANNED:
        principal, procedures = _codes_of_stays(connection, tables)
        planned = mark_planned(stays.num_rows, principal, procedures)
        excluded = mark_excluded(stays.num_rows, principal, procedures)
    patient = pc.dictionary_encode(stays["patient_id"].combine_chunks()).indices.to_numpy().astype(np.int64)
    horizon = definition.horizon_days
    label, gap, planned_next = label_stays(patient, admission, discharge, planned, horizon_days=horizon)
    censored = censor_windows(
        label,
        gap,
        discharge,
        people.enrolled_until(discharge),
        people.death_day,
        horizon_days=horizon,
        last_day=last_day,
    )
    ends = _ends(stays, admission, discharge, people)
    transfer = (label == 1) & ((gap == 0) | (ends["to another hospital"] & (gap <= 1)))
    counts = _Counts(stays, definition, ends, excluded, censored, people)
    return IndexStays(
        counts.keep, label, gap, planned_next, transfer, censored == OBSERVED, discharge, tuple(counts.steps)
    )


class _Counts:
    """The steps of the selection, each one row of the attrition table."""

    def __init__(
        self,
        stays: pa.Table,
        definition: ReadmissionDefinition,
        ends: Mapping[str, Flags],
        excluded: Flags,
        censored: NDArray[np.int8],
        people: Timelines,
    ) -> None:
        num_claims = int(pc.sum(pc.list_value_length(stays["claims"])).as_py() or 0)
        self.keep: Flags = np.ones(stays.num_rows, bool)
        self.steps = [AttritionStep("inpatient claims", num_claims, 0)]
        is_open = stays["is_open"].to_numpy()
        if not definition.joins_stays:
            self._remove("with a discharge date", {"": is_open})
            return
        joined = num_claims - stays.num_rows
        self.steps.append(AttritionStep("stays (transfers and interim bills joined)", stays.num_rows, joined))
        self._remove("left the hospital", {"": is_open})
        self._remove("can be readmitted", ends)
        if definition.rule == UNPLANNED:
            self._remove("not psychiatric, rehabilitation or medical treatment of cancer", {"": excluded})
        unknown, none = (int((self.keep & marks).sum()) for marks in people.without_span)
        if unknown or none:
            step = definition.enrolment.step(unknown=unknown, none=none, of=int(self.keep.sum()))
            self._remove(step, people.without_enrolment())
        reasons = {f"censored: {reason}": censored == place for place, reason in enumerate(CENSORED) if place}
        self._remove(f"seen for {definition.horizon_days} days", reasons)

    def _remove(self, step: str, groups: Mapping[str, Flags]) -> None:
        """Remove groups in turn, so that each stay has one reason."""
        before = int(self.keep.sum())
        reasons = {}
        for reason, marked in groups.items():
            gone = self.keep & marked
            if reason and gone.any():
                reasons[reason] = int(gone.sum())
            self.keep = self.keep & ~marked
        left = int(self.keep.sum())
        self.steps.append(AttritionStep(step, left, before - left, reasons))


def _ends(stays: pa.Table, admission: Days, discharge: Days, people: Timelines) -> dict[str, Flags]:
    """How stays end after which nobody can be readmitted from home."""

    def disposed(codes: tuple[str, ...]) -> Flags:
        found: Flags = pc.is_in(stays["disposition"], value_set=pa.array(codes)).to_numpy()
        return found

    death = people.death_day
    died_inside = (death != UNKNOWN_DAY) & (death >= admission) & (death <= discharge)
    return {
        "died": disposed(DIED) | died_inside,
        "left against advice": disposed(AGAINST_ADVICE),
        "to another hospital": disposed(TRANSFER),
    }


def _codes_of_stays(connection: "Backend", tables: Mapping[str, "ir.Table"]) -> tuple[pa.Table, pa.Table]:
    claims, own = connection.table(CLAIMS), connection.table(STAY_CLAIMS)
    with engine_errors("reading diagnoses and procedures of stays"):
        principal, procedures = (fetch(connection, codes) for codes in stay_codes(own, claims, tables["claim_line"]))
    return principal, procedures
