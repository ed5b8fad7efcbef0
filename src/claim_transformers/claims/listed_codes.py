"""Codes that stand in lists, as diagnoses and procedures do: one flat array of them for all rows, never a list a row.

The lines of a claim follow each other and mostly repeat its lists, so what a line repeats is found first and left out.
"""

from dataclasses import dataclass

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
        lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.intp)
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
        if not len(self.codes.positions):
            return is_repeat
        # A code stands where that of the row before does, one list earlier, if both lists are of the same length.
        before = np.repeat(-self.lengths, self.lengths)
        before += np.arange(len(before))
        differs = self.codes.positions != self.codes.positions.take(before, mode="clip")
        if self.field is not None:
            differs |= self.field != self.field.take(before, mode="clip")
        has_codes = self.lengths > 0
        starts = np.cumsum(self.lengths) - self.lengths
        is_repeat[has_codes] &= ~np.logical_or.reduceat(differs, starts[has_codes])
        return is_repeat

    def take(self, rows: Integers) -> "ListedCodes":
        """The lists of some rows."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        starts = (np.cumsum(self.lengths) - self.lengths)[rows]
        places = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        return ListedCodes(lengths, self.codes.take(places), None if self.field is None else self.field.take(places))
