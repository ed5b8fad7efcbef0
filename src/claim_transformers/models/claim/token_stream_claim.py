"""Token stream of many patients, given as an Arrow table, into tokens: the bulk path, vectorised over whole batches.

Strings are hashed once by Arrow, everything after that is integer arithmetic on flat arrays. [`encode_history`] writes
the same tokens one patient at a time and serves as the oracle in tests.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from .canonical_claim import OLDEST_YEARS, canonical_code, canonical_sex, has_system, impossible_age, without_system
from .patients_claim import MAX_SPAN_DAYS, age_in_years
from .visits_claim import VisitColumns, as_strings, load_arrow, read_optional_integers, read_patient_codes, read_visits
from .vocabulary_claim import (
    GAP_BOUNDS_DAYS,
    GAP_START,
    LEVELS,
    ClaimVocabulary,
    EncodingOptions,
    code_system,
    gap_bucket,
)

PATIENT_COLUMNS = (
    *("sex", "birth_day", "index_day", "age", "patient_codes"),
    *("visit_day", "visit_type", "codes", "principal_codes"),
)
# Rare codes come back in the next batch; the bound keeps damaged input from filling the memory.
_REMEMBERED_CODES = 2**17
# What stands in a slot, in this order: age or type, sex or time, codes in the order of their ids.
_FIRST, _SECOND, _CODE = range(3)


class TableEncoder:
    """Write batches of patients as tokens, and count at which level each code was found."""

    def __init__(self, vocabulary: ClaimVocabulary, options: EncodingOptions) -> None:
        pa, _ = load_arrow()
        self.vocabulary = vocabulary
        self.options = options
        self._codes = pa.array(list(vocabulary.code_ids), type=pa.string())
        # Position -1 is the last entry: it stands for a code that was not found.
        self._ids = np.array([*vocabulary.code_ids.values(), -1], dtype=np.int64)
        self._first_cell = {system: number * len(LEVELS) for number, system in enumerate(vocabulary.systems)}
        self._cells = np.array([*(self._cell(code, "exact") for code in vocabulary.code_ids), 0], dtype=np.int64)
        self._back_off = lru_cache(maxsize=_REMEMBERED_CODES)(self._resolve_one)
        self._find_principal = lru_cache(maxsize=_REMEMBERED_CODES)(vocabulary.find_principal)
        self._age_ids = self._find_all(f"AGE/{age}" for age in range(options.max_age_years + 1))
        self._time_ids = np.array([-1])
        if options.time_tokens == "day":
            self._time_ids = self._find_all(f"DAY/{day}" for day in range(options.max_day + 1))
        elif options.time_tokens == "gap":
            bounds = self._find_all(f"GAP/{bound}" for bound in GAP_BOUNDS_DAYS)
            self._time_ids = bounds[[gap_bucket(gap_days) for gap_days in range(GAP_BOUNDS_DAYS[-1] + 1)]]
        # A token is written as one integer: its slot, then its place there, which is a row of these tables.
        self._vocabulary_size = len(vocabulary.category_of_token)
        self._place_bits = int(3 * self._vocabulary_size).bit_length()
        self._place_ids = np.tile(np.arange(self._vocabulary_size, dtype=np.int32), 3)
        self._place_categories = np.tile(vocabulary.category_of_token, 3)
        self.counts = np.zeros((len(vocabulary.systems), len(LEVELS)), dtype=np.int64)
        self.foreign_types: set[str] = set()

    def encode_batch(self, batch: Any) -> Any:
        """Write rows of the patients table as `input_ids`, `visit_ids`, `visit_days`, `category_ids` and `length`."""
        visits = read_visits(batch, self.options.max_visits, mark_principal=self.options.mark_principal)
        starts = np.append(0, np.cumsum(np.bincount(visits.row, minlength=visits.num_rows)))
        relative_day = visits.day - visits.day[starts[visits.row]]
        if relative_day.size and relative_day.max() > MAX_SPAN_DAYS:
            raise ValueError(f"expected the visits in view to span at most {MAX_SPAN_DAYS} days, found more")
        self.foreign_types.update(filter(self.vocabulary.is_foreign_type, visits.types))
        type_ids = np.array([self.vocabulary.find_type(name) for name in visits.types], dtype=np.int64)

        # Slot 0 of a patient stands before its visits, so the slot of a visit is its position plus its row plus 1.
        slot_of_visit = np.arange(visits.row.size) + visits.row + 1
        slot_of_patient = starts[:-1] + np.arange(visits.num_rows)
        codes, code_patient = read_patient_codes(batch)
        age_ids, sex_ids = self._patient_tokens(batch, visits, starts)
        keys = _sorted_distinct(
            self._keys(_FIRST, slot_of_patient, age_ids),
            self._keys(_SECOND, slot_of_patient, sex_ids),
            self._keys(_CODE, slot_of_patient, self._resolve(codes), code_patient),
            self._keys(_FIRST, slot_of_visit, type_ids[visits.type_index]),
            self._keys(_SECOND, slot_of_visit, self._time_tokens(visits.row, relative_day)),
            self._visit_codes(visits, slot_of_visit),
        )
        slot_days, slot_number = np.zeros((2, slot_of_visit.size + slot_of_patient.size), dtype=np.int32)
        slot_number[slot_of_visit] = np.arange(1, visits.row.size + 1) - starts[visits.row]
        slot_days[slot_of_visit] = relative_day
        slot_days[slot_of_patient] = _index_days(batch, visits, starts)
        return self._to_batch(slot_of_patient, keys, slot_number, slot_days)

    def level_counts(self, since: np.ndarray | int = 0) -> dict[str, dict[str, int]]:
        """Count codes in view, before they are made distinct, by system and level of `LEVELS`."""
        return {
            system: dict(zip(LEVELS, map(int, row), strict=True))
            for system, row in zip(self.vocabulary.systems, self.counts - since, strict=True)
            if row.any()
        }

    def _find_all(self, tokens: Iterable[str]) -> np.ndarray:
        return np.array([self.vocabulary.find(token) for token in tokens], dtype=np.int64)

    def _keys(self, kind: int, slots: np.ndarray, ids: np.ndarray, owner: np.ndarray | None = None) -> np.ndarray:
        """Slot and place of each token of a kind, without -1; `owner` is the position in `slots` that each is of."""
        keys: np.ndarray = (slots << self._place_bits) + kind * self._vocabulary_size
        keys = keys if owner is None else keys[owner]
        keys += ids
        return keys if ids.min(initial=0) >= 0 else keys[ids >= 0]

    def _visit_codes(self, visits: VisitColumns, slot_of_visit: np.ndarray) -> np.ndarray:
        """Keys of the codes of visits and of their principal diagnoses."""
        keys = self._keys(_CODE, slot_of_visit, self._resolve(visits.codes), visits.code_visit)
        if self.options.max_codes_per_visit is not None:
            keys = self._cap_codes(_sorted_distinct(keys), self.options.max_codes_per_visit)
        if not self.options.mark_principal:
            return keys
        ids = _each_distinct(visits.principal, self._find_principal, -1)
        return np.concatenate([keys, self._keys(_CODE, slot_of_visit, ids, visits.principal_visit)])

    def _cap_codes(self, keys: np.ndarray, max_codes: int) -> np.ndarray:
        """The codes of each visit with the first priorities."""
        slot, ids = keys >> self._place_bits, self._place_ids[keys & (2**self._place_bits - 1)]
        order = np.lexsort((self.vocabulary.priority[ids], slot))
        # Keys are grouped by slot, and so is the order: both groupings have the same boundaries.
        rank = np.arange(keys.size) - np.searchsorted(slot, slot)
        return keys[order[rank < max_codes]]

    def _to_batch(
        self, slot_of_patient: np.ndarray, keys: np.ndarray, slot_number: np.ndarray, slot_days: np.ndarray
    ) -> Any:
        """Sorted keys as list columns."""
        pa, pc = load_arrow()
        bits = keys.dtype.type(self._place_bits)
        places, slot = pa.array(keys & ((keys.dtype.type(1) << bits) - keys.dtype.type(1))), pa.array(keys >> bits)
        starts = np.searchsorted(keys, slot_of_patient.astype(keys.dtype) << bits)
        tokens = pa.array(np.append(starts, keys.size)).cast(pa.int32())
        slots = pa.array(np.append(slot_of_patient, slot_days.size)).cast(pa.int32())

        def look_up(table: np.ndarray, rows: Any) -> Any:
            return pa.ListArray.from_arrays(tokens, pc.take(pa.array(table), rows, boundscheck=False))

        columns = {
            "input_ids": look_up(self._place_ids, places),
            "visit_ids": look_up(slot_number, slot),
            "visit_days": pa.ListArray.from_arrays(slots, slot_days),
            "category_ids": look_up(self._place_categories, places),
            "length": pc.list_value_length(pa.ListArray.from_arrays(slots, slot_days)),
        }
        return pa.RecordBatch.from_pydict(columns)

    def _patient_tokens(self, batch: Any, visits: VisitColumns, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Age and sex of each patient as tokens, -1 for none; the sex is the unknown token where both are none."""
        birth_day, has_birth = read_optional_integers(batch, "birth_day")
        index_day, has_index = read_optional_integers(batch, "index_day")
        age_years, has_age = read_optional_integers(batch, "age")
        has_visit = np.diff(starts) > 0
        first_day, last_day = np.zeros((2, visits.num_rows), dtype=np.int64)
        first_day[has_visit] = visits.day[starts[:-1][has_visit]]
        last_day[has_visit] = visits.day[starts[1:][has_visit] - 1]
        leaks = has_visit & has_index & (last_day >= index_day)
        if leaks.any():
            raise ValueError("E_LEAK: expected every visit before index_day, found rows with a later one")

        computed = age_in_years(birth_day, np.where(has_index, index_day, first_day))
        known = has_age | (has_birth & (has_index | has_visit))
        # Counted from a birth, an age may be beyond the oldest: a filler date of birth is old.
        impossible = (has_age & ((age_years < 0) | (age_years > OLDEST_YEARS))) | (known & ~has_age & (computed < 0))
        if impossible.any():
            raise ValueError(impossible_age(int(impossible.sum())))
        years = np.clip(np.where(has_age, age_years, computed), 0, self.options.max_age_years)
        ages, sexes = np.where(known, self._age_ids[years], -1), self._sex_tokens(batch)
        sexes[(ages < 0) & (sexes < 0)] = self.vocabulary.unk_id
        return ages, sexes

    def _sex_tokens(self, batch: Any) -> np.ndarray:
        """Sex token of each patient, -1 for none."""
        pa, pc = load_arrow()
        if "sex" not in batch.schema.names:
            return np.full(len(batch), self.vocabulary.find("SEX/U"))
        sex = as_strings(batch.column("sex"), "sex")
        if not pa.types.is_dictionary(sex.type):
            sex = sex.dictionary_encode()
        # One more entry at the end takes the nulls.
        names = [*sex.dictionary.to_pylist(), None]
        ids = np.array([self.vocabulary.find(f"SEX/{canonical_sex(name)}") for name in names])
        index = pc.fill_null(sex.indices.cast(pa.int64()), len(names) - 1)
        tokens: np.ndarray = ids[index.to_numpy(zero_copy_only=False)]
        return tokens

    def _time_tokens(self, row: np.ndarray, relative_day: np.ndarray) -> np.ndarray:
        """Time token of each visit, -1 for none."""
        is_gap, is_first = self.options.time_tokens == "gap", np.diff(row, prepend=-1) > 0
        days = np.where(is_first, 0, np.diff(relative_day, prepend=0)) if is_gap else relative_day
        tokens: np.ndarray = self._time_ids[np.minimum(days, self._time_ids.size - 1)]
        if is_gap:
            tokens[is_first] = self.vocabulary.find(GAP_START)
        return tokens

    def _resolve(self, codes: Any) -> np.ndarray:
        """Id of each code, -1 for null and blank ones; counts the levels of the others."""
        if not len(codes):
            return np.zeros(0, dtype=np.int64)
        ids, cells = self._find_codes(codes)
        known = slice(None) if ids.min(initial=0) >= 0 else ids >= 0
        self.counts += np.bincount(cells[known], minlength=self.counts.size).reshape(self.counts.shape)
        return ids

    def _find_codes(self, codes: Any) -> tuple[np.ndarray, np.ndarray]:
        """Id of each code, -1 for null, and its cell in the (system, level) counts."""
        pa, pc = load_arrow()
        if pa.types.is_dictionary(codes.type):
            ids, cells = self._find_codes(codes.dictionary)
            index = codes.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            return np.append(ids, -1)[index], np.append(cells, 0)[index]
        index = pc.index_in(codes, value_set=self._codes.cast(codes.type)).fill_null(-1)
        index = index.to_numpy(zero_copy_only=False).astype(np.int64)
        ids, cells = self._ids[index], self._cells[index]
        missing = index < 0
        if missing.any():
            ids[missing], cells[missing] = _each_distinct(codes.filter(pa.array(missing)), self._back_off, (-1, 0)).T
        return ids, cells

    def _resolve_one(self, code: str) -> tuple[int, int]:
        """Id and cell of a code that is no token."""
        token_id, level = self.vocabulary.resolve(code)
        return token_id, self._cell(canonical_code(code), level)

    def _cell(self, code: str, level: str) -> int:
        """Flat position of a code in the (system, level) counts."""
        return self._first_cell.get(code_system(code), self._first_cell["OTHER"]) + LEVELS.index(level)


def _each_distinct(codes: Any, find: Callable[[str], Any], nothing: Any) -> np.ndarray:
    """What is found for each code, in Python once for each distinct string; `nothing` for null and blank ones."""
    pa, _ = load_arrow()
    if not pa.types.is_dictionary(codes.type):
        codes = codes.dictionary_encode()
    names = [(name or "").strip() for name in codes.dictionary.to_pylist()]
    if bare := sum(bool(name) and not has_system(name) for name in names):
        raise ValueError(without_system(bare))
    found = np.array([*(find(name) if name else nothing for name in names), nothing])
    places: np.ndarray = found[codes.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)]
    return places


def _index_days(batch: Any, visits: VisitColumns, starts: np.ndarray) -> np.ndarray:
    """Days from the first visit in view to the index date, 0 without either."""
    index_day, has_index = read_optional_integers(batch, "index_day")
    days = np.zeros(visits.num_rows, dtype=np.int64)
    known = has_index & (np.diff(starts) > 0)
    days[known] = np.minimum(index_day[known] - visits.day[starts[:-1][known]], MAX_SPAN_DAYS)
    return days


def _sorted_distinct(*keys: np.ndarray) -> np.ndarray:
    """All keys in ascending order, each once."""
    together = np.concatenate(keys)
    # Half the memory is half the time of a sort.
    together = together.astype(np.uint32 if together.max(initial=0) < 2**32 else np.int64)
    together.sort()
    is_new = together[1:] != together[:-1]
    return together if is_new.all() else together[np.append(True, is_new)]


def empty_batch(table: Any) -> Any:
    """A batch without rows that has the columns of a table."""
    pa, _ = load_arrow()
    names = [name for name in PATIENT_COLUMNS if name in table.column_names]
    return pa.RecordBatch.from_pydict({name: pa.array([], type=table.schema.field(name).type) for name in names})
