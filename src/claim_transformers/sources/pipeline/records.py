"""Records of delimited text, counted on its bytes, so that the count does not depend on the parser.

A quote that opens and never closes makes a parser swallow the lines behind it. Here every line stands for itself until
quotes say otherwise: a quoted line break is one if the quotes are closed as the format asks, and the lines between are
not records of their own. Lines without doubt are counted by the block, the few others one by one.

A parser also forgives fields too many that are empty. A separator too many in the middle of a line then shifts all
values behind it, so a line with more fields than the others is broken.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from claim_transformers.claims.small_cells import show_count
from claim_transformers.codes.errors import ClaimDataError

_BLOCK = 1 << 24
# The parser takes no longer record.
_MAX_RECORD = 1 << 21
_BLANK_LINE = re.compile(rb"(?m)^\r?\n")
_LONE_CR = re.compile(rb"\r(?![\n])")
_LF, _CR, _QUOTE, _SPACE = b'\n\r" '

_RECORD, _BROKEN, _LINES = "record", "broken", "lines"


@dataclass
class _Records:
    """Records of one file behind its header.

    `spans` hold, by the byte where it begins, the end of what is not one record in one line, and what it is: a
    `RECORD` over several lines, a `BROKEN` one that no parser splits, or `LINES` that end with a carriage return.
    """

    number: int = 0
    spans: dict[int, tuple[int, str]] = field(default_factory=dict)

    @property
    def is_readable(self) -> bool:
        """Whether the parser takes the file as it is."""
        return all(kind == _RECORD for _, kind in self.spans.values())


def find_records(path: Path, *, delimiter: str, has_quotes: bool, num_columns: int, has_lone_cr: bool) -> _Records:
    """Count the records of a file with a header, without a parser; `E_RECORDS` if nobody can tell lines from text."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        finder = _Finder(path.name, data, delimiter.encode(), has_quotes, num_columns)
        for start, block in _blocks(data):
            num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
            finder.records.number += num_lines - _count_blank(block)
            doubtful = _doubtful_lines(block, delimiter.encode(), has_quotes, has_lone_cr)
            for line in sorted({*doubtful, *finder.uneven_lines(block, is_first=start == 0)}):
                finder.judge(start + line)
        finder.records.number -= 1
        return finder.records


def _blocks(data: mmap.mmap) -> Iterator[tuple[int, bytes]]:
    """The bytes in blocks of whole lines, and where they begin."""
    start = 0
    while start < len(data):
        end = len(data)
        if start + _BLOCK < end:
            end = data.rfind(b"\n", start, start + _BLOCK) + 1 or data.find(b"\n", start + _BLOCK) + 1 or end
        yield start, data[start:end]
        start = end


def _count_blank(block: bytes) -> int:
    if b"\n\n" in block or b"\n\r\n" in block or block.startswith((b"\n", b"\r\n")):
        return len(_BLANK_LINE.findall(block))
    return 0


def _doubtful_lines(block: bytes, delimiter: bytes, has_quotes: bool, has_lone_cr: bool) -> list[int]:
    """Where lines begin whose quotes do not pair within, or that hold a carriage return."""
    doubtful = [found.start() for found in _LONE_CR.finditer(block)] if has_lone_cr else []
    if not (has_quotes and b'"' in block) and not doubtful:
        return []
    # A byte before and behind, so that the neighbours of every quote exist.
    text = np.frombuffer(b"\n" + block + b"\n", np.uint8)
    ends = np.flatnonzero(text == _LF)
    places = [np.array(doubtful, np.int64) + 1]
    if has_quotes and b'"' in block:
        marks = np.flatnonzero((text == _LF) | (text == _QUOTE))
        is_quote = text[marks] == _QUOTE
        quotes, lines = marks[is_quote], np.cumsum(~is_quote)[is_quote]
        # Quotes of a line open and close in turn; a doubled one closes and opens again.
        firsts = np.flatnonzero(np.r_[True, lines[1:] != lines[:-1]][: len(lines)])
        counts = np.diff(np.r_[firsts, len(lines)])
        opens = (np.arange(len(lines)) - np.repeat(firsts, counts)) % 2 == 0
        before, behind = text[quotes - 1], text[quotes + 1]
        is_edge = np.zeros(256, bool)
        is_edge[[_LF, _CR, _QUOTE, delimiter[0]]] = True
        is_plain = np.where(opens, is_edge[before], is_edge[behind])
        places += [quotes[~is_plain], quotes[firsts[counts % 2 == 1]]]
    found = np.searchsorted(ends, np.unique(np.concatenate(places)))
    return [int(one) for one in np.unique(ends[found - 1])]


class _Finder:
    """Judge of single lines, in the order of the file."""

    def __init__(self, name: str, data: mmap.mmap, delimiter: bytes, has_quotes: bool, num_columns: int) -> None:
        self.name, self.data, self.delimiter, self.has_quotes = name, data, delimiter, has_quotes
        self.num_columns = num_columns
        # Columns of the rows, more than those of the header where every row has separators behind the last one.
        self.num_fields = num_columns
        self.records = _Records()
        self.done = self.opened = 0
        self.closing: set[int] = set()

    def uneven_lines(self, block: bytes, *, is_first: bool) -> list[int]:
        """Where lines begin that have another number of separators than most and are read nevertheless."""
        text = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(text == _LF)
        if not block.endswith(b"\n"):
            ends = np.append(ends, len(text))
        starts = np.append(0, ends[:-1] + 1)
        counts = np.add.reduceat(text == self.delimiter[0], starts, dtype=np.int32)
        is_quoted = np.zeros(len(starts), bool)
        if self.has_quotes and b'"' in block:
            is_quoted = np.add.reduceat(text == _QUOTE, starts, dtype=np.int32) > 0
        last = text[np.maximum(ends - 1, 0)]
        last = np.where(last == _CR, text[np.maximum(ends - 2, 0)], last)
        is_open = (last == self.delimiter[0]) | ((last == _QUOTE) & is_quoted)
        if is_first:
            starts, counts, is_quoted, is_open = starts[1:], counts[1:], is_quoted[1:], is_open[1:]
            plain = counts[~is_quoted & (counts > 0)]
            behind = counts[~is_quoted & is_open]
            usual = int(np.bincount(behind).argmax()) if 2 * len(behind) > len(plain) else 0
            self.num_fields = max(self.num_columns, usual + 1)
        is_uneven = is_open & (counts >= self.num_fields)
        is_uneven |= ~is_quoted & (counts >= self.num_columns - 1) & (counts < self.num_fields - 1) & (counts > 0)
        return [int(one) for one in starts[is_uneven]]

    def judge(self, start: int) -> None:
        """Decide what the line that begins at a byte is."""
        if start < self.done:
            return None
        end = self._end_of_line(start)
        line = self.data[start:end]
        num_fields = self._split(line)
        if start in self.closing and num_fields != 0:
            return self._add(start, end, _BROKEN)
        if num_fields == 0:
            self._judge_open(start, end)
        elif num_fields is None:
            self._add(start, end, _BROKEN)
        elif _LONE_CR.search(_trim(line)):
            self._judge_returns(start, end, line)
        elif self.num_columns <= num_fields != self.num_fields:
            self._add(start, end, _BROKEN)
        return None

    def _judge_open(self, start: int, end: int) -> None:
        """A line within whose quotes the next one begins: text of several lines, or a stray quote."""
        text = self.data[start : start + _MAX_RECORD]
        last = stop = start
        num_fields: int | None = 0
        while num_fields == 0:
            closed = self._close(text, self.opened)
            if closed < 0:
                break
            last = start + text.rfind(b"\n", 0, closed) + 1
            stop = self._end_of_line(start + closed)
            num_fields = self._split(self.data[start:stop])
        if not num_fields:
            return self._add(start, end, _BROKEN)
        lines = self.data[start:stop].split(b"\n")[: None if self.data[stop - 1] != _LF else -1]
        are_full = [line.count(self.delimiter) == self.num_fields - 1 and self.num_fields > 1 for line in lines]
        if all(are_full) or (num_fields != self.num_fields and any(are_full)):
            # Each line is a record of its own, so two of them have a stray quote.
            self.closing.add(last)
            return self._add(start, end, _BROKEN)
        num_alike = sum(self._split(line) == self.num_fields > 1 for line in lines[1:-1])
        # Text in the first column leaves the separators to the last line, as text in the last one does to the first.
        if num_alike or (are_full[0] and are_full[-1]):
            raise ClaimDataError(
                "E_RECORDS",
                f"expected quotes in {self.name} that close in their own record, found quoted text of "
                f"{show_count(len(lines))} lines out of which {show_count(max(num_alike, 1))} look like records: "
                "mend the quotes, or write the file again",
            )
        self._add(start, stop, _RECORD if num_fields == self.num_fields else _BROKEN)
        self.records.number -= sum(line not in (b"", b"\r") for line in lines) - 1
        return None

    def _judge_returns(self, start: int, end: int, line: bytes) -> None:
        """Carriage returns outside quotes end lines if each part is a record."""
        if self.has_quotes and not _LONE_CR.search(re.sub(rb'"(?:[^"]|"")*"', b"", _trim(line))):
            return
        parts = [part for part in _trim(line).split(b"\r") if part]
        if len(parts) > 1 and all(self._split(part) == self.num_fields for part in parts):
            self._add(start, end, _LINES)
            self.records.number += len(parts) - 1
        else:
            self._add(start, end, _BROKEN)

    def _add(self, start: int, end: int, kind: str) -> None:
        self.records.spans[start] = (end, kind)
        self.done = end

    def _end_of_line(self, start: int) -> int:
        return self.data.find(b"\n", start) + 1 or len(self.data)

    def _split(self, text: bytes) -> int | None:
        """Number of fields; 0 if the text ends within quotes, `None` if something follows a closing quote."""
        text = _trim(text)
        if not self.has_quotes:
            return text.count(self.delimiter) + 1
        number, place = 0, 0
        while True:
            number += 1
            opening = place
            while text[opening : opening + 1] == b" ":
                opening += 1
            if text[opening : opening + 1] == b'"':
                place = self._close(text, opening + 1)
                if place < 0:
                    self.opened = opening + 1
                    return 0
                while text[place : place + 1] == b" ":
                    place += 1
                if place < len(text) and not text.startswith(self.delimiter, place):
                    return None
            else:
                place = text.find(self.delimiter, place)
            if not 0 <= place < len(text):
                return number
            place += len(self.delimiter)

    @staticmethod
    def _close(text: bytes, place: int) -> int:
        """Place behind the closing quote, or -1."""
        while True:
            place = text.find(b'"', place) + 1
            if place == 0:
                return -1
            if text[place : place + 1] != b'"':
                return place
            place += 1


def _trim(line: bytes) -> bytes:
    """The line without its end."""
    return line.removesuffix(b"\n").removesuffix(b"\r")


def write_readable(
    path: Path, target: Path, records: _Records, *, num_columns: int, delimiter: str, one_line_end: bool
) -> dict[int, bytes]:
    """Copy a file so that a parser finds the same records: one line stands for each broken one, NUL bytes are invalid.

    The raw lines of the broken records come back by their number.
    """
    broken: dict[int, bytes] = {}
    # Another number of columns, so that the parser sets the line aside.
    stand_in = b"-" if num_columns > 1 else delimiter.encode()
    number = place = 0
    with path.open("rb") as source, target.open("wb") as sink:
        while line := source.readline():
            end, kind = records.spans.get(place, (place + len(line), _RECORD))
            line += source.read(end - place - len(line))
            place = end
            if not _trim(line):
                continue
            if kind == _BROKEN:
                broken[number] = _trim(line)
                line = stand_in + (b"\r\n" if line.endswith(b"\r\n") else b"\n")
            elif kind == _LINES:
                parts = [part for part in _trim(line).split(b"\r") if part]
                number += len(parts) - 1
                line = b"".join(part + (b"\r\n" if line.endswith(b"\r\n") else b"\n") for part in parts)
            number += 1
            # No UTF-8 text has the byte 255, so the parser sets the line aside.
            line = line.replace(b"\x00", b"\xff")
            sink.write(line.replace(b"\r\n", b"\n") if one_line_end else line)
    return broken
