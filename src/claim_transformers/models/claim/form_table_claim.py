"""Tables of claims into the form of a tokenizer: the bulk path, to the codes that [`ClaimForm`] writes one by one.

A code is looked up once for each distinct string; everything after that is integer arithmetic on flat arrays.
"""

from typing import Any

import numpy as np

from .canonical_claim import canonical_code
from .form_claim import COUNTY, NUMBER_COLUMNS, PAID, ClaimForm, other_bins
from .visits_claim import as_strings, flatten_lists, load_arrow

# Rare codes come back in the next table; the bound keeps damaged input from filling the memory.
_REMEMBERED_CODES = 2**17
_WORD_BITS = np.int64(32)
_WORD_MASK = np.int64(2**32 - 1)


class FormWriter:
    """Write tables of claims in a form, and remember what became of a code."""

    def __init__(self, form: ClaimForm) -> None:
        self.form = form
        self._groups: dict[str, str | None] = {}

    def write(self, claims: Any) -> Any:
        """Write rows in the form: with other `codes` and `patient_codes` and, if hidden, no `sex`.

        Rows have `codes`; `visit_amount` and `length_of_stay_days` where the form has bins of them, null where
        unknown; `patient_codes`, `sex` and `county_measures` (a struct of numbers) as far as they are there.

        Raises:
            ValueError: If a column is absent or malformed, or the rows are written in another form. The message holds
                names of columns and groups, never a value.
        """
        missing = [column for name, column in NUMBER_COLUMNS.items() if name in self.form.bins]
        missing = [column for column in missing if column not in claims.schema.names]
        if missing:
            raise ValueError(
                f"expected the columns {', '.join(missing)}, whose numbers the form of the tokenizer writes, found "
                "none; add them, null where unknown"
            )
        claims = _with_column(claims, "codes", self._visit_codes(claims))
        if "patient_codes" in claims.schema.names or "county_measures" in claims.schema.names:
            claims = _with_column(claims, "patient_codes", self._patient_codes(claims))
        if "sex" in self.form.hide and "sex" in claims.schema.names:
            pa, _ = load_arrow()
            claims = _with_column(claims, "sex", pa.nulls(claims.num_rows, claims.schema.field("sex").type))
        return claims

    def _visit_codes(self, claims: Any) -> Any:
        """Codes of every visit: groups in text order, each once, then the bins of its numbers."""
        pa, _ = load_arrow()
        visits, visits_per_row = flatten_lists(_one_array(claims.column("codes")), "codes")
        codes, codes_per_visit = flatten_lists(visits, "codes")
        num_visits = codes_per_visit.size
        groups, group_of_code = self._group_all(codes)
        # One number for each word: groups in text order first, numbers after them, so that sorting a visit by number
        # is the order in which it is written.
        numbers = [word for name in NUMBER_COLUMNS if name in self.form.bins for word in self.form.number_words(name)]
        words = sorted({group for group in groups if group is not None} - set(numbers)) + numbers
        place = {word: number for number, word in enumerate(words)}
        # The entry past the last one takes null codes, as those that are left out have no word.
        word_of_group = np.array([-1 if group is None else place[group] for group in groups] + [-1], dtype=np.int64)
        word = word_of_group[group_of_code]
        visit = np.repeat(np.arange(num_visits), codes_per_visit)
        keys = [(visit << _WORD_BITS | word)[word >= 0]]
        for name, bins in self._number_bins(claims, visits_per_row).items():
            known = np.flatnonzero(bins >= 0)
            keys.append(known << _WORD_BITS | (place[f"{name}/0"] + bins[known]))
        # A visit and a word in one integer: a sort puts words in their place and equal ones side by side.
        key = np.sort(np.concatenate(keys))
        key = key[np.concatenate([[True], key[1:] != key[:-1]])[: key.size]]
        visit, word = key >> _WORD_BITS, key & _WORD_MASK
        self._check_bins(visit, word, place, num_visits)
        # A dictionary, not strings: who reads the codes next hashes each word once.
        written = pa.DictionaryArray.from_arrays(pa.array(word.astype(np.int32)), pa.array(words, pa.string()))
        return _as_lists(visits_per_row, _as_lists(np.bincount(visit, minlength=num_visits), written))

    def _group_all(self, codes: Any) -> tuple[list[str | None], np.ndarray]:
        """What takes the place of each distinct code, and the distinct code of each code; null is past the last."""
        pa, pc = load_arrow()
        encoded = as_strings(codes, "codes").cast(pa.string()).dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        if len(self._groups) > _REMEMBERED_CODES:
            self._groups.clear()
        for code in distinct:
            if code not in self._groups:
                self._groups[code] = self.form.group(code)
        index = pc.fill_null(encoded.indices, len(distinct)).to_numpy(zero_copy_only=False)
        return [self._groups[code] for code in distinct], index

    def _number_bins(self, claims: Any, visits_per_row: np.ndarray) -> dict[str, np.ndarray]:
        """Bin of each number at each visit, -1 where there is none."""
        found = {}
        for name in NUMBER_COLUMNS:
            if name not in self.form.bins:
                continue
            column = _one_array(claims.column(NUMBER_COLUMNS[name]))
            if name == PAID:
                values, values_per_row = flatten_lists(column, NUMBER_COLUMNS[name])
                if not np.array_equal(values_per_row, visits_per_row):
                    raise ValueError("expected one visit_amount for each visit, found rows with more or fewer")
                # In single precision, as cohorts hold amounts: an edge is such a value.
                found[name] = self._bins_of(name, _floats(values).astype(np.float32).astype(np.float64))
            else:
                bins = np.full(visits_per_row.sum(), -1, dtype=np.int64)
                # The last visit of a row is its index stay; a row without visits has none.
                has_visit = visits_per_row > 0
                bins[np.cumsum(visits_per_row)[has_visit] - 1] = self._bins_of(name, _floats(column)[has_visit])
                found[name] = bins
        return found

    def _bins_of(self, name: str, values: np.ndarray) -> np.ndarray:
        return _search(self.form.bins[name], values)

    def _check_bins(self, visit: np.ndarray, word: np.ndarray, place: dict[str, int], num_visits: int) -> None:
        """Refuse a visit whose own token of a number is not that of its number."""
        for name in self.form.bins:
            first = place[f"{name}/0"]
            is_number = (word >= first) & (word < first + len(self.form.number_words(name)))
            if (np.bincount(visit[is_number], minlength=num_visits) > 1).any():
                raise ValueError(other_bins(name))

    def _patient_codes(self, claims: Any) -> Any:
        """Codes of every patient, with measures of counties in the place of `COUNTY/` codes."""
        pa, _ = load_arrow()
        form = self.form
        rows = np.arange(claims.num_rows)
        if "patient_codes" in claims.schema.names:
            codes, codes_per_row = flatten_lists(_one_array(claims.column("patient_codes")), "patient_codes")
            encoded = as_strings(codes, "patient_codes").cast(pa.string()).dictionary_encode()
            distinct = pa.array(map(canonical_code, encoded.dictionary.to_pylist()), pa.string())
            codes = distinct.take(encoded.indices)
        else:
            codes, codes_per_row = pa.array([], pa.string()), np.zeros(claims.num_rows, dtype=np.int64)
        bin_measures = bool(form.county_bins) and "county_measures" in claims.schema.names
        measures = _one_array(claims.column("county_measures")) if bin_measures else None
        owners, words = [np.repeat(rows, codes_per_row)], [codes]
        kept = codes.is_valid().to_numpy(zero_copy_only=False)
        for prefix in form.hidden_prefixes():
            kept &= ~_starts_with(codes, prefix)
        if measures is not None:
            # A row whose measures are not there at all keeps the codes that it came with.
            has_measures = measures.is_valid().to_numpy(zero_copy_only=False)
            kept &= ~(_starts_with(codes, f"{COUNTY}/") & has_measures[owners[0]])
            for name in [] if "county" in form.hide else sorted(form.county_bins):
                bins = _search(form.county_bins[name], self._measure(measures, name))
                owners.append(rows)
                words.append(pa.array(form.county_words(name), pa.string()).take(pa.array(bins, mask=bins < 0)))
                kept = np.append(kept, bins >= 0)
        owner = np.concatenate(owners)[kept]
        word = pa.concat_arrays(words).filter(pa.array(kept))
        # A stable sort: the codes of a patient stay in their order, measures follow by name.
        order = np.argsort(owner, kind="stable")
        return _as_lists(np.bincount(owner, minlength=claims.num_rows), word.take(pa.array(order)))

    def _measure(self, measures: Any, name: str) -> np.ndarray:
        """A measure of each patient's county, NaN where unknown."""
        _, pc = load_arrow()
        names = [measures.type.field(place).name for place in range(measures.type.num_fields)]
        if name not in names:
            raise ValueError(
                f"expected county measures of all bins of the form, found none of the name {name}; build the cohort "
                "with the files of all measures"
            )
        return _floats(pc.struct_field(measures, name))


def decode_codes(claims: Any) -> Any:
    """Give rows that [`FormWriter`] wrote their codes as plain strings, as they are kept on disk."""
    pa, _ = load_arrow()
    visits, visits_per_row = flatten_lists(_one_array(claims.column("codes")), "codes")
    codes, codes_per_visit = flatten_lists(visits, "codes")
    plain = codes.cast(pa.string())
    return _with_column(claims, "codes", _as_lists(visits_per_row, _as_lists(codes_per_visit, plain)))


def _search(edges: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    """Bin of each value, -1 for NaN."""
    known = np.isfinite(values)
    found: np.ndarray = np.searchsorted(edges, np.where(known, values, 0.0), side="right")
    return np.where(known, found, -1)


def _floats(values: Any) -> np.ndarray:
    """Numbers as float64, NaN where null."""
    pa, pc = load_arrow()
    return np.asarray(pc.fill_null(pc.cast(values, pa.float64()), np.nan).to_numpy(zero_copy_only=False))


def _starts_with(codes: Any, prefix: str) -> np.ndarray:
    """Whether each code begins with a prefix; null does not."""
    _, pc = load_arrow()
    return np.asarray(pc.fill_null(pc.starts_with(codes, prefix), False).to_numpy(zero_copy_only=False))


def _one_array(column: Any) -> Any:
    """A column without chunks."""
    pa, _ = load_arrow()
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _as_lists(counts: np.ndarray, values: Any) -> Any:
    """Values cut into lists of given lengths."""
    pa, _ = load_arrow()
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _with_column(claims: Any, name: str, column: Any) -> Any:
    """The rows with a column in the place of the one of its name, or at the end."""
    if name not in claims.schema.names:
        return claims.append_column(name, column)
    return claims.set_column(claims.schema.names.index(name), name, column)
