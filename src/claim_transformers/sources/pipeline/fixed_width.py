"""Files of fixed width: lines without separators, whose columns stand at places that a layout file gives.

A line is a record if it has the length of one, in characters of the encoding; an older version of a layout may be a
shorter line that ends early. Lines are looked at by the block, so that memory does not grow with the file: first
measured, and once it is plain that they are records of the layout, cut. A shifted record gives wrong values and no
fault, so the file fails where more than a thousandth of its lines have another length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError

_BLOCK = 1 << 24
# A longer line is none: a file without line ends, or no text.
_MAX_LINE = 1 << 21
_MAX_SHARE = 0.001
_MARK = b"\xef\xbb\xbf"
_REJECTS = pa.schema([("row_no", pa.int64()), ("reason_code", pa.string()), ("raw_line", pa.string())])
_NUMBERS = ("amount", "number")
# Zeros in front of ten digits only fill the field up, and no number is read with more.
_LONG_NUMBER = "^([-+]?)0+([0-9]{10})([.]|$)"


@dataclass(frozen=True)
class _Lines:
    """The filled lines of one block, as UTF-8."""

    texts: pa.BinaryArray
    lengths: np.ndarray
    is_ascii: np.ndarray
    has_nul: np.ndarray


@dataclass
class _CutFile:
    """What became of a file of fixed width; `rejects` have `row_no`, `reason_code` and `raw_line`."""

    record_length: int
    num_rows: int
    has_mark: bool
    rejects: pa.Table = field(default_factory=_REJECTS.empty_table)


def cut_file(
    path: Path,
    name: str,
    target: Path,
    *,
    positions: Mapping[str, tuple[int, int]],
    record_lengths: Sequence[int],
    kinds: Mapping[str, str],
    encoding: str,
) -> _CutFile:
    """Write the columns of a file of fixed width to parquet as strings, with `row_no`, and say which lines are none.

    Columns are at `positions`: first character, from 1 on, and length. Records shorter than the longest of
    `record_lengths` are of older versions, which end early. `E_LAYOUT` where more than a thousandth of the lines have
    another length, a line is longer than 2 MiB, or text in `latin-1` has NUL bytes.
    """
    length, num_rows = _measure(path, name, record_lengths, encoding)
    shown = {column: place for column, place in positions.items() if sum(place) - 1 <= length}
    schema = pa.schema([*((column, pa.string()) for column in shown), ("row_no", pa.int64())])
    rejects: list[pa.Table] = []
    first = 1
    with pq.ParquetWriter(target, schema) as writer:
        for lines in _blocks(path, name, encoding):
            numbers = np.arange(first, first + len(lines.lengths))
            first += len(lines.lengths)
            is_text = _is_text(lines)
            is_record = is_text & (lines.lengths == length)
            if not is_record.all():
                rejects.append(_reject(lines, numbers, is_text, ~is_record))
            parts = [
                _cut(lines.texts.filter(pa.array(chosen)), numbers[chosen], shown, kinds, is_ascii=is_ascii)
                for is_ascii in (True, False)
                if (chosen := is_record & (lines.is_ascii == is_ascii)).any()
            ]
            if parts:
                table = pa.concat_tables(parts)
                writer.write_table(table.sort_by("row_no") if len(parts) > 1 else table)
    found = pa.concat_tables(rejects) if rejects else _REJECTS.empty_table()
    with path.open("rb") as file:
        has_mark = file.read(len(_MARK)) == _MARK
    return _CutFile(length, num_rows, has_mark, found)


def _measure(path: Path, name: str, record_lengths: Sequence[int], encoding: str) -> tuple[int, int]:
    """The record length that most lines have, and how many lines there are."""
    counts: Counter[int] = Counter()
    for lines in _blocks(path, name, encoding):
        if encoding != "utf-8" and lines.has_nul.any():
            raise ClaimDataError("E_LAYOUT", f"expected {encoding} text in {name}, found NUL bytes")
        lengths, numbers = np.unique(lines.lengths, return_counts=True)
        counts.update(dict(zip(lengths.tolist(), numbers.tolist(), strict=True)))
    num_lines = counts.total()
    length = max(record_lengths, key=lambda one: (counts[one], one))
    if (num_other := num_lines - counts[length]) > _MAX_SHARE * num_lines:
        expected = " or ".join(f"{one:,}" for one in record_lengths)
        usual = max(counts, key=lambda one: (counts[one], one))
        # The length of lines is a fact of the layout, but that of a few lines is not to be shown.
        most = f", most of them of {usual:,} characters" if usual != length and 2 * counts[usual] > num_lines else ""
        raise ClaimDataError(
            "E_LAYOUT",
            f"expected lines of {expected} characters in {name}, found {show_count(num_other)} of "
            f"{show_count(num_lines)} lines of another length{most}: more than a thousandth, so the layout is of "
            "another version or the file is damaged. Copy the layout files, change positions and record_length, and "
            "name their folder as layouts (--layouts), or fetch the file again",
        )
    return length, num_lines


def _blocks(path: Path, name: str, encoding: str) -> Iterator[_Lines]:
    """The filled lines of a file by the block."""
    rest = b""
    is_first = True
    with path.open("rb") as file:
        while True:
            chunk = file.read(_BLOCK)
            block = rest + chunk
            if is_first:
                block, is_first = block.removeprefix(_MARK), False
            end = block.rfind(b"\n") + 1 if chunk else len(block)
            rest = block[end:]
            if len(rest) > _MAX_LINE:
                raise ClaimDataError(
                    "E_LAYOUT",
                    f"expected lines in {name}, found one of more than {_MAX_LINE:,} bytes: end each record",
                )
            if end:
                yield _split(block[:end], encoding)
            if not chunk:
                return


def _split(block: bytes, encoding: str) -> _Lines:
    """Split a block into its filled lines."""
    if encoding != "utf-8":
        block = block.decode(encoding).encode()
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if len(ends) == 0 or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.append(0, ends[:-1] + 1)
    # The carriage return of a line end is no character of the line.
    ends = ends - ((ends > starts) & (data[np.maximum(ends - 1, 0)] == ord("\r")))
    is_filled = ends > starts
    starts, ends = starts[is_filled], ends[is_filled]
    places = np.flatnonzero(data >= 0x80)
    num_high = _count_within(places, starts, ends)
    num_inner = _count_within(places[(data[places] & 0xC0) == 0x80], starts, ends)
    num_nul = _count_within(np.flatnonzero(data == 0), starts, ends)
    # Every other piece is a line; those between are line ends and blank lines.
    offsets = np.stack([starts, ends], axis=1).reshape(-1).astype(np.int64)
    every = pa.array([], pa.large_binary())
    if len(offsets):
        buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(block)]
        every = pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
    texts = every.take(pa.array(np.arange(0, len(every), 2)))
    return _Lines(texts, ends - starts - num_inner, num_high == 0, num_nul > 0)


def _count_within(places: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many of some places lie in each line."""
    return np.searchsorted(places, ends) - np.searchsorted(places, starts)


def _is_text(lines: _Lines) -> np.ndarray:
    """Which lines are whole UTF-8 without NUL."""
    is_text = ~lines.has_nul
    doubtful = np.flatnonzero(~lines.is_ascii)
    if not len(doubtful):
        return is_text
    try:
        lines.texts.take(pa.array(doubtful)).cast(pa.large_string())
    except pa.ArrowInvalid:
        # Somewhere among them is a byte that is no text; these few are looked at one by one.
        for place in doubtful.tolist():
            try:
                lines.texts[place].as_py().decode()
            except UnicodeDecodeError:
                is_text[place] = False
    return is_text


def _reject(lines: _Lines, numbers: np.ndarray, is_text: np.ndarray, is_out: np.ndarray) -> pa.Table:
    raw = [line.decode("utf-8", "replace") for line in lines.texts.filter(pa.array(is_out)).to_pylist()]
    reasons = np.where(is_text[is_out], "R_WIDTH", "R_ENC").tolist()
    return pa.table([numbers[is_out], reasons, raw], schema=_REJECTS)


def _cut(
    texts: pa.Array,
    numbers: np.ndarray,
    positions: Mapping[str, tuple[int, int]],
    kinds: Mapping[str, str],
    *,
    is_ascii: bool,
) -> pa.Table:
    """Cut records into columns; of ASCII a character is a byte."""
    columns: dict[str, pa.Array] = {}
    whole = texts if is_ascii else texts.cast(pa.large_string())
    for name, (start, length) in positions.items():
        if is_ascii:
            cell = pc.binary_slice(whole, start - 1, start - 1 + length).cast(pa.string())
        else:
            cell = pc.utf8_slice_codeunits(whole, start - 1, start - 1 + length).cast(pa.string())
        cell = pc.utf8_trim_whitespace(cell)
        if kinds.get(name) in _NUMBERS:
            cell = pc.replace_substring_regex(cell, _LONG_NUMBER, r"\1\2\3")
        columns[name] = pc.if_else(pc.equal(cell, ""), pa.scalar(None, pa.string()), cell)
    return pa.table({**columns, "row_no": pa.array(numbers, pa.int64())})
