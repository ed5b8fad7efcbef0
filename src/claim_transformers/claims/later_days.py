"""Later days of a visit: the last end of the claims behind it and their last payment, packed and sorted like codes.

A line is packed with the days from its service to the later day where a code would stand, so that the last key of a
visit holds the latest. Own code, because a join of lines with visits in an engine costs as much as building them.
"""

import numpy as np
import pyarrow as pa

from claim_transformers.claims.packing import CODE_BITS, MAX_CODES, NULL_DAY, Integers, Keys, TimelineArrays, pack_keys

VISIT_PAID_DAY = pa.field("visit_paid_day", pa.list_(pa.int32()))
_NEVER_DELAY = MAX_CODES - 1  # 2,870 years


def later_rows(patients: Integers, days: Integers, visit_types: Integers, later_days: Integers) -> Integers:
    """Rows worth packing: those with a patient, a date, a type and a later day that do not repeat the row before.

    The lines of a claim stand together and mostly share all four, so most rows are repeats.

    Examples:
        >>> zero, paid = np.zeros(4, np.int64), np.array([30, 30, NULL_DAY, 31])
        >>> later_rows(zero, zero, zero, paid).tolist()
        [0, 3]
    """
    is_wanted = (patients >= 0) & (days != NULL_DAY) & (visit_types >= 0) & (later_days != NULL_DAY)
    if len(later_days) > 1:
        changes = later_days[1:] != later_days[:-1]
        for column in (patients, days, visit_types):
            changes |= column[1:] != column[:-1]
        is_wanted[1:] &= changes
    return np.flatnonzero(is_wanted)


def pack_later(patients: Integers, days: Integers, visit_types: Integers, later_days: Integers) -> Keys:
    """Pack patient, service date and claim type with the days until the later day."""
    keys = pack_keys(patients, days, visit_types)
    keys |= np.clip(later_days.astype(np.int64) - days, 0, _NEVER_DELAY).astype(np.uint64)
    return keys


def paid_days_of(timelines: TimelineArrays, keys: Keys, first_patient: int = 0) -> Integers:
    """The day on which the last claim behind each visit was paid. The keys given are sorted in place.

    Examples:
        >>> from claim_transformers.claims.packing import unpack_keys
        >>> timelines = unpack_keys(pack_keys(np.array([0, 0]), np.array([5, 9]), np.array([0, 0])))
        >>> paid_days_of(timelines, pack_later(*(np.array(x) for x in ([0, 0], [5, 5], [0, 0], [30, 21])))).tolist()
        [30, -2147483648]
    """
    delays = _last_delays(timelines, keys, first_patient)
    return np.where(delays < 0, NULL_DAY, timelines.visit_days + delays).astype(np.int32)


def end_days_of(timelines: TimelineArrays, keys: Keys, first_patient: int = 0) -> Integers:
    """The last day of the claims behind each visit: its own day without a key, `NULL_DAY` where one never ended."""
    delays = _last_delays(timelines, keys, first_patient)
    ends = timelines.visit_days + np.maximum(delays, 0)
    return np.where(delays == _NEVER_DELAY, NULL_DAY, ends).astype(np.int32)


def _last_delays(timelines: TimelineArrays, keys: Keys, first_patient: int) -> Integers:
    """The longest delay of each visit, -1 where no key tells one."""
    keys.sort()
    groups = keys >> np.uint64(CODE_BITS)
    is_last = np.ones(len(keys), dtype=bool)
    np.not_equal(groups[1:], groups[:-1], out=is_last[:-1])
    groups, delays = groups[is_last], (keys[is_last] & np.uint64(MAX_CODES - 1)).astype(np.int32)
    owners = np.repeat(timelines.patients - first_patient, np.diff(timelines.visit_offsets))
    visits = pack_keys(owners, timelines.visit_days, timelines.visit_types) >> np.uint64(CODE_BITS)
    if np.array_equal(groups, visits) or not len(groups):
        return delays if len(groups) else np.full(len(visits), -1, np.int32)
    place = np.minimum(np.searchsorted(groups, visits), len(groups) - 1)
    return np.where(groups[place] == visits, delays[place], np.int32(-1))
