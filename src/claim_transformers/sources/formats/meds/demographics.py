"""Who the subjects of MEDS are: births, deaths, sexes and enrollment, judged and collected file by file."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.enrollment import (
    MAX_YEARS_APART,
    EligibilityRows,
    merge_eligibility,
    overruled,
    years_apart,
)
from claim_transformers.claims.fields import FILLER_DATES
from claim_transformers.claims.packing import NULL_DAY, Integers
from claim_transformers.claims.quality import DAYS_AFTER_DEATH
from claim_transformers.sources.formats.meds.codes import Role
from claim_transformers.sources.formats.meds.enrollment import pair_events

LIFE_REASONS = ("R_DATE", "R_DEMOGRAPHICS", "R_BEFORE_BIRTH", "R_AFTER_DEATH")
FILLER_DAYS = np.array(
    [date for date in FILLER_DATES if "-00" not in date and "-99" not in date], "datetime64[D]"
).astype(np.int64)


def judge_lives(patients: Integers, days: Integers, roles: Integers, is_used: npt.NDArray[np.bool_]) -> Integers:
    """Tell which events cannot be, by the birth and death in the same file: 0, or 1 + a position in `LIFE_REASONS`.

    All events of a subject stand in one file, so says MEDS.
    """
    is_birth, is_death, is_code = (is_used & (roles == role) for role in (Role.BIRTH, Role.DEATH, Role.CODE))
    is_filler = (is_birth | is_death) & np.isin(days, FILLER_DAYS)
    is_birth, is_death = is_birth & ~is_filler, is_death & ~is_filler
    who = np.unique(patients[is_birth | is_death])
    place = np.searchsorted(who, patients)
    place[(place == len(who)) | (np.append(who, -1)[place] != patients)] = len(who)  # Without birth and death.
    apart = years_apart(place[is_birth], days[is_birth], len(who) + 1)
    latest = np.full((2, len(who) + 1), NULL_DAY, np.int64)
    for of_role, is_role in zip(latest, (is_birth, is_death), strict=True):
        np.maximum.at(of_role, place[is_role], days[is_role])
    is_torn = (apart > MAX_YEARS_APART)[place]
    birth, death = latest[0][place], latest[1][place]
    reasons: Integers = np.select(
        [
            is_filler,
            is_birth & is_torn,
            is_code & ~is_torn & (days < birth),
            is_code & (death != NULL_DAY) & (days > death + DAYS_AFTER_DEATH),
        ],
        [1, 2, 3, 4],
        default=0,
    )
    return reasons


class Demographics:
    """Births, deaths, sexes and enrollment of all files, and what is said of them in the ledger."""

    def __init__(self) -> None:
        self.fixes: dict[int, Counter[str]] = {}
        self.warnings: dict[int, Counter[str]] = {}
        self._columns: list[tuple[Integers, ...]] = []
        self._patients_of_codes: list[tuple[Integers, Integers]] = []

    def add(
        self, patients: Integers, days: Integers, ticks: Integers, roles: Integers, is_used: npt.NDArray[np.bool_]
    ) -> None:
        """Add the events of the next file."""
        rows = np.flatnonzero(is_used & (roles != Role.CODE))
        file = np.full(len(rows), len(self._columns))
        self._columns.append((patients[rows], days[rows], ticks[rows], roles[rows], file))
        of_codes = patients[is_used & (roles == Role.CODE)]
        # A subject's events follow each other, so that the runs are few, and no sort is needed.
        starts = np.flatnonzero(np.append(True, of_codes[1:] != of_codes[:-1])[: len(of_codes)])
        self._patients_of_codes.append((of_codes[starts], np.diff(np.append(starts, len(of_codes)))))

    def to_eligibility(self, num_patients: int, last_day: int) -> EligibilityRows:
        """One row for each event but starts without a span; fills `fixes` and `warnings` by the number of the file.

        Dates that are shifted can meet a filler, so an end is open beyond the last day of the data only.
        """
        columns = [np.concatenate(part) for part in zip(*self._columns, strict=True)]
        _, days, _, roles, files = columns
        is_open = np.isin(days, FILLER_DAYS) & (roles == Role.ENROLLMENT_END) & (days > last_day)
        for file, number in zip(*np.unique(files[is_open], return_counts=True), strict=True):
            self.fixes.setdefault(int(file), Counter())["F_OPEN_SPAN"] = int(number)
        patients, days, ticks, roles, files = (column[~is_open] for column in columns)
        sexes = np.select([roles == Role.FEMALE, roles == Role.MALE], [0, 1], default=-1).astype(np.int8)
        births, deaths = (
            np.where(roles == role, days, NULL_DAY).astype(np.int32) for role in (Role.BIRTH, Role.DEATH)
        )
        starts, ends = np.full((2, len(roles)), NULL_DAY, np.int32)
        rows = np.flatnonzero(np.isin(roles, (Role.ENROLLMENT_START, Role.ENROLLMENT_END)))
        pairs = pair_events(patients[rows], days[rows], ticks[rows], roles[rows] == Role.ENROLLMENT_START)
        opening, closing, is_closed = rows[pairs.starts], rows[pairs.ends[pairs.ends >= 0]], pairs.ends >= 0
        starts[opening] = days[opening]
        ends[opening[is_closed]] = days[closing]
        found = EligibilityRows(patients, sexes, births, deaths, starts, ends)
        losing = files[overruled(found, merge_eligibility(found, num_patients))]
        for file, number in zip(*np.unique(losing, return_counts=True), strict=True):
            self.fixes.setdefault(int(file), Counter())["F_DEMOGRAPHICS"] = int(number)
        self.warnings = pairs.count(files[rows])
        if len(opening):
            self._count_without_span(patients[opening], num_patients)
        return found

    def _count_without_span(self, enrolled: Integers, num_patients: int) -> None:
        has_span = np.zeros(num_patients, bool)
        has_span[enrolled] = True
        for file, (patients, counts) in enumerate(self._patients_of_codes):
            if number := int(counts[~has_span[patients]].sum()):
                self.warnings.setdefault(file, Counter())["W_NO_ELIGIBILITY"] = number
