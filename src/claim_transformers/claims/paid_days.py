"""Paid days: when each visit became known, the latest paid date of its claim lines, packed and sorted like codes.

A line is packed with the days from service to payment where a code would stand, so that the last key of a visit holds
its latest payment. Own code, because a join of lines with visits in an engine costs as much as building the visits.
"""

import numpy as np
import pyarrow as pa

from claim_transformers.claims.packing import CODE_BITS, MAX_CODES, NULL_DAY, Integers, Keys, TimelineArrays, pack_keys

VISIT_PAID_DAY = pa.field("visit_paid_day", pa.list_(pa.int32()))


def paid_rows(patients: Integers, days: Integers, visit_types: Integers, paid_days: Integers) -> Integers:
    """Rows worth packing: those with a patient, a date, a type and a paid date that do not repeat the row before.

    The lines of a claim stand together and mostly share all four, so most rows are repeats.

    Examples:
        >>> zero, paid = np.zeros(4, np.int64), np.array([30, 30, NULL_DAY, 31])
        >>> paid_rows(zero, zero, zero, paid).tolist()
        [0, 3]
    """
    is_wanted = (patients >= 0) & (days != NULL_DAY) & (visit_types >= 0) & (paid_days != NULL_DAY)
    if len(paid_days) > 1:
        changes = paid_days[1:] != paid_days[:-1]
        for column in (patients, days, visit_types):
            changes |= column[1:] != column[:-1]
        is_wanted[1:] &= changes
    return np.flatnonzero(is_wanted)


def pack_paid(patients: Integers, days: Integers, visit_types: Integers, paid_days: Integers) -> Keys:
    """Pack patient, service date and claim type with the days until payment."""
    keys = pack_keys(patients, days, visit_types)
    keys |= np.clip(paid_days.astype(np.int64) - days, 0, MAX_CODES - 1).astype(np.uint64)
    return keys


def paid_days_of(timelines: TimelineArrays, keys: Keys, first_patient: int = 0) -> Integers:
    """The day on which the last claim behind each visit was paid. The keys given are sorted in place.

    Examples:
        >>> from claim_transformers.claims.packing import unpack_keys
        >>> timelines = unpack_keys(pack_keys(np.array([0, 0]), np.array([5, 9]), np.array([0, 0])))
        >>> paid_days_of(timelines, pack_paid(*(np.array(x) for x in ([0, 0], [5, 5], [0, 0], [30, 21])))).tolist()
        [30, -2147483648]
    """
    keys.sort()
    groups = keys >> np.uint64(CODE_BITS)
    is_last = np.ones(len(keys), dtype=bool)
    np.not_equal(groups[1:], groups[:-1], out=is_last[:-1])
    groups, delays = groups[is_last], (keys[is_last] & np.uint64(MAX_CODES - 1)).astype(np.int32)
    owners = np.repeat(timelines.patients - first_patient, np.diff(timelines.visit_offsets))
    visits = pack_keys(owners, timelines.visit_days, timelines.visit_types) >> np.uint64(CODE_BITS)
    if np.array_equal(groups, visits):
        return timelines.visit_days + delays
    if not len(groups):
        return np.full(len(visits), NULL_DAY, np.int32)
    place = np.minimum(np.searchsorted(groups, visits), len(groups) - 1)
    days = timelines.visit_days + delays[place]
    return np.where(groups[place] == visits, days, np.int32(NULL_DAY)).astype(np.int32)
