"""Readmission labels of stays: whether the next admission came within 30 days, and whether anybody could have seen it.

Stays of a patient follow each other by admission, discharge and claim. The *next* stay decides alone: what comes after
it is its own readmission, and CMS too looks at the first one only. A next stay that begins before the discharge is an
overlap and no readmission; the rules that join stays have none of these.

Not observed is not 0. Without a readmission a window that death or the end of coverage cuts short is censored, by what
ended it; so is a readmission after a break in coverage, which only those who come back can have. A window that
outlasts the data is censored with a readmission or without: else nobody but the readmitted would be left of the last
month.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from claim_transformers.codes.planned_readmission import (
    ACUTE_DIAGNOSIS,
    ALWAYS_DIAGNOSIS,
    ALWAYS_PROCEDURE,
    CANCER,
    MAJOR_SURGERY,
    POTENTIAL_PROCEDURE,
    PSYCHIATRIC,
    REHABILITATION,
    has_kind,
)
from claim_transformers.cohorts.timelines import UNKNOWN_DAY, Days, Flags

# Patient discharge status (NUBC; CMS Medicare Claims Processing Manual, chapter 25).
AGAINST_ADVICE = ("07",)
DIED = ("20", "40", "41", "42")
# To another hospital: short-term, cancer or children's, federal, psychiatric, critical access; from 81 on the same
# with a planned readmission.
TRANSFER = ("02", "05", "43", "65", "66", "82", "85", "88", "93", "94")

OBSERVED, _DEATH, _DATA_END, _COVERAGE = range(4)
CENSORED = ("", "died within the window", "the data end within the window", "coverage ends within the window")
_FAR_GAP = np.iinfo(np.int32).max


def label_stays(
    patient: NDArray[np.int64], admission_day: Days, discharge_day: Days, is_planned: Flags, *, horizon_days: int
) -> tuple[NDArray[np.int8], Days, Flags]:
    """Label stays by the next admission of the patient.

    Stays of one patient stand together, in the order of admission. Beside the label come the gap in days (longer
    than any window without a next stay) and whether a planned admission within the window made the label 0.
    """
    gap = np.full(len(patient), _FAR_GAP, np.int64)
    planned_next = np.zeros(len(patient), bool)
    if len(patient) > 1:
        # Entry i of a slice from 1 on is the stay after stay i; the last stay of all has none.
        same = patient[1:] == patient[:-1]
        gap[:-1] = np.where(same, admission_day[1:] - discharge_day[:-1], _FAR_GAP)
        planned_next[:-1] = same & is_planned[1:]
    within = (gap >= 0) & (gap <= horizon_days)
    return (within & ~planned_next).astype(np.int8), gap, within & planned_next


def censor_windows(
    label: NDArray[np.int8],
    gap_days: Days,
    discharge_day: Days,
    insured_until: Days,
    death_day: Days,
    *,
    horizon_days: int,
    last_day: int,
) -> NDArray[np.int8]:
    """Tell which windows were not observed, and by what: positions in `CENSORED`.

    A planned admission or an overlap ends no window: the label 0 then rests on the days that follow as well.
    `insured_until` is the end of the enrolment span around the discharge, `last_day` the last that the data know of.
    """
    end_day = discharge_day + horizon_days
    needed = np.where(label == 1, discharge_day + np.where(label == 1, gap_days, 0), end_day)
    died = (death_day != UNKNOWN_DAY) & (death_day <= end_day) & (label == 0)
    beyond_data = end_day > last_day
    uninsured = insured_until < np.minimum(needed, last_day)
    censored = np.select([died, uninsured, beyond_data], [_DEATH, _COVERAGE, _DATA_END], OBSERVED)
    return censored.astype(np.int8)


def mark_planned(num_stays: int, principal: pa.Table, procedures: pa.Table) -> Flags:
    """Which stays CMS counts as planned, see `claim_transformers.codes.planned_readmission`."""
    always = _with_kind(num_stays, procedures, ALWAYS_PROCEDURE) | _with_kind(num_stays, principal, ALWAYS_DIAGNOSIS)
    acute = _with_kind(num_stays, principal, ACUTE_DIAGNOSIS)
    return always | (_with_kind(num_stays, procedures, POTENTIAL_PROCEDURE) & ~acute)


def mark_excluded(num_stays: int, principal: pa.Table, procedures: pa.Table) -> Flags:
    """Which stays are no index stays of CMS's hospital-wide measure: psychiatric, rehabilitation, medical cancer."""
    other = _with_kind(num_stays, principal, PSYCHIATRIC, REHABILITATION)
    operated = _with_kind(num_stays, procedures, MAJOR_SURGERY)
    return other | (_with_kind(num_stays, principal, CANCER) & ~operated)


def _with_kind(num_stays: int, codes: pa.Table, *kinds: str) -> Flags:
    marked = codes["stay"].to_numpy()[has_kind(codes["code"], kinds)]
    found: Flags = np.bincount(marked, minlength=num_stays) > 0
    return found
