"""Last day of the data: until when the record of everybody can be trusted to be there.

It is the latest day on or after which enough patients still have a service: two, and one more for each further ten
thousand patients; of one patient, its own. A day of service is the day on which a claim ends, or a fill. So no row of
a single patient moves it, however far ahead it lies, and an end of enrolment or of supply does not count, since both
are known in advance. The day of the extract bounds it.

What lies beyond is not observed: open ends of enrolment end there, and a readmission window that reaches further is
censored. An event cohort asks of a calendar that few claims may fill, so it also takes the last day on which enough
patients are enrolled, by the same rule and bounded by the day of the extract, and warns where no service reaches it.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.packing import NULL_DAY, Integers
from claim_transformers.claims.store import IngestedFolder
from claim_transformers.codes.errors import ClaimDataError

_MIN_PATIENTS = 2
_PATIENTS_PER_WITNESS = 10_000
_EPOCH = dt.date(1970, 1, 1)


def find_last_day(last_days: Integers, extract_date: dt.date | None = None) -> int:
    """Find the last day of the data, in days since 1970-01-01; `NULL_DAY` if nobody has a service.

    Of each patient the last day of service is given, `NULL_DAY` where there is none.
    """
    return find_counted_last_day(count_last_days(last_days), extract_date)


def find_counted_last_day(patients: Mapping[int, int], extract_date: dt.date | None = None) -> int:
    """Find the last day of the data as [`find_last_day`] does, from how many patients have each last day."""
    num_patients = sum(patients.values())
    missing = min(max(_MIN_PATIENTS, -(-num_patients // _PATIENTS_PER_WITNESS)), num_patients)
    for day in sorted(patients, reverse=True):
        missing -= patients[day]
        if missing <= 0:
            return day if extract_date is None else min(day, (extract_date - _EPOCH).days)
    return NULL_DAY


def count_last_days(last_days: Integers) -> dict[int, int]:
    """Count patients by their last day; `NULL_DAY` is none."""
    known = last_days[last_days != NULL_DAY].astype(np.int64)
    if not len(known):
        return {}
    first, counts = int(known.min()), np.bincount(known - known.min())
    return {first + int(place): int(counts[place]) for place in np.flatnonzero(counts)}


def raise_last_days(last_days: Integers, patients: Integers, days: npt.NDArray[Any]) -> None:
    """Raise the last day of each patient to the days given, in place; `NULL_DAY` raises nothing."""
    np.maximum.at(last_days, patients, days.astype(last_days.dtype))


def write_day(day: int) -> str | None:
    """A day as it stands in a manifest, ISO; null for `NULL_DAY`."""
    return None if day == NULL_DAY else (_EPOCH + dt.timedelta(days=day)).isoformat()


def last_day_of(folder: IngestedFolder) -> int:
    """The last day of the data of an ingested folder, in days since 1970-01-01; `E_LAST_DAY` if it is not said."""
    written = (folder.manifest.get("patients") or {}).get("last_day")
    if written is None:
        raise ClaimDataError(
            "E_LAST_DAY",
            f"expected the last day of the data in manifest.json of {folder.path}, found none: ingest again with this "
            "version",
        )
    return _read_day(written)


def last_enrollment_day_of(folder: IngestedFolder) -> int:
    """The last day on which enough patients are enrolled, by the same rule, or the last day of the data if later."""
    written = folder.manifest["patients"].get("last_enrollment_day")
    return max(last_day_of(folder), NULL_DAY if written is None else _read_day(written))


def _read_day(text: str) -> int:
    return (dt.date.fromisoformat(text) - _EPOCH).days
