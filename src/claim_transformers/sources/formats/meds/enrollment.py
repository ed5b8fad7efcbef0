"""Spans of enrollment in MEDS: starts and ends, which are events of their own, paired by time.

A start opens a span and the next end of the subject closes it. What finds no partner is counted and changes no other
span: an end while no span is open, a start while one is (the span goes on), a span that nothing closes.
"""

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.packing import Integers

_W_START, _W_END, _W_OPEN = "W_START_UNPAIRED", "W_END_UNPAIRED", "W_OPEN_SPAN"
_POSITION_OF_WARNING = MappingProxyType({_W_START: 1, _W_END: 2, _W_OPEN: 3})


@dataclass(frozen=True)
class _PairedEvents:
    """Rows of starts, the row of the end of each or -1 if it is open, and a warning for each row, 0 if none."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    warnings: npt.NDArray[np.int8]

    def count(self, files: Integers) -> dict[int, Counter[str]]:
        """Count the events without a partner by file and warning."""
        found: dict[int, Counter[str]] = {}
        for warning, position in _POSITION_OF_WARNING.items():
            for file, count in zip(*np.unique(files[self.warnings == position], return_counts=True), strict=True):
                found.setdefault(int(file), Counter())[warning] = int(count)
        return found


def pair_events(patients: Integers, days: Integers, ticks: Integers, is_start: npt.NDArray[np.bool_]) -> _PairedEvents:
    """Pair starts and ends of enrollment, given in any order, by patient, day and nanosecond of the day.

    A start and an end of the very same time are a span of one day, or, where a span is open, its end and the start of
    the next.
    """
    warnings = np.zeros(len(patients), np.int8)
    order = np.lexsort((is_start, ticks, days, patients))
    moments = _runs(patients[order], days[order], ticks[order])
    # An event that stands twice at one moment would close or open a second time.
    is_distinct = np.ones(len(order), bool)
    is_distinct[1:] = (moments[1:] != moments[:-1]) | (is_start[order][1:] != is_start[order][:-1])
    repeated = order[~is_distinct]
    order, moments = order[is_distinct], moments[is_distinct]

    order = order[np.lexsort((_is_second(patients[order], moments, is_start[order]), moments))]
    opens, who = is_start[order], patients[order]
    was_open = _shifted(opens) & (who == np.roll(who, 1))
    is_paired = opens != was_open
    paired = order[is_paired]
    # What is left alternates within a patient; only the last start can lack its end.
    firsts = np.flatnonzero(is_start[paired])
    following = np.append(paired, -1)[firsts + 1]
    is_closed = (following >= 0) & ~is_start[following]
    unpaired = np.concatenate([order[~is_paired], repeated])
    warnings[unpaired] = np.where(is_start[unpaired], _POSITION_OF_WARNING[_W_START], _POSITION_OF_WARNING[_W_END])
    warnings[paired[firsts[~is_closed]]] = _POSITION_OF_WARNING[_W_OPEN]
    return _PairedEvents(paired[firsts], np.where(is_closed, following, -1), warnings)


def _is_second(patients: Integers, moments: Integers, is_start: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which event comes second where a start and an end share a moment; sorted events, the end before the start."""
    is_shared = np.zeros(len(moments), bool)
    is_shared[1:] = moments[1:] == moments[:-1]
    is_shared[:-1] |= is_shared[1:].copy()
    # Both events together leave a patient as they found them, open or closed: the last other event decides.
    positions = np.arange(len(moments))
    last = np.maximum.accumulate(np.where(is_shared, -1, positions))
    is_open = (last >= 0) & is_start[last] & (patients[last] == patients)
    is_second: npt.NDArray[np.bool_] = is_shared & (is_start == is_open)
    return is_second


def _runs(*columns: Integers) -> npt.NDArray[np.int64]:
    """Number the runs of equal rows, from 0."""
    is_new = np.zeros(len(columns[0]), bool)
    for column in columns:
        is_new[1:] |= column[1:] != column[:-1]
    return np.cumsum(is_new)


def _shifted(values: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The value before each, none before the first."""
    return np.append(False, values)[:-1] if len(values) else values
