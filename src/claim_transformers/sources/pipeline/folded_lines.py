"""Lines of folded rows, unfolded when the rows are sorted: sorting few rows costs less than sorting their lines.

What is done here with batches of Arrow is what `lines.unfold_claims` says as an expression. Codes are numbers from the
first batch on to the file, which holds each once: a list of codes is one of integers, each the place of its column
times 2^24 plus the number of its code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.packing import Integers
from claim_transformers.claims.schema import SCHEMAS
from claim_transformers.claims.store import ROWS_PER_GROUP
from claim_transformers.sources.pipeline.lines import AMOUNTS, read_code_name

if TYPE_CHECKING:
    import numpy.typing as npt

    _Ints = npt.NDArray[np.int32]

_CLAIM = ("patient_id", "claim_start_date", "claim_id")
_LINE_NUMBER, _LEDGER_NUMBER, _LINE = "claim_line_number", "ledger_number", "hcpcs_code"
_CODE_BITS = 24
_NO_CODE = (1 << _CODE_BITS) - 1


class LineUnfolder:
    """Folded rows to lines.

    Args:
        break_ties (`Callable[[pa.Table], Integers]`): Numbers by which lines of one number are put in order.
    """

    def __init__(self, break_ties: Callable[[pa.Table], Integers]) -> None:
        self._break_ties = break_ties
        self._codes = pa.array([], pa.string())
        # By column of the lines, those of the rows, as `lines.code_name` names them.
        self._names: dict[str, list[str]] = {}

    def fold(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Put the codes of each row into one list for each column of the lines."""
        columns: dict[str, pa.Array] = {}
        self._names = {}
        for name in batch.schema.names:
            if column := read_code_name(name)[0]:
                self._names.setdefault(column, []).append(name)
            else:
                columns[name] = batch[name]
        for column, names in self._names.items():
            columns[column] = self._listed([batch[name] for name in names], batch.num_rows, column == _LINE)
        return pa.record_batch(columns)

    def _listed(self, columns: Sequence[pa.Array], num_rows: int, keeps_rows: bool) -> pa.ListArray:
        """A list of integers for each row; of a row without a code that may not vanish the first place."""
        filled = [np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)) for column in columns]
        entries = [self._numbered(pa.concat_arrays([column.drop_null() for column in columns]))]
        entries[0] += np.repeat(np.arange(len(columns), dtype=np.int32) << _CODE_BITS, list(map(len, filled)))
        counts = np.bincount(np.concatenate(filled), minlength=num_rows)
        if keeps_rows and len(empty := np.flatnonzero(counts == 0)):
            filled.append(empty)
            entries.append(np.full(len(empty), _NO_CODE, np.int32))
            counts = np.maximum(counts, 1)
        # Numbers of 16 bits, enough for the rows of a batch, are sorted in one pass.
        order = np.argsort(np.concatenate(filled).astype(np.min_scalar_type(num_rows - 1)), kind="stable")
        offsets = np.append(np.int32(0), np.cumsum(counts, dtype=np.int32))
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(entries)[order]))

    def _numbered(self, texts: pa.Array) -> _Ints:
        """Numbers of codes, of new ones the next."""
        found = texts.dictionary_encode()
        numbers = pc.index_in(found.dictionary, value_set=self._codes)
        new = numbers.is_null()
        self._codes = pa.concat_arrays([self._codes, found.dictionary.filter(new)])
        if len(self._codes) >= _NO_CODE:
            raise ValueError(f"expected fewer than {_NO_CODE:,} different codes, found as many: ingest parts alone")
        known: _Ints = numbers.fill_null(0).to_numpy().copy()
        known[new.to_numpy(zero_copy_only=False)] = np.arange(len(self._codes) - new.true_count, len(self._codes))
        of_texts: _Ints = known.take(found.indices.to_numpy())
        return of_texts

    def unfold(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Give the lines of sorted rows in order, so many at once as a group of the file has."""
        kept: list[tuple[pa.Table, pa.Table]] = []
        num_kept = 0
        for rows, lines in self._lines_of(tables):
            kept, num_kept = [*kept, (rows, lines)], num_kept + lines.num_rows
            while num_kept >= ROWS_PER_GROUP:
                (rows, lines), num_kept = kept[-1], num_kept - ROWS_PER_GROUP
                yield self._gathered([*kept[:-1], (rows, lines[: lines.num_rows - num_kept])])
                kept = [(rows, lines[lines.num_rows - num_kept :])] if num_kept else []
        if num_kept:
            yield self._gathered(kept)

    def _lines_of(self, tables: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Rows and lines of whole claims, in order; the last claim of a table may go on in the next one."""
        kept: list[pa.Table] = []
        for table in tables:
            rows = pa.concat_tables([*kept, table]).combine_chunks()
            columns = (rows[name].chunk(0) for name in _CLAIM)
            is_equal = [pc.equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False) for column in columns]
            is_same = np.logical_and.reduce(is_equal)
            start = int(np.flatnonzero(~np.append(False, is_same))[-1])
            kept = [rows[start:]]
            if start:
                yield rows[:start], self._ordered(rows[:start], is_same[: start - 1])
        for rows in kept:
            yield rows, self._ordered(rows, np.ones(rows.num_rows - 1, bool))

    def _ordered(self, rows: pa.Table, is_same_claim: npt.NDArray[np.bool_]) -> pa.Table:
        """Row, entry and number of each line; those of a claim in several rows may lie among each other."""
        listed = rows[_LINE].chunk(0)
        entries, counts = listed.flatten().to_numpy(), pc.list_value_length(listed).to_numpy()
        row = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        numbers = rows[_LINE_NUMBER].to_numpy()[row] + (entries >> _CODE_BITS) + 1
        is_first = np.diff(row, prepend=-1) != 0
        lines = pa.table({"row": row, "entry": entries, "number": numbers, "is_first": is_first})
        if not is_same_claim.any():
            return lines
        claims = np.cumsum(~np.append(False, is_same_claim))[row]
        is_behind = (claims[1:] == claims[:-1]) & (numbers[1:] <= numbers[:-1])
        if not is_behind.any():
            return lines
        places = np.flatnonzero(np.isin(claims, claims[1:][is_behind]))
        breaking = self._break_ties(self._gathered([(rows, lines.take(pa.array(places)))]))
        order = np.arange(len(row))
        order[places] = places[np.lexsort((breaking, numbers[places], claims[places]))]
        return lines.take(pa.array(order))

    def _gathered(self, parts: Sequence[tuple[pa.Table, pa.Table]]) -> pa.Table:
        """Lines as the table has them."""
        tables, of_lines, start = [], [], 0
        for part, lines in parts:
            row = lines["row"].to_numpy()
            tables.append(part[row.min() : row.max() + 1])
            of_lines.append(row - row.min() + start)
            start += tables[-1].num_rows
        rows, lines = np.concatenate(of_lines), pa.concat_tables([lines for _, lines in parts])
        entries, is_first = (lines[name].to_numpy() for name in ("entry", "is_first"))
        table = pa.concat_tables(tables).combine_chunks()
        columns = {name: _taken(table[name].chunk(0), rows) for name in table.column_names if name not in self._names}
        columns[_LINE_NUMBER] = lines["number"]
        columns[_LEDGER_NUMBER] = pc.add(columns[_LEDGER_NUMBER], pa.array(is_first.astype(np.int32)))
        for name in {*AMOUNTS} & {*columns}:
            columns[name] = pc.if_else(pa.array(is_first), columns[name], None)
        places, codes = self._placed(entries & _NO_CODE)
        columns[_LINE] = pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), codes)
        for name in {*self._names} - {_LINE}:
            columns[name] = self._structs(name, table[name].chunk(0), rows)
        return pa.table(columns)

    def _structs(self, column: str, listed: pa.ListArray, rows: Integers) -> pa.ListArray:
        """Lists of codes of rows as the table has them; what all lines of a row share is worked out once."""
        offsets = listed.offsets.to_numpy()
        entries = listed.values.to_numpy()[offsets[0] : offsets[-1]]
        counts = np.diff(offsets)[rows]
        ends = np.cumsum(counts, dtype=np.int32)
        # Of each code of a line its place among the codes of the rows.
        found = np.repeat((offsets[:-1] - offsets[0])[rows] - ends + counts, counts)
        found += np.arange(len(found), dtype=np.int32)
        _, systems, numbers = zip(*map(read_code_name, self._names[column]), strict=True)
        different = list(dict.fromkeys(systems))
        place = entries >> _CODE_BITS
        system = np.array([different.index(name) for name in systems], np.uint8)[place]
        places, codes = self._placed(entries & _NO_CODE)
        system, places, rank = (
            pc.take(pa.array(values), pa.array(found), boundscheck=False)
            for values in (system, places, np.array(numbers, np.int8)[place])
        )
        known = {
            "system": pa.DictionaryArray.from_arrays(system, pa.array(different), safe=False),
            "code": pa.DictionaryArray.from_arrays(places, codes, safe=False),
            "rank": rank,
        }
        fields = list(SCHEMAS["claim_line"].field(column).type.value_type)
        parts = [known[one.name] if one.name in known else pa.nulls(len(found), one.type) for one in fields]
        structs = pa.StructArray.from_arrays(parts, names=[one.name for one in fields])
        return pa.ListArray.from_arrays(pa.array(np.append(np.int32(0), ends)), structs)

    def _placed(self, numbers: _Ints) -> tuple[_Ints, pa.Array]:
        """Places of codes among those that occur, in the order in which they do, -1 where there is none; and those."""
        none = len(self._codes)
        numbers = np.minimum(numbers, none)
        firsts = np.full(none + 1, -1, np.int32)
        firsts[numbers[::-1]] = np.arange(len(numbers), dtype=np.int32)[::-1]
        used = np.flatnonzero(firsts[:none] >= 0)
        used = used[np.argsort(firsts[used])]
        places = np.full(none + 1, -1, np.int32)
        places[used] = np.arange(len(used))
        return places[numbers], self._codes.take(pa.array(used))


def _taken(column: pa.Array, rows: Integers) -> pa.Array:
    """Values of rows; texts, which stand on several lines each, as places in those that differ."""
    if not pa.types.is_string(column.type):
        return pc.take(column, pa.array(rows), boundscheck=False)
    encoded = column.dictionary_encode()
    places = pc.take(encoded.indices, pa.array(rows), boundscheck=False)
    return pa.DictionaryArray.from_arrays(places, encoded.dictionary)
