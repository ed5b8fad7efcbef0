"""Parquet files of a table, read with their strings still dictionary-encoded, as they are stored; or one in memory.

The work on a column of codes then is work on its few distinct strings, and the many rows are integers.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.packing import dictionary_of
from claim_transformers.codes.errors import ClaimDataError

# So few that what is made of a batch is small, and takes the memory that the batch before gave back.
ROWS_PER_BATCH = 1 << 15
_LIST = ".list.element."
_LONGEST_TOLD = 32  # a writer may cut longer strings in its statistics


class EncodedFiles:
    """The parquet files of one table; `fields` says by name which ones of nested columns are read."""

    def __init__(self, paths: Sequence[Path], fields: Callable[[str], bool] = lambda name: True) -> None:
        self.paths = list(paths)
        self._fields = fields
        self._footers = [pq.read_metadata(path) for path in self.paths]
        self.num_rows = sum(footer.num_rows for footer in self._footers)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def batches(self, columns: Sequence[str], max_rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """Read some columns, strings as dictionaries.

        What the statistics tell is not decoded: a column that holds nothing is nulls without a type, one of one string
        repeats it; fields of lists are missing then, and the metadata of the batch has the string under their path.

        Each batch holds rows of one row group of one file.

        Raises:
            ClaimDataError: `E_COLUMN`, if a file lacks a column.
        """
        for path, footer in zip(self.paths, self._footers, strict=True):
            leaves = self._leaves(footer.schema, columns)
            strings = [leaf for leaf, is_string in leaves.items() if is_string]
            with pq.ParquetFile(path, metadata=footer, read_dictionary=strings) as file:
                # Row groups differ in their dictionaries, and Arrow 26 cannot join those of strings within lists.
                for group in range(file.num_row_groups):
                    told = _told_by_statistics(footer.row_group(group), leaves)
                    read = [leaf for leaf in leaves if leaf not in told]
                    held = {leaf.split(".")[0] for leaf in read}
                    for batch in file.iter_batches(max_rows, row_groups=[group], columns=read):
                        size = batch.num_rows
                        arrays = [batch[one] if one in held else _repeat(told[one], size) for one in columns]
                        yield pa.record_batch(arrays, columns, metadata=told)

    @property
    def column_names(self) -> list[str]:
        """Columns of the table; none without files."""
        return self._footers[0].schema.to_arrow_schema().names if self._footers else []

    def distinct(self, column: str) -> pa.Array:
        """Distinct strings of a column, without null."""
        distinct: pa.Array = pa.array([], pa.string())
        parts: list[pa.Array] = []
        for batch in self.batches([column], 4 * ROWS_PER_BATCH):
            positions, strings = dictionary_of(batch[column])
            # A dictionary can hold strings that no row uses.
            is_used = np.zeros(len(strings) + 1, dtype=bool)
            is_used[positions] = True
            parts.append(strings.filter(pa.array(is_used[:-1])))
            # Joined only once as many have come as there are, each is looked at a few times, however many batches.
            if sum(map(len, parts)) > len(distinct):
                distinct, parts = pc.unique(pa.chunked_array([distinct, *parts])), []
        return pc.unique(pa.chunked_array([distinct, *parts]))

    def _leaves(self, schema: pq.ParquetSchema, columns: Sequence[str]) -> dict[str, bool]:
        """Parquet paths of the columns and whether each holds strings."""
        leaves: dict[str, bool] = {}
        found = [schema.column(number) for number in range(len(schema))]
        for column in columns:
            of_column = [leaf for leaf in found if leaf.path.split(".")[0] == column]
            if not of_column:
                table = self.paths[0].parent.name
                raise ClaimDataError(
                    "E_COLUMN", f"{table}: expected a column {column!r}, found {schema.to_arrow_schema().names}"
                )
            for leaf in of_column:
                if leaf.path == column or self._fields(leaf.path.rsplit(".", 1)[1]):
                    leaves[leaf.path] = leaf.physical_type == "BYTE_ARRAY"
        return leaves


def _told_by_statistics(group: pq.RowGroupMetaData, leaves: Collection[str]) -> dict[str, str]:
    """What the statistics tell: leaves that hold one string, or nothing; not of codes, nor of a struct in no list."""
    told = {}
    for chunk in map(group.column, range(group.num_columns)):
        leaf, found = chunk.path_in_schema, chunk.statistics
        is_code = leaf.endswith(f"{_LIST}code") or ("." in leaf and _LIST not in leaf)
        if leaf not in leaves or is_code or not found or not found.has_null_count:
            continue
        if found.null_count == chunk.num_values:
            told[leaf] = ""
        elif not found.null_count and found.has_min_max and found.min == found.max:
            told |= {leaf: found.min} if isinstance(found.min, str) and 0 < len(found.min) < _LONGEST_TOLD else {}
    return told


def _repeat(string: str, number: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(number, np.int32), [string]) if string else pa.nulls(number)


class TableInMemory(EncodedFiles):
    """A small table that is no file: the few rows of a request, which are read as they are."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__([])
        self._table, self.num_rows = table, table.num_rows

    def __bool__(self) -> bool:
        return bool(self.num_rows)

    def batches(self, columns: Sequence[str], max_rows: int = ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """The rows, with some columns."""
        yield from self._table.select(columns).to_batches()

    @property
    def column_names(self) -> list[str]:
        """Columns of the table."""
        return list(self._table.column_names)
