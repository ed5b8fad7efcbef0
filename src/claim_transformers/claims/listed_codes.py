"""Codes that stand in lists, as diagnoses and procedures do: one flat array of them for all rows, never a list a row.

The lines of a claim follow each other and mostly repeat its lists, so what a line repeats is found first and left out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.enrollment import days_of
from claim_transformers.claims.packing import EncodedCodes, Integers


@dataclass(frozen=True)
class ListedCodes:
    """The codes of some rows, `lengths` of each, with the rank or the day of each where any has one."""

    lengths: npt.NDArray[np.intp]
    codes: EncodedCodes
    field: Integers | None

    @classmethod
    def of(cls, batch: pa.RecordBatch, column: str, field: str) -> "ListedCodes":
        """Read a column of lists of structs with `system`, `code` and the field, as `EncodedFiles` gives it."""
        lists, told = batch[column], batch.schema.metadata or {}
        lengths = pc.list_value_length(lists)
        lengths = (lengths.fill_null(0) if lengths.null_count else lengths).to_numpy().astype(np.intp)
        structs = lists.flatten()
        system, code, values = (
            pc.struct_field(structs, name)
            if (path := f"{column}.list.element.{name}".encode()) not in told
            else told[path].decode() or pa.nulls(len(structs), pa.string())
            for name in ("system", "code", field)
        )
        numbers = None
        if values.null_count < len(values):
            values = values.fill_null(-1) if values.null_count and pa.types.is_integer(values.type) else values
            numbers = days_of(values) if pa.types.is_date(values.type) else values.to_numpy(zero_copy_only=False)
        return cls(lengths, EncodedCodes.of(system, code), numbers)

    @property
    def num_codes(self) -> int:
        """Number of codes that are not null."""
        return int(np.count_nonzero(self.codes.positions >= 0))

    def find_repeats(self, is_same: "npt.NDArray[np.bool_]") -> "npt.NDArray[np.bool_]":
        """Which rows have the list of the row before, among those that are the same in all else."""
        is_repeat = is_same.copy()
        is_repeat[:1] = False
        is_repeat[1:] &= self.lengths[1:] == self.lengths[:-1]
        rows = np.flatnonzero(is_repeat)
        # Longest lists first, so that those which still have a code at a place come before those that have none.
        rows = rows.take(np.argsort(-self.lengths.take(rows)))
        lengths, places, differs = self.lengths.take(rows), self._starts.take(rows), np.zeros(len(rows), bool)
        before = places - lengths
        columns = [column for column in (self.codes.positions, self.field) if column is not None]
        for num_longer in len(rows) - np.cumsum(np.bincount(lengths))[:-1]:
            here, there = places[:num_longer], before[:num_longer]
            for column in columns:
                differs[:num_longer] |= column.take(here, mode="wrap") != column.take(there, mode="wrap")
            here += 1
            there += 1
        is_repeat[rows[differs]] = False
        return is_repeat

    @cached_property
    def _starts(self) -> npt.NDArray[np.intp]:
        return np.cumsum(self.lengths) - self.lengths

    def take(self, rows: Integers) -> "ListedCodes":
        """The lists of some rows."""
        lengths = self.lengths.take(rows)
        ends = np.cumsum(lengths)
        places = np.repeat(self._starts.take(rows) - ends + lengths, lengths)
        places += np.arange(len(places))
        return ListedCodes(lengths, self.codes.take(places), None if self.field is None else self.field.take(places))
