"""Later days of a visit: the last end of the claims behind it and their last payment, packed and sorted like codes.

A line is packed with the days from its service to the later day where a code would stand, so that the last key of a
visit holds the latest. Own code, because a join of lines with visits in an engine costs as much as building them.
"""

import numpy as np
import pyarrow as pa

from claim_transformers.claims.packing import MAX_CODES, NULL_DAY, Integers, Keys, TimelineArrays, VisitKeys

VISIT_PAID_DAY = pa.field("visit_paid_day", pa.list_(pa.int32()))
_NEVER_DELAY = MAX_CODES - 1  # 2,870 years


def pack_later(visits: VisitKeys, later_days: Integers) -> tuple[Keys, Integers]:
    """Pack visits with the days until the later day, where there is one, and tell the patient of each key.

    The lines of a claim stand together and mostly share both, so most rows repeat the row before and are left out.
    """
    is_repeat = visits.is_repeat.copy()
    is_repeat[1:] &= later_days[1:] == later_days[:-1]
    rows = np.flatnonzero(visits.is_known & (later_days != NULL_DAY) & ~is_repeat)
    delays = later_days.take(rows).astype(np.int64) - visits.days.take(rows)
    return visits.keys.take(rows) | np.clip(delays, 0, _NEVER_DELAY).astype(np.uint64), visits.patients.take(rows)


def paid_days_of(timelines: TimelineArrays, visits: Keys, keys: Keys) -> Integers:
    """The day on which the last claim behind each visit was paid. The keys given are sorted in place."""
    delays = _last_delays(visits, keys)
    return np.where(delays < 0, NULL_DAY, timelines.visit_days + delays).astype(np.int32)


def end_days_of(timelines: TimelineArrays, visits: Keys, keys: Keys) -> Integers:
    """The last day of the claims behind each visit: its own day without a key, `NULL_DAY` where one never ended."""
    delays = _last_delays(visits, keys)
    ends = timelines.visit_days + np.maximum(delays, 0)
    return np.where(delays == _NEVER_DELAY, NULL_DAY, ends).astype(np.int32)


def _last_delays(visits: Keys, keys: Keys) -> Integers:
    """The longest delay of each visit, -1 where no key tells one."""
    keys.sort()
    of_visits = keys & ~np.uint64(MAX_CODES - 1)
    is_last = np.ones(len(keys), dtype=bool)
    np.not_equal(of_visits[1:], of_visits[:-1], out=is_last[:-1])
    of_visits, latest = of_visits[is_last], (keys[is_last] & np.uint64(MAX_CODES - 1)).astype(np.int32)
    delays = np.full(len(visits), -1, np.int32)
    if len(visits):
        place = np.minimum(np.searchsorted(visits, of_visits), len(visits) - 1)
        is_known = visits[place] == of_visits
        delays[place[is_known]] = latest[is_known]
    return delays
