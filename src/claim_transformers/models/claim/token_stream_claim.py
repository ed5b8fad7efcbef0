"""Token stream of many patients, given as an Arrow table, into tokens: the bulk path, vectorised over whole batches.

Strings are hashed once by Arrow, everything after that is integer arithmetic on flat arrays. [`encode_history`] writes
the same tokens one patient at a time and serves as the oracle in tests.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .canonical_claim import OLDEST_YEARS, canonical_code, canonical_sex, has_system, impossible_age, without_system
from .patients_claim import MAX_SPAN_DAYS, age_in_years
from .visits_claim import VisitColumns, as_strings, load_arrow, read_optional_integers, read_patient_codes, read_visits
from .vocabulary_claim import GAP_BOUNDS_DAYS, GAP_START, LEVELS, ClaimVocabulary, EncodingOptions, code_system

PATIENT_COLUMNS = (
    *("sex", "birth_day", "index_day", "age", "patient_codes"),
    *("visit_day", "visit_type", "codes", "principal_codes"),
)
# Rare codes come back in the next batch; the bound keeps damaged input from filling the memory.
_REMEMBERED_CODES = 2**17
_CODE_BITS = np.int64(32)
_CODE_MASK = np.int64(2**32 - 1)


class TableEncoder:
    """Write batches of patients as tokens, and count at which level each code was found.

    Args:
        vocabulary (`ClaimVocabulary`): Token ids.
        options (`EncodingOptions`): How to write.

    Examples:
        >>> from .categories_claim import CodeCategories
        >>> tokens = {"[UNK]": 0, "ICD9CM/493": 1, "SEX/F": 2}
        >>> vocabulary = ClaimVocabulary(tokens, ["[UNK]"], "[UNK]", CodeCategories(), {}, backoff=True)
        >>> pa, _ = load_arrow()
        >>> visits = {"visit_day": [[4]], "visit_type": [["OP"]], "codes": [[["ICD9CM/49392", "NDC/1"]]], "sex": ["F"]}
        >>> encoder = TableEncoder(vocabulary, EncodingOptions())
        >>> encoder.encode_batch(pa.record_batch(visits)).column("input_ids").to_pylist()
        [[2, 0, 1]]
        >>> encoder.level_counts()["ICD9CM"]["prefix"]
        1
    """

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
        self.counts = np.zeros((len(vocabulary.systems), len(LEVELS)), dtype=np.int64)
        self.foreign_types: set[str] = set()

    def encode_batch(self, batch: Any) -> Any:
        """Write a batch of patients as tokens.

        Args:
            batch (`pyarrow.RecordBatch`): Rows of the patients table.

        Returns:
            `pyarrow.RecordBatch`: `input_ids`, `visit_ids`, `visit_days`, `category_ids` (lists of int32), `length`.

        Raises:
            ValueError: If a column is malformed, a visit is not before `index_day`, or visits span too many days.
        """
        visits = read_visits(batch, self.options.max_visits, mark_principal=self.options.mark_principal)
        starts = np.searchsorted(visits.row, np.arange(visits.num_rows + 1))
        relative_day = visits.day - visits.day[starts[visits.row]]
        if relative_day.size and relative_day.max() > MAX_SPAN_DAYS:
            raise ValueError(f"expected the visits in view to span at most {MAX_SPAN_DAYS} days, found more")
        patient_tokens = self._patient_tokens(batch, visits, starts)
        self.foreign_types.update(filter(self.vocabulary.is_foreign_type, visits.types))
        type_ids = np.array([self.vocabulary.find_type(name) for name in visits.types])[visits.type_index]
        visit_tokens = np.stack([type_ids, self._time_tokens(visits, starts, relative_day)], axis=1)
        code_visit, code_ids = self._distinct_codes(visits.codes, visits.code_visit, self.options.max_codes_per_visit)
        if self.options.mark_principal:
            code_visit, code_ids = self._with_principal(visits, code_visit, code_ids)
        code_patient, patient_code_ids = self._distinct_codes(*read_patient_codes(batch), None)

        # Slot 0 of a patient stands before its visits, so the slot of a visit is its position plus its row plus 1.
        slot_of_visit = np.arange(visits.row.size) + visits.row + 1
        slot_of_patient = starts[:-1] + np.arange(visits.num_rows)
        tokens_per_slot = np.empty(visits.row.size + visits.num_rows, dtype=np.int64)
        head = (visit_tokens >= 0).sum(axis=1)
        codes_per_visit = np.bincount(code_visit, minlength=visits.row.size)
        tokens_per_slot[slot_of_visit] = head + codes_per_visit
        known_of_patient = (patient_tokens >= 0).sum(axis=1)
        codes_per_patient = np.bincount(code_patient, minlength=visits.num_rows)
        tokens_per_slot[slot_of_patient] = known_of_patient + codes_per_patient
        token_starts = np.concatenate([[0], np.cumsum(tokens_per_slot)])

        input_ids = np.empty(token_starts[-1], dtype=np.int32)
        _scatter_head(input_ids, token_starts[slot_of_patient], patient_tokens)
        _scatter_head(input_ids, token_starts[slot_of_visit], visit_tokens)
        _scatter_codes(input_ids, token_starts[slot_of_visit] + head, code_visit, code_ids)
        _scatter_codes(input_ids, token_starts[slot_of_patient] + known_of_patient, code_patient, patient_code_ids)

        slot_number = np.zeros(tokens_per_slot.size, dtype=np.int32)
        slot_number[slot_of_visit] = np.arange(visits.row.size) - starts[visits.row] + 1
        slot_days = np.zeros(tokens_per_slot.size, dtype=np.int32)
        slot_days[slot_of_visit] = relative_day
        slot_days[slot_of_patient] = _index_days(batch, visits, starts)
        slot_offsets = np.append(slot_of_patient, tokens_per_slot.size)
        visit_ids = np.repeat(slot_number, tokens_per_slot)
        return self._to_batch(slot_offsets, token_starts[slot_offsets], input_ids, visit_ids, slot_days)

    def level_counts(self, since: np.ndarray | int = 0) -> dict[str, dict[str, int]]:
        """Report how the codes of all batches so far were found.

        Args:
            since (`np.ndarray`, *optional*): `counts` of a time from which on codes are reported.

        Returns:
            `dict[str, dict[str, int]]`: System to level of `LEVELS` to number of codes in view, before codes are made
            distinct; systems without codes are left out.
        """
        return {
            system: dict(zip(LEVELS, map(int, row), strict=True))
            for system, row in zip(self.vocabulary.systems, self.counts - since, strict=True)
            if row.any()
        }

    def _to_batch(
        self,
        slot_offsets: np.ndarray,
        token_offsets: np.ndarray,
        input_ids: np.ndarray,
        visit_ids: np.ndarray,
        slot_days: np.ndarray,
    ) -> Any:
        """Flat arrays and offsets as list columns."""
        pa, _ = load_arrow()
        tokens, slots = pa.array(token_offsets, type=pa.int32()), pa.array(slot_offsets, type=pa.int32())
        columns = {
            "input_ids": pa.ListArray.from_arrays(tokens, input_ids),
            "visit_ids": pa.ListArray.from_arrays(tokens, visit_ids),
            "visit_days": pa.ListArray.from_arrays(slots, slot_days),
            "category_ids": pa.ListArray.from_arrays(tokens, self.vocabulary.category_of_token[input_ids]),
            "length": pa.array(np.diff(slot_offsets), type=pa.int32()),
        }
        return pa.RecordBatch.from_pydict(columns)

    def _patient_tokens(self, batch: Any, visits: VisitColumns, starts: np.ndarray) -> np.ndarray:
        """Tokens of slot 0, shape (B, 2): age and sex, -1 for none, the unknown token where both are none."""
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
        last_age = self.options.max_age_years
        years = np.clip(np.where(has_age, age_years, computed), 0, last_age)
        age_ids = np.array([self.vocabulary.find(f"AGE/{age}") for age in range(last_age + 1)])[years]
        tokens = np.stack([np.where(known, age_ids, -1), self._sex_tokens(batch)], axis=1)
        tokens[(tokens < 0).all(axis=1), 1] = self.vocabulary.unk_id
        return tokens

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

    def _time_tokens(self, visits: VisitColumns, starts: np.ndarray, relative_day: np.ndarray) -> np.ndarray:
        """Time token of each visit, -1 for none."""
        find, options = self.vocabulary.find, self.options
        if options.time_tokens == "day":
            ids = np.array([find(f"DAY/{day}") for day in range(options.max_day + 1)])
            bucket = np.minimum(relative_day, options.max_day)
        elif options.time_tokens == "gap":
            ids = np.array([*(find(f"GAP/{bound}") for bound in GAP_BOUNDS_DAYS), find(GAP_START)])
            gap_days = np.diff(relative_day, prepend=0)
            # The exponent of a float64 is the bit length of the integer, exact below 2^53.
            bucket = np.minimum(np.frexp(gap_days.astype(np.float64))[1], len(GAP_BOUNDS_DAYS) - 1)
            is_first = np.arange(visits.row.size) == starts[visits.row]
            bucket[is_first] = -1
        else:
            ids, bucket = np.array([-1]), np.zeros(visits.row.size, dtype=np.int64)
        tokens: np.ndarray = ids[bucket]
        return tokens

    def _distinct_codes(self, codes: Any, owner: np.ndarray, max_codes: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Owner (a visit or a patient) and id of each distinct code of each owner, ordered by (owner, id)."""
        ids, cells = self._resolve(codes)
        known = ids >= 0
        if not known.all():
            ids, cells, owner = ids[known], cells[known], owner[known]
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)
        keys = _sorted_distinct(owner << _CODE_BITS | ids)
        if max_codes is not None:
            keys = _cap_codes(keys, self.vocabulary.priority, max_codes)
        return keys >> _CODE_BITS, keys & _CODE_MASK

    def _with_principal(
        self, visits: VisitColumns, code_visit: np.ndarray, code_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The codes of each visit and its principal diagnoses, ordered by (visit, id)."""
        ids = _each_distinct(visits.principal, self._find_principal, -1)
        known = ids >= 0
        marks = visits.principal_visit[known] << _CODE_BITS | ids[known]
        keys = _sorted_distinct(np.concatenate([code_visit << _CODE_BITS | code_ids, marks]))
        return keys >> _CODE_BITS, keys & _CODE_MASK

    def _resolve(self, codes: Any) -> tuple[np.ndarray, np.ndarray]:
        """Id of each code, -1 for null, and its cell in the (system, level) counts."""
        pa, pc = load_arrow()
        if pa.types.is_dictionary(codes.type):
            ids, cells = self._resolve(codes.dictionary)
            index = codes.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
            return np.append(ids, -1)[index], np.append(cells, 0)[index]
        index = pc.index_in(codes, value_set=self._codes.cast(codes.type)).fill_null(-1)
        index = index.to_numpy(zero_copy_only=False)
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


def _sorted_distinct(keys: np.ndarray) -> np.ndarray:
    """Keys in ascending order, each once."""
    # Codes of a row are sorted strings and so is the vocabulary: often there is nothing to do.
    if (keys[1:] > keys[:-1]).all():
        return keys
    keys = np.sort(keys)
    distinct: np.ndarray = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return distinct


def _cap_codes(keys: np.ndarray, priority: np.ndarray, max_codes: int) -> np.ndarray:
    """The codes of each visit with the first priorities."""
    visit = keys >> _CODE_BITS
    order = np.argsort(visit << _CODE_BITS | priority[keys & _CODE_MASK])
    # Keys are grouped by visit, and so is the order: both groupings have the same boundaries.
    rank = np.arange(keys.size) - np.searchsorted(visit, visit)
    return np.sort(keys[order[rank < max_codes]])


def _scatter_codes(input_ids: np.ndarray, first_place: np.ndarray, owner: np.ndarray, code_ids: np.ndarray) -> None:
    """Write codes, ordered by their owner, from the owner's first place on."""
    per_owner = np.bincount(owner, minlength=first_place.size)
    offset = first_place - (np.cumsum(per_owner) - per_owner)
    input_ids[offset[owner] + np.arange(code_ids.size)] = code_ids


def _scatter_head(input_ids: np.ndarray, slot_starts: np.ndarray, tokens: np.ndarray) -> None:
    """Write the leading tokens of each slot, leaving out -1."""
    present = tokens >= 0
    before: np.ndarray = np.cumsum(present, axis=1) - present
    input_ids[(slot_starts[:, None] + before)[present]] = tokens[present]


def empty_batch(table: Any) -> Any:
    """A batch without rows that has the columns of a table."""
    pa, _ = load_arrow()
    names = [name for name in PATIENT_COLUMNS if name in table.column_names]
    return pa.RecordBatch.from_pydict({name: pa.array([], type=table.schema.field(name).type) for name in names})
