"""Ragged columns of tokenised patients as flat numpy arrays, from an Arrow table or from a list of dictionaries.

The collators work on these flat arrays only, so both kinds of input give identical batches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from claim_transformers.claims.small_cells import show_count

if TYPE_CHECKING:
    import pyarrow as pa

Features: TypeAlias = "pa.Table | Sequence[Mapping[str, Any]]"
_IntArray = npt.NDArray[np.integer]


@dataclass(frozen=True)
class RaggedColumn:
    """One list column: all values of all rows in a row, and how many belong to each."""

    values: _IntArray  # Values of all rows, one row after the other.
    lengths: npt.NDArray[np.int64]  # Number of values of each row.

    @cached_property
    def row(self) -> npt.NDArray[np.int64]:
        """Row of each value."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def position(self) -> npt.NDArray[np.int64]:
        """Position of each value inside its row."""
        starts = np.cumsum(self.lengths) - self.lengths
        return np.arange(len(self.values)) - np.repeat(starts, self.lengths)

    def pad(self, fill: int, width: int | None = None) -> npt.NDArray[np.int64]:
        """Return the rows as one rectangle, padded on the right."""
        width = int(self.lengths.max(initial=0)) if width is None else width
        padded = np.full((len(self.lengths), width), fill, dtype=np.int64)
        padded[np.arange(width) < self.lengths[:, None]] = self.values
        return padded


def column_names(features: Features) -> list[str]:
    """Name the columns of tokenised rows."""
    if len(features) == 0:
        raise ValueError("expected at least one tokenised row in a batch, found none")
    names = features[0].keys() if isinstance(features, Sequence) else features.column_names
    return list(names)


def ragged_column(features: Features, name: str) -> RaggedColumn:
    """Read a list column of tokenised rows."""
    found = column_names(features)
    if name not in found:
        raise KeyError(
            f"expected a column '{name}' of tokenised patients, found {sorted(found)}; run tokenize_dataset"
        )
    if isinstance(features, Sequence):
        rows = [np.asarray(feature[name], dtype=np.int64) for feature in features]
        return RaggedColumn(np.concatenate(rows), np.array([len(row) for row in rows], dtype=np.int64))

    column = features.column(name)
    if column.null_count:
        raise ValueError(f"expected lists in column '{name}', found {show_count(column.null_count)} null rows")
    lists = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    return RaggedColumn(lists.flatten().to_numpy(zero_copy_only=False), lengths)


def scalar_column(features: Features, name: str) -> npt.NDArray[Any]:
    """Read a column with one number, or one list of equal length, per row."""
    import pyarrow as pa

    if isinstance(features, Sequence):
        values = [feature[name] for feature in features]
        if any(value is None for value in values):
            raise ValueError(f"expected a value in every row of column '{name}', found nulls")
        return np.asarray(values)
    column = features.column(name)
    if column.null_count:
        raise ValueError(
            f"expected a value in every row of column '{name}', found {show_count(column.null_count)} nulls"
        )
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return np.asarray(column.to_numpy())
    lists = ragged_column(features, name)
    width = int(lists.lengths[0])
    if (lists.lengths != width).any():
        raise ValueError(f"expected lists of one length in column '{name}', found several lengths")
    return lists.values.reshape(-1, width)
