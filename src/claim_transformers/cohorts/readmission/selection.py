"""Index stays: which stays they are, what their labels are, and how many fell out at each step."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
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

# Its name in the table says of how many stays nobody knows.
_ENROLMENT = "enrolment"


@dataclass
class StayCounts:
    """What was found of stays, and how many left at each step, by reason; counts of parts of the patients add up."""

    found: Counter[str] = field(default_factory=Counter)
    removed: dict[str, Counter[str]] = field(default_factory=dict)

    def remove(self, keep: Flags, step: str, groups: Mapping[str, Flags]) -> Flags:
        """Remove groups in turn, so that each stay has one reason, and give the stays that are left."""
        counts = self.removed.setdefault(step, Counter())
        for reason, marked in groups.items():
            counts[reason] += int((keep & marked).sum())
            keep = keep & ~marked
        return keep

    def add(self, other: "StayCounts") -> None:
        """Add the counts of other patients."""
        self.found.update(other.found)
        for step, counts in other.removed.items():
            self.removed.setdefault(step, Counter()).update(counts)

    def steps(self, definition: ReadmissionDefinition) -> list[AttritionStep]:
        """The rows of the attrition table; they count stays, not patients."""
        claims, left, unknown, none = (self.found[name] for name in ("claims", "stays", "unknown", "none"))
        steps = [AttritionStep("inpatient claims", claims, 0)]
        if definition.joins_stays:
            steps.append(AttritionStep("stays (transfers and interim bills joined)", left, claims - left))
        for step, counts in self.removed.items():
            if step == _ENROLMENT:
                if not unknown and not none:
                    continue
                step = definition.enrolment.step(unknown=unknown, none=none, of=left)
            left -= counts.total()
            reasons = {reason: count for reason, count in counts.items() if reason and count}
            steps.append(AttritionStep(step, left, counts.total(), reasons))
        return steps


def select_index_stays(
    connection: "Backend",
    tables: Mapping[str, "ir.Table"],
    stays: pa.Table,
    people: Timelines,
    definition: ReadmissionDefinition,
    last_day: int,
) -> tuple[Flags, pa.Table, StayCounts]:
    """Label all stays, in order, and choose the index stays among them.

    `people` are their patients without visits, `last_day` is the last day of the data. Of all stays come whether they
    are index stays, and their `label`, `is_transfer_label` (whether a transfer made it 1), `is_observed` (whether the
    window was), `is_planned_next` (whether a planned admission made it 0), and `gap_days` to the next admission.
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
    keep, counts = _count_stays(stays, definition, ends, excluded, censored, people)
    marks = {"label": label, "is_transfer_label": transfer, "is_observed": censored == OBSERVED}
    return keep, pa.table({**marks, "is_planned_next": planned_next, "gap_days": gap}), counts


def _count_stays(
    stays: pa.Table,
    definition: ReadmissionDefinition,
    ends: Mapping[str, Flags],
    excluded: Flags,
    censored: NDArray[np.int8],
    people: Timelines,
) -> tuple[Flags, StayCounts]:
    """Take the steps of the selection, each one row of the attrition table."""
    num_claims = int(pc.sum(pc.list_value_length(stays["claims"])).as_py() or 0)
    counts = StayCounts(Counter(claims=num_claims, stays=stays.num_rows))
    keep: Flags = np.ones(stays.num_rows, bool)
    is_open = stays["is_open"].to_numpy()
    if not definition.joins_stays:
        return counts.remove(keep, "with a discharge date", {"": is_open}), counts
    keep = counts.remove(keep, "left the hospital", {"": is_open})
    keep = counts.remove(keep, "can be readmitted", ends)
    if definition.rule == UNPLANNED:
        keep = counts.remove(keep, "not psychiatric, rehabilitation or medical treatment of cancer", {"": excluded})
    counts.found["unknown"], counts.found["none"] = (int((keep & marks).sum()) for marks in people.without_span)
    keep = counts.remove(keep, _ENROLMENT, people.without_enrolment())
    reasons = {f"censored: {reason}": censored == place for place, reason in enumerate(CENSORED) if place}
    return counts.remove(keep, f"seen for {definition.horizon_days} days", reasons), counts


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
