"""Codes, days and patients packed into one integer, so that building sequences is sorting integers.

A key holds, from the highest bits down, the position of the patient within its range, the day, the claim type and the
code. Sorted keys are patients in order, their visits in order, and the codes of each visit in order; equal neighbours
are the same code billed twice. NumPy sorts such keys about ten times faster than an engine groups and sorts strings.

The patient needs few bits because each range of patients is packed from 0, which leaves 18 bits for the day: 717
years, so that no data set needs its days moved to fit, not even one with dates shifted into the future.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import SEEK_END, BufferedRandom, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.small_cells import show_part_of
from claim_transformers.codes.errors import ClaimDataError

_CODE_BITS, _TYPE_BITS, _DAY_BITS, _PATIENT_BITS = 20, 4, 18, 22
_FIRST_DAY = -100_000  # in 1696; the last day that fits is in 2413
NULL_DAY = np.iinfo(np.int32).min
NO_VISIT = np.uint64(2**64 - 1)
_UNNUMBERED = np.int32(-2)

MAX_CODES = 1 << _CODE_BITS
_CODE_MASK = np.uint64(MAX_CODES - 1)
_MAX_TYPES = 1 << _TYPE_BITS
_MAX_DAYS = 1 << _DAY_BITS
MAX_PATIENTS = 1 << _PATIENT_BITS

_KEYS_PER_BLOCK = 1 << 18

Integers = npt.NDArray[np.integer[Any]]
Keys = npt.NDArray[np.uint64]


def pack_keys(patients: Integers, days: Integers, visit_types: Integers) -> Keys:
    """Pack patient, day and claim type into keys whose code bits are still zero, which sort by these three.

    Raises:
        ClaimDataError: `E_KEY_RANGE`, if a field does not fit. The message names the field and its bounds.

    Examples:
        >>> earlier, later = pack_keys(np.array([0, 0]), np.array([14_000, 14_001]), np.array([7, 0]))
        >>> bool(earlier < later)
        True
        >>> pack_keys(np.array([0]), np.array([9_999_999]), np.array([0]))
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_KEY_RANGE: expected every day between -100000 and 162143,
        found <11 of <11 outside
    """
    _check_range("patient position", patients, 0, MAX_PATIENTS)
    _check_range("day", days, _FIRST_DAY, _FIRST_DAY + _MAX_DAYS)
    _check_range("claim type position", visit_types, 0, _MAX_TYPES)
    keys: Keys = patients.astype(np.uint64) << np.uint64(_DAY_BITS)
    keys |= (days.astype(np.int64) - _FIRST_DAY).astype(np.uint64)
    keys <<= np.uint64(_TYPE_BITS)
    keys |= visit_types.astype(np.uint64)
    keys <<= np.uint64(_CODE_BITS)
    return keys


@dataclass(frozen=True)
class VisitKeys:
    """The visit on which each row stands, packed once for all that the row has; `NO_VISIT` where it has none."""

    keys: Keys
    patients: Integers
    days: Integers

    @cached_property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which rows have a visit."""
        is_known: npt.NDArray[np.bool_] = self.keys != NO_VISIT
        return is_known

    @cached_property
    def is_repeat(self) -> npt.NDArray[np.bool_]:
        """Which rows stand on the visit of the row before; lines of a claim mostly do."""
        is_repeat = ~_is_first(self.keys) & self.is_known
        is_repeat[1:] &= self.patients[1:] == self.patients[:-1]
        return is_repeat

    def take(self, rows: Integers) -> "VisitKeys":
        """Some of the rows."""
        return VisitKeys(self.keys.take(rows), self.patients.take(rows), self.days.take(rows))


def visit_keys_of(timelines: "TimelineArrays", first_patient: int = 0) -> Keys:
    """The keys of all visits of a shard, ascending."""
    owners = np.repeat(timelines.patients - first_patient, np.diff(timelines.visit_offsets))
    return pack_keys(owners, timelines.visit_days, timelines.visit_types)


def _check_range(name: str, values: Integers, first: int, end: int) -> None:
    if len(values) and (values.min() < first or values.max() >= end):
        outside = int(np.count_nonzero((values < first) | (values >= end)))
        raise ClaimDataError(
            "E_KEY_RANGE",
            f"expected every {name} between {first} and {end - 1}, found {show_part_of(outside, len(values))} outside",
        )


@dataclass(frozen=True)
class _CodeLists:
    """Some codes of each visit, beside all of them: visit `v` has `codes[offsets[v]:offsets[v + 1]]`."""

    offsets: Integers
    codes: Integers

    def slice(self, start: int, stop: int) -> "_CodeLists":
        """Take the visits from `start` up to, not including, `stop`."""
        offsets = self.offsets[start : stop + 1]
        return _CodeLists(offsets - offsets[0], self.codes[offsets[0] : offsets[-1]])


@dataclass(frozen=True)
class TimelineArrays:
    """Patients with their visits and codes, as flat arrays with offsets.

    Visit `v` has the codes `codes[code_offsets[v]:code_offsets[v + 1]]`; patients have visits in the same way.

    Args:
        patients (`np.ndarray` of shape `(patients,)`): Position of each patient, ascending.
        visit_offsets (`np.ndarray` of shape `(patients + 1,)`): Where the visits of each patient begin.
        visit_days (`np.ndarray` of shape `(visits,)`): Days since 1970-01-01.
        visit_types (`np.ndarray` of shape `(visits,)`): Position of the claim type.
        code_offsets (`np.ndarray` of shape `(visits + 1,)`): Where the codes of each visit begin.
        codes (`np.ndarray` of shape `(codes,)`): Position of each code, ascending within a visit.
        visit_end_days (`np.ndarray` of shape `(visits,)`): Last day of the claims, `NULL_DAY` where one never ended.
        visit_paid_days (`np.ndarray` of shape `(visits,)`, *optional*): Day of payment, `NULL_DAY` where unknown.
        marked (`dict[str, _CodeLists]`, *optional*): Codes that stand out, by the name of their column.
        visit_cents (`dict[str, np.ndarray]`, *optional*): Amounts of each visit, by the name of their column.

    Examples:
        >>> timelines = unpack_keys(pack_keys(np.array([3, 3]), np.array([10, 12]), np.array([0, 0])))
        >>> timelines.patients.tolist(), timelines.visit_days.tolist(), timelines.slice(0, 1).num_visits
        ([3], [10, 12], 2)
    """

    patients: Integers
    visit_offsets: Integers
    visit_days: Integers
    visit_types: Integers
    code_offsets: Integers
    codes: Integers
    visit_end_days: Integers
    visit_paid_days: Integers | None = None
    marked: Mapping[str, _CodeLists] = field(default_factory=dict)
    visit_cents: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def num_patients(self) -> int:
        """Number of patients."""
        return len(self.patients)

    @property
    def num_visits(self) -> int:
        """Number of visits of all patients."""
        return len(self.visit_days)

    def slice(self, start: int, stop: int) -> "TimelineArrays":
        """Take the patients from row `start` up to, not including, row `stop`."""
        visits = slice(int(self.visit_offsets[start]), int(self.visit_offsets[stop]))
        codes = slice(int(self.code_offsets[visits.start]), int(self.code_offsets[visits.stop]))
        return TimelineArrays(
            self.patients[start:stop],
            self.visit_offsets[start : stop + 1] - visits.start,
            self.visit_days[visits],
            self.visit_types[visits],
            self.code_offsets[visits.start : visits.stop + 1] - codes.start,
            self.codes[codes],
            self.visit_end_days[visits],
            None if self.visit_paid_days is None else self.visit_paid_days[visits],
            {name: lists.slice(visits.start, visits.stop) for name, lists in self.marked.items()},
            {name: cents[visits] for name, cents in self.visit_cents.items()},
        )


def concatenate(parts: Sequence[TimelineArrays]) -> TimelineArrays:
    """Join timelines one after the other."""
    if len(parts) == 1:
        return parts[0]

    def join(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return TimelineArrays(
        join("patients"),
        _join_offsets([part.visit_offsets for part in parts]),
        join("visit_days"),
        join("visit_types"),
        _join_offsets([part.code_offsets for part in parts]),
        join("codes"),
        join("visit_end_days"),
        None if parts[0].visit_paid_days is None else join("visit_paid_days"),
        {name: _concatenate_lists([part.marked[name] for part in parts]) for name in parts[0].marked},
        {name: np.concatenate([part.visit_cents[name] for part in parts]) for name in parts[0].visit_cents},
    )


def _concatenate_lists(parts: Sequence[_CodeLists]) -> _CodeLists:
    offsets = _join_offsets([part.offsets for part in parts])
    return _CodeLists(offsets, np.concatenate([part.codes for part in parts]))


def _join_offsets(parts: Sequence[Integers]) -> Integers:
    return np.append(0, np.cumsum(np.concatenate([np.diff(offsets) for offsets in parts])))


def unpack_keys(keys: Keys, code_ranks: Integers | None = None, first_patient: int = 0) -> TimelineArrays:
    """Sort keys and read patients, visits and codes off them; each visit ends on its day. The keys are overwritten.

    Keys may repeat. The ranks say the final position of each code number, and `first_patient` where the range begins.

    Examples:
        >>> keys = pack_keys(np.array([0, 0, 0]), np.array([5, 5, 2]), np.array([0, 0, 0]))
        >>> timelines = unpack_keys(keys | np.array([1, 1, 0], np.uint64))
        >>> timelines.visit_days.tolist(), timelines.code_offsets.tolist(), timelines.codes.tolist()
        ([2, 5], [0, 1, 2], [0, 1])
    """
    keys = _ranked(keys, code_ranks)
    visits = keys >> np.uint64(_CODE_BITS)
    visit_starts = np.flatnonzero(_is_first(visits))
    visits = visits.take(visit_starts)
    patients = visits >> np.uint64(_TYPE_BITS + _DAY_BITS)
    patient_starts = np.flatnonzero(_is_first(patients))
    days = ((visits >> np.uint64(_TYPE_BITS)) & np.uint64(_MAX_DAYS - 1)).astype(np.int32) + np.int32(_FIRST_DAY)
    return TimelineArrays(
        patients[patient_starts].astype(np.int64) + first_patient,
        np.append(patient_starts, len(visits)),
        days,
        (visits & np.uint64(_MAX_TYPES - 1)).astype(np.int8),
        np.append(visit_starts, len(keys)),
        np.bitwise_and(keys, _CODE_MASK, out=keys).astype(np.int32),
        days,
    )


def marked_codes(visits: Keys, keys: Keys, code_ranks: Integers) -> _CodeLists:
    """Read the codes of keys onto the visits of a shard; a key of another visit is left out. The keys are overwritten.

    Examples:
        >>> visits = pack_keys(np.array([0, 0]), np.array([5, 9]), np.array([0, 0]))
        >>> marked_codes(visits, visits[1:] | np.uint64(3), np.arange(4)).offsets.tolist()
        [0, 0, 1]
    """
    keys = _ranked(keys, code_ranks)
    marked = keys & ~_CODE_MASK
    place = np.minimum(np.searchsorted(visits, marked), max(len(visits) - 1, 0))
    is_known = visits[place] == marked if len(visits) else np.zeros(len(marked), bool)
    counts = np.bincount(place[is_known], minlength=len(visits))
    return _CodeLists(np.append(0, np.cumsum(counts)), (keys[is_known] & _CODE_MASK).astype(np.int32))


def _ranked(keys: Keys, code_ranks: Integers | None) -> Keys:
    """Give codes the ranks of their numbers, sort, and leave out repeats."""
    if code_ranks is not None:
        moves = (code_ranks - np.arange(len(code_ranks))).view(np.uint64)
        for start in range(0, len(keys), _KEYS_PER_BLOCK):
            part = keys[start : start + _KEYS_PER_BLOCK]
            part += moves.take((part & _CODE_MASK).view(np.int64), mode="clip")
    keys.sort()
    # Sorting and comparing neighbours is tens of times faster than np.unique on arrays of this size.
    return keys[_is_first(keys)]


def _is_first(values: Keys) -> npt.NDArray[np.bool_]:
    """True where a sorted array takes a new value."""
    first = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first


@dataclass(frozen=True)
class EncodedCodes:
    """Codes as positions in a table of systems by codes, -1 where null; no string of a row is looked at."""

    positions: Integers
    systems: pa.Array
    strings: pa.Array

    @classmethod
    def of(cls, system: str | pa.Array, codes: pa.Array) -> "EncodedCodes":
        """Codes of one system, or of that of each."""
        code_index, strings = dictionary_of(codes)
        if isinstance(system, str):
            return cls(code_index, pa.array([system]), strings)
        system_index, systems = dictionary_of(system)
        if len(systems) == 1 and not system.null_count:
            return cls(code_index, systems, strings)
        pairs = system_index.astype(np.int64) * len(strings) + code_index
        pairs[(system_index < 0) | (code_index < 0)] = -1
        return cls(pairs, systems, strings)

    def take(self, rows: Integers) -> "EncodedCodes":
        """Some of the codes."""
        return EncodedCodes(self.positions.take(rows), self.systems, self.strings)


class CodeNumbers:
    """Number the codes of a data set in the order in which they are met, and rank them at the end.

    Only the distinct strings of a dictionary-encoded column are looked at, never the rows.

    Examples:
        >>> numbers = CodeNumbers()
        >>> numbers.number(EncodedCodes.of("NDC", pa.array(["2", None, "1", "2"]))).tolist()
        [0, -1, 1, 0]
        >>> [part.tolist() for part in numbers.ranked()]
        [['NDC/1', 'NDC/2'], [1, 0]]
    """

    def __init__(self) -> None:
        # Of each system, the codes met and their numbers.
        self._known: dict[str, tuple[pa.Array, Integers]] = {}
        self._tables: dict[str, tuple[pa.Array, pa.Array, int, Integers]] = {}
        self._names = [pa.array([], pa.string())]
        self._ranked = pa.array([], pa.string()), np.empty(0, np.int64)

    def __len__(self) -> int:
        return sum(map(len, self._names))

    def number(self, codes: EncodedCodes, column: str = "") -> Integers:
        """Number each `SYSTEM/CODE`, -1 where one is null; `column` names the table kept for the next batch.

        Raises:
            ClaimDataError: `E_KEY_RANGE`, if there are more distinct codes than a key can tell apart.
        """
        strings, systems = codes.strings, codes.systems.to_pylist()
        none = pa.array([], pa.string()), np.empty(0, np.int32)
        num_known = sum(len(self._known.setdefault(system, none)[0]) for system in systems)
        last = self._tables.get(column)
        if last and last[0].equals(codes.systems) and last[1].equals(strings) and last[2] == num_known:
            table = last[3]
        else:
            table = np.full(len(systems) * len(strings) + 1, _UNNUMBERED, np.int32)
            table[-1] = -1  # of null
            for place, (known, of_known) in enumerate(map(self._known.__getitem__, systems)):
                found = pc.index_in(strings, value_set=known).fill_null(-1).to_numpy()
                table[place * len(strings) :][: len(strings)] = np.append(of_known, _UNNUMBERED).take(
                    found, mode="wrap"
                )
        # `take` with a mode checks no bounds, which is much of an index. A dictionary can hold codes that no row has:
        # they get no number.
        numbers = table.take(codes.positions, mode="wrap")
        if numbers.min(initial=-1) == _UNNUMBERED:
            is_new = np.zeros(len(table), dtype=bool)
            is_new[codes.positions[numbers == _UNNUMBERED]] = True
            for place, system in enumerate(systems):
                new = np.flatnonzero(is_new[place * len(strings) :][: len(strings)])
                of_new = np.arange(len(self), len(self) + len(new), dtype=np.int32)
                table[place * len(strings) + new] = of_new
                known, of_known = self._known[system]
                added = strings.take(pa.array(new))
                self._known[system] = pa.concat_arrays([known, added]), np.append(of_known, of_new)
                self._names.append(pc.binary_join_element_wise(system, added, "/"))
                num_known += len(new)
            numbers = table.take(codes.positions, mode="wrap")
        self._tables[column] = codes.systems, strings, num_known, table
        if len(self) > MAX_CODES:
            raise ClaimDataError(
                "E_KEY_RANGE",
                f"expected at most {MAX_CODES} distinct codes, found {len(self)}; check that no identifier stands in "
                "a code column",
            )
        return numbers

    def names(self) -> pa.Array:
        """All codes met, in the order of their numbers."""
        return pa.concat_arrays(self._names)

    def ranked(self) -> tuple[pa.Array, Integers]:
        """All codes met, each once and sorted, and the position there of each code number."""
        if len(self._ranked[1]) != len(self):
            names = self.names()
            codes = pc.unique(names)
            codes = codes.take(pc.sort_indices(codes))
            self._ranked = codes, pc.index_in(names, value_set=codes).to_numpy().astype(np.int64)
        return self._ranked


def dictionary_of(array: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Split an array of strings into positions and distinct strings, without touching rows that already are.

    Args:
        array (`pa.Array`): Strings, or a dictionary of strings.

    Returns:
        `tuple[np.ndarray, pa.Array]`: Position of each value, -1 where null, and the strings they point to.

    Examples:
        >>> positions, strings = dictionary_of(pa.array(["B", None, "A", "B"]))
        >>> positions.tolist(), strings.to_pylist()
        ([0, -1, 1, 0], ['B', 'A'])
    """
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    positions = array.indices.fill_null(-1) if array.indices.null_count else array.indices
    is_string = array.dictionary.type == pa.string()
    return positions.to_numpy(), array.dictionary if is_string else array.dictionary.cast(pa.string())


class KeySpill:
    """A file that holds the keys of all shards until all keys are known, so that memory stays flat.

    Keys are sorted before they are written, a block at a time, so that each shard lies together in each block. A key
    has no room for more than `MAX_PATIENTS`, so patients beyond are packed from 0 again and belong to the next range,
    which has blocks of its own.

    Args:
        path (`Path`, *optional*): A file to be, within the protected boundary, that the caller removes; in memory
            without, where there are few keys.
        shard_bits (`int`): A shard is of `2 ** shard_bits` patients.
        num_patients (`int`): Number of patients of all ranges.

    Examples:
        >>> spill = KeySpill(None, shard_bits=1, num_patients=4)
        >>> patients = np.array([2, 0, 3])
        >>> spill.append(pack_keys(patients, np.array([9, 9, 5]), np.zeros(3, int)), patients)
        >>> unpack_keys(spill.read(1)).visit_days.tolist()
        [9, 5]
    """

    def __init__(self, path: Path | None, shard_bits: int, num_patients: int) -> None:
        self._file: BufferedRandom | BytesIO = BytesIO() if path is None else path.open("w+b")
        self._waiting: list[list[Keys]] = [[] for _ in range(0, max(num_patients, 1), MAX_PATIENTS)]
        # First key of each shard of a range.
        first_patients = np.arange(0, min(max(num_patients, 1), MAX_PATIENTS), 1 << shard_bits, dtype=np.int64)
        self._first_keys = first_patients.astype(np.uint64) << np.uint64(_DAY_BITS + _TYPE_BITS + _CODE_BITS)
        # Of each block of a range, where in the file each shard begins and the last one ends.
        self._bounds: list[list[list[int]]] = [[] for _ in self._waiting]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def append(self, keys: Keys, patients: Integers) -> None:
        """Add keys, or rows that begin with one, of some patients."""
        for number, waiting in enumerate(self._waiting):
            waiting.append(keys if len(self._waiting) == 1 else keys[patients // MAX_PATIENTS == number])
            if sum(map(len, waiting)) >= _KEYS_PER_BLOCK:
                self._write_block(number)

    def _write_block(self, number: int) -> None:
        keys = np.concatenate(self._waiting[number])
        self._waiting[number] = []
        if keys.ndim == 1:
            keys.sort()
        else:
            keys = keys.take(np.argsort(keys[:, 0]), axis=0)
        starts = np.searchsorted(keys if keys.ndim == 1 else keys[:, 0], self._first_keys)
        bounds = np.append(starts, len(keys)) * keys[:1].nbytes + self._file.seek(0, SEEK_END)
        self._bounds[number].append(bounds.tolist())
        # Not `tofile`, whose error on a full disk does not say that the disk is full.
        self._file.write(keys.data)

    def read(self, shard: int) -> Keys:
        """All keys of a shard, a flat array of rows where they are rows; it may be overwritten."""
        number, place = divmod(shard, len(self._first_keys))
        if self._waiting[number]:
            self._write_block(number)
        spans = [bounds[place : place + 2] for bounds in self._bounds[number]]
        content = np.empty(sum(end - start for start, end in spans), np.uint8)
        filled = 0
        for start, end in spans:
            self._file.seek(start)
            filled += self._file.readinto(content[filled : filled + end - start].data)
        return content.view(np.uint64)
