"""Records that somebody wrote are records that are read: counted by who wrote them, not by a parser."""

import csv
import gzip
import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.sources.pipeline.reading import Layout, stage_files

NAMES = ("first", "second", "third")
# Blanks, quotes, separators, line ends and letters of several bytes are where parsers differ. Separators and line ends
# in one cell can look like records, and are refused then.
CELLS = st.text(st.sampled_from('ab", é|'), max_size=5) | st.text(st.sampled_from('ab"\n é|'), max_size=5)
PLAIN_CELLS = st.text(st.sampled_from("ab é"), max_size=5)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8)
PLAIN_ROWS = st.lists(st.tuples(PLAIN_CELLS, PLAIN_CELLS, PLAIN_CELLS), min_size=2, max_size=12)
more = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def _read(connection, content: bytes, *, quote: str = '"', is_packed: bool = False):
    """Rows by their number, and how many records the file has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "raw.csv.gz" if is_packed else "raw.csv")
        path.write_bytes(gzip.compress(content) if is_packed else content)
        layout = Layout(NAMES, NAMES, quote=quote)
        scratch = Path(folder, "scratch")
        scratch.mkdir()
        rows, (file,) = stage_files(connection, [(path, layout)], scratch, name="raw")
        found = fetch(connection, rows).to_pylist()
    return {row["row_no"]: tuple(row[name] or "" for name in NAMES) for row in found}, file.num_rows


def _lines(rows, line_end: str = "\n") -> list[str]:
    return [",".join(row) + line_end for row in (NAMES, *rows)]


def _looks_like_several(record: str) -> bool:
    """Whether each line of a record has all separators of one: nobody can tell it from two with a stray quote."""
    lines = record.rstrip("\r\n").split("\n")
    return len(lines) > 1 and all(line.count(",") == len(NAMES) - 1 for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('",","\n",","', id="each line is full"),
        pytest.param('a,-"b\nb",c', id="the quote stands behind a letter"),
        pytest.param('a,"b\nb"c,d', id="a letter stands behind the quote"),
    ],
)
def test_text_over_two_lines_that_may_be_two_records_is_counted_by_the_line_and_read_as_nothing(connection, text):
    header = ",".join(NAMES) + "\n"
    assert _read(connection, f"{header}{text}\n".encode()) == ({}, 2)


@more
@given(rows=ROWS, line_end=st.sampled_from(("\n", "\r\n")), is_quoted=st.booleans(), is_packed=st.booleans())
def test_what_is_quoted_as_it_should_be_is_read_as_it_was_written(connection, rows, line_end, is_quoted, is_packed):
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end, quoting=csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL)
    writer.writerows([NAMES])
    for row in rows:
        before = text.tell()
        writer.writerow(row)
        assume(not _looks_like_several(text.getvalue()[before:]))
    found, number = _read(connection, text.getvalue().encode(), is_packed=is_packed)
    assert number == len(rows)
    assert found == dict(enumerate(rows, start=1))


@more
@given(
    rows=PLAIN_ROWS,
    places=st.sets(st.integers(0, 11), min_size=1, max_size=3),
    where=st.integers(0, 2),
    data=st.data(),
)
def test_a_stray_quote_changes_its_own_record_alone(connection, rows, places, where, data):
    places = {place for place in places if place < len(rows)}
    written = list(rows)
    for place in places:
        cells = list(rows[place])
        at = data.draw(st.integers(0, len(cells[where])))
        cells[where] = cells[where][:at] + '"' + cells[where][at:]
        written[place] = tuple(cells)
    found, number = _read(connection, "".join(_lines(written)).encode())
    assert number == len(rows)
    others = {place + 1: row for place, row in enumerate(rows) if place not in places}
    assert {place: row for place, row in found.items() if place - 1 not in places} == others


@more
@given(rows=PLAIN_ROWS, line_end=st.sampled_from(("\n", "\r\n", "\r")), places=st.sets(st.integers(0, 11)))
def test_where_a_quote_is_a_letter_every_line_is_a_record(connection, rows, line_end, places):
    rows = [(f'"{row[0]}', *row[1:]) if place in places else row for place, row in enumerate(rows)]
    found, number = _read(connection, "".join(_lines(rows, line_end)).encode(), quote="")
    assert number == len(rows)
    assert found == dict(enumerate(rows, start=1))


@more
@given(
    rows=PLAIN_ROWS,
    broken=st.dictionaries(st.integers(0, 11), st.sampled_from(("x", "a,b", "a,b,c,d", "a\x00,b,c")), max_size=4),
)
def test_lines_that_cannot_be_split_are_counted_between_the_others(connection, rows, broken):
    lines = _lines(rows)
    for place, line in broken.items():
        if place < len(rows):
            lines[place + 1] = f"{line}\n"
    found, number = _read(connection, "".join(lines).encode())
    assert number == len(rows)
    assert found == {place: row for place, row in enumerate(rows, start=1) if place - 1 not in broken}
