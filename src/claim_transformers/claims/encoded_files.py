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
_ROWS_PER_BATCH = 1 << 16
_LIST = ".list.element."
_LONGEST_TOLD = 32  # a writer may cut longer strings in its statistics


class EncodedFiles:
    """The parquet files of one table; `fields` says by name which ones of nested columns are read."""

    def __init__(self, paths: Sequence[Path], fields: Callable[[str], bool] = lambda name: True) -> None:
        self.paths = list(paths)
        self._fields = fields
        self.num_rows = sum(pq.read_metadata(path).num_rows for path in self.paths)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def batches(self, columns: Sequence[str], max_rows: int = _ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """Read some columns, strings as dictionaries.

        Fields of lists that hold one string, or null alone, are not decoded where the statistics say so: they
        are missing, and the metadata of the batch has the string, or nothing, under their path.

        Each batch holds rows of one row group of one file.

        Raises:
            ClaimDataError: `E_COLUMN`, if a file lacks a column.
        """
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                leaves = self._leaves(file, columns)
            strings = [leaf for leaf, is_string in leaves.items() if is_string]
            with pq.ParquetFile(path, read_dictionary=strings) as file:
                # Row groups differ in their dictionaries, and Arrow 26 cannot join those of strings within lists.
                for group in range(file.num_row_groups):
                    told = _told_by_statistics(file.metadata.row_group(group), leaves)
                    read = [leaf for leaf in leaves if leaf not in told]
                    for batch in file.iter_batches(max_rows, row_groups=[group], columns=read):
                        yield batch.replace_schema_metadata(told)

    @property
    def column_names(self) -> list[str]:
        """Columns of the table; none without files."""
        return pq.read_schema(self.paths[0]).names if self.paths else []

    def distinct(self, column: str) -> pa.Array:
        """Distinct strings of a column, without null."""
        distinct: pa.Array = pa.array([], pa.string())
        parts: list[pa.Array] = []
        for batch in self.batches([column], 4 * _ROWS_PER_BATCH):
            positions, strings = dictionary_of(batch[column])
            # A dictionary can hold strings that no row uses.
            is_used = np.zeros(len(strings), dtype=bool)
            is_used[positions[positions >= 0]] = True
            parts.append(strings.filter(pa.array(is_used)))
            # Joined only once as many have come as there are, each is looked at a few times, however many batches.
            if sum(map(len, parts)) > len(distinct):
                distinct, parts = pc.unique(pa.chunked_array([distinct, *parts])), []
        return pc.unique(pa.chunked_array([distinct, *parts]))

    def count_values(self, columns: set[str]) -> int:
        """Count the values of some columns, lists unrolled and nulls included, out of the footers alone."""
        files = map(pq.read_metadata, self.paths)
        groups = (file.row_group(group) for file in files for group in range(file.num_row_groups))
        chunks = (group.column(number) for group in groups for number in range(group.num_columns))
        leaves = ((chunk.path_in_schema, chunk.num_values) for chunk in chunks)
        return sum(num for leaf, num in leaves if leaf in columns or leaf.removesuffix(f"{_LIST}code") in columns)

    def _leaves(self, file: pq.ParquetFile, columns: Sequence[str]) -> dict[str, bool]:
        """Parquet paths of the columns and whether each holds strings."""
        leaves: dict[str, bool] = {}
        found = [file.schema.column(number) for number in range(len(file.schema))]
        for column in columns:
            of_column = [leaf for leaf in found if leaf.path.split(".")[0] == column]
            if not of_column:
                table = self.paths[0].parent.name
                raise ClaimDataError(
                    "E_COLUMN", f"{table}: expected a column {column!r}, found {file.schema_arrow.names}"
                )
            for leaf in of_column:
                if leaf.path == column or self._fields(leaf.path.rsplit(".", 1)[1]):
                    leaves[leaf.path] = leaf.physical_type == "BYTE_ARRAY"
        return leaves


def _told_by_statistics(group: pq.RowGroupMetaData, leaves: Collection[str]) -> dict[str, str]:
    """Fields of lists, beside the code, that the statistics tell whole: the one string that they hold, or nothing."""
    told = {}
    for chunk in map(group.column, range(group.num_columns)):
        leaf, found = chunk.path_in_schema, chunk.statistics
        if leaf not in leaves or _LIST not in leaf or leaf.endswith(f"{_LIST}code") or not found:
            continue
        if found.has_null_count and found.null_count == chunk.num_values:
            told[leaf] = ""
        elif found.has_null_count and not found.null_count and found.has_min_max and found.min == found.max:
            told |= {leaf: found.min} if isinstance(found.min, str) and 0 < len(found.min) < _LONGEST_TOLD else {}
    return told


class TableInMemory(EncodedFiles):
    """A small table that is no file: the few rows of a request, which are read as they are."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__([])
        self._table, self.num_rows = table, table.num_rows

    def __bool__(self) -> bool:
        return bool(self.num_rows)

    def batches(self, columns: Sequence[str], max_rows: int = _ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """The rows, with some columns."""
        yield from self._table.select(columns).to_batches()

    @property
    def column_names(self) -> list[str]:
        """Columns of the table."""
        return list(self._table.column_names)
