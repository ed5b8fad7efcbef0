"""Arrow columns straight from numpy arrays, without a Python object per value."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from claim_transformers.simulation.engine.calendar import Int, Key

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_HEX_PAIRS = np.stack([np.repeat(_HEX, 16), np.tile(_HEX, 16)], axis=1).copy().view(np.uint16).ravel()


def hex_bytes(key: Key) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Sixteen hexadecimal digits per key, one row each."""
    pairs = _HEX_PAIRS[key.astype(">u8").view(np.uint8).reshape(len(key), 8)]
    return pairs.view(np.uint8).reshape(len(key), 16)


def text_of_bytes(rows: np.ndarray[Any, np.dtype[np.uint8]]) -> pa.Array:
    """Strings of equal length from rows of ASCII codes."""
    count, width = rows.shape
    offsets = np.arange(0, count * width + 1, width, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows)))


def text_column(codes: Int, words: Sequence[str] | pa.Array) -> pa.DictionaryArray:
    """Dictionary column with only the words in use.

    Examples:
        >>> column = text_column(np.array([2, -1, 2], dtype=np.int32), ["a", "b", "c"])
        >>> column.to_pylist(), column.dictionary.to_pylist()
        (['c', None, 'c'], ['c'])
    """
    vocabulary = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    used = np.zeros(len(vocabulary) + 1, dtype=np.bool_)
    used[codes] = True
    missing = bool(used[-1])
    renumber = np.cumsum(used[:-1], dtype=np.int32) - 1
    dictionary = vocabulary.take(pa.array(np.flatnonzero(used[:-1])))
    if not missing:
        return pa.DictionaryArray.from_arrays(pa.array(renumber[codes]), dictionary)
    absent = codes < 0
    indices = np.append(renumber, np.int32(0))[codes]
    return pa.DictionaryArray.from_arrays(pa.array(indices, mask=absent), dictionary)


def constant_column(word: str | None, rows: int) -> pa.DictionaryArray:
    """Dictionary column that holds one word, or null, in every row."""
    codes = np.full(rows, -1 if word is None else 0, dtype=np.int32)
    return text_column(codes, [word or ""])


def day_column(days: Int, missing: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> pa.Array:
    """Date column from days since 1970-01-01."""
    return pa.array(days.astype(np.int32, copy=False), mask=missing).view(pa.date32())


def money_column(cents: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array:
    """Decimal column with two digits after the point, exact to the cent."""
    # A decimal is 128 bits, low word first; the high word of a small number is its sign, all zeros or all ones.
    words = np.stack([cents, cents >> 63], axis=1)
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(np.ascontiguousarray(words))])
