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
_ROWS_PER_BATCH = 1 << 15
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

    def batches(self, columns: Sequence[str], max_rows: int = _ROWS_PER_BATCH) -> Iterator[pa.RecordBatch]:
        """Read some columns, strings as dictionaries.

        What the statistics tell is not decoded: columns that hold nothing are nulls without a type; fields of lists
        that hold one string, or nothing, are missing, and the metadata of the batch has it under their path.

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
                    held = {leaf.split(".")[0] for leaf in leaves if leaf not in told}
                    read = [
                        leaf for leaf in leaves if leaf.split(".")[0] in held and not (_LIST in leaf and leaf in told)
                    ]
                    for batch in file.iter_batches(max_rows, row_groups=[group], columns=read):
                        arrays = [batch[name] if name in held else pa.nulls(batch.num_rows) for name in columns]
                        yield pa.record_batch(arrays, columns, metadata=told)

    @property
    def column_names(self) -> list[str]:
        """Columns of the table; none without files."""
        return self._footers[0].schema.to_arrow_schema().names if self._footers else []

    def distinct(self, column: str) -> pa.Array:
        """Distinct strings of a column, without null."""
        statistics = [chunk.statistics for chunk in self._chunks() if chunk.path_in_schema == column]
        bounds = {(found.min, found.max) if found and found.has_min_max else (None, None) for found in statistics}
        if len(bounds) == 1 and _is_told(*bounds.copy().pop()):
            return pa.array([bounds.pop()[0]])
        distinct: pa.Array = pa.array([], pa.string())
        parts: list[pa.Array] = []
        for batch in self.batches([column], 4 * _ROWS_PER_BATCH):
            positions, strings = dictionary_of(batch[column])
            # A dictionary can hold strings that no row uses.
            is_used = np.zeros(len(strings) + 1, dtype=bool)
            is_used[positions] = True
            parts.append(strings.filter(pa.array(is_used[:-1])))
            # Joined only once as many have come as there are, each is looked at a few times, however many batches.
            if sum(map(len, parts)) > len(distinct):
                distinct, parts = pc.unique(pa.chunked_array([distinct, *parts])), []
        return pc.unique(pa.chunked_array([distinct, *parts]))

    def count_values(self, columns: set[str]) -> int:
        """Count the values of some columns, lists unrolled and nulls included, out of the footers alone."""
        leaves = ((chunk.path_in_schema, chunk.num_values) for chunk in self._chunks())
        return sum(num for leaf, num in leaves if leaf in columns or leaf.removesuffix(f"{_LIST}code") in columns)

    def _chunks(self) -> Iterator[pq.ColumnChunkMetaData]:
        """What the footers say of each column of each row group."""
        for footer in self._footers:
            for group in map(footer.row_group, range(footer.num_row_groups)):
                yield from map(group.column, range(group.num_columns))

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
    """What the statistics tell: what holds nothing, and the one string of fields of lists, beside the code."""
    told = {}
    for chunk in map(group.column, range(group.num_columns)):
        leaf, found = chunk.path_in_schema, chunk.statistics
        if leaf not in leaves or leaf.endswith((f"{_LIST}code", _LIST[:-1])) or not found or not found.has_null_count:
            continue
        if found.null_count == chunk.num_values:
            told[leaf] = ""
        elif _LIST in leaf and not found.null_count and found.has_min_max and _is_told(found.min, found.max):
            told[leaf] = found.min
    return told


def _is_told(first: object, last: object) -> bool:
    return first == last and isinstance(first, str) and 0 < len(first) < _LONGEST_TOLD


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
