"""Files of fixed width: the same rows as delimited ones, and what is no record is set aside or stops the file."""

import gzip
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import fixed_width
from claim_transformers.sources.pipeline.fixed_width import cut_file
from claim_transformers.sources.pipeline.reading import Layout, stage_files

LAYOUT = Layout(
    ("CLM_ID", "PAID", "CITY", "NEW"),
    ("CLM_ID",),
    kinds={"CLM_ID": "id", "PAID": "amount", "CITY": "text", "NEW": "code"},
    positions={"CLM_ID": (1, 4), "PAID": (5, 7), "CITY": (12, 6), "NEW": (19, 2)},
    record_lengths=(20, 18),
)
ROWS = [("007", "12.50", "Köln", "A1"), ("8", "-3.00", None, None), ("0010", None, "Nice", "B2")]


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def _line(claim, paid, city, new=None, *, length: int = 20) -> str:
    return f"{claim or '':<4}{paid or '':>7}{city or '':<6} {new or '':<2}"[:length]


def _stage(connection, tmp_path: Path, *contents: bytes, layout: Layout = LAYOUT, name: str = "raw.txt"):
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}" / name
        path.parent.mkdir()
        path.write_bytes(content)
        files.append((path, layout))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    rows, raw = stage_files(connection, files, scratch, name="raw")
    found = fetch(connection, rows).sort_by("row_no").to_pylist()
    return [tuple(row[column] for column in LAYOUT.columns) for row in found], raw, [row["row_no"] for row in found]


def _text(rows=ROWS, end: str = "\n") -> str:
    return "".join(_line(*row) + end for row in rows)


def test_fixed_width_and_delimited_text_give_the_same_rows(connection, tmp_path: Path) -> None:
    delimited = "clm_id,PAID,CITY,NEW\n" + "".join(",".join(cell or "" for cell in row) + "\n" for row in ROWS)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    fixed, (of_fixed,), numbers = _stage(connection, tmp_path / "a", _text().encode())
    assert (fixed, numbers) == (ROWS, [1, 2, 3])
    assert _stage(connection, tmp_path / "b", delimited.encode())[0] == fixed
    # Blanks that fill a field up are no fault of it.
    assert (of_fixed.num_rows, dict(of_fixed.fixes), dict(of_fixed.warnings)) == (3, {}, {})


@pytest.mark.parametrize(
    ("content", "fixes"),
    [
        (_text().encode(), {}),
        (_text()[:-1].encode(), {}),
        (_text(end="\r\n").encode(), {"F_EOL": 3}),
        (_text(end="\r").encode(), {"F_EOL": 3}),
        (b"\xef\xbb\xbf" + _text().encode(), {"F_BOM": 1}),
        (_text(end="\n\n").encode(), {}),
    ],
    ids=["plain", "no last line end", "windows", "old macs", "byte-order mark", "blank lines"],
)
def test_harmless_forms_are_repaired_and_counted(connection, tmp_path: Path, content: bytes, fixes) -> None:
    rows, (file,), numbers = _stage(connection, tmp_path, content)
    assert (rows, numbers, dict(file.fixes)) == (ROWS, [1, 2, 3], fixes)


def test_packed_files_and_other_encodings_are_read(connection, tmp_path: Path) -> None:
    packed = gzip.compress(_text().encode("latin-1"))
    layout = replace(LAYOUT, encoding="latin-1")
    assert _stage(connection, tmp_path, packed, layout=layout, name="raw.T0100000.gz")[0] == ROWS


def test_zeros_that_fill_a_number_up_are_no_digits_of_it_and_those_of_an_id_are(connection, tmp_path: Path) -> None:
    wide = replace(LAYOUT, positions={"CLM_ID": (1, 12), "PAID": (13, 17)}, record_lengths=(29,))
    cells = [("000000000010", "-0000000000012.50"), ("000000000011", "0001234567890.25"), ("12", "0012.5")]
    content = "".join(f"{claim:<12}{paid:>17}\n" for claim, paid in cells).encode()
    rows, _, _ = _stage(connection, tmp_path, content, layout=wide)
    found = [(row[0], row[1]) for row in rows]
    assert found == [("000000000010", "-0000000012.50"), ("000000000011", "1234567890.25"), ("12", "0012.5")]


def test_an_older_version_of_a_record_ends_early(connection, tmp_path: Path) -> None:
    old = "".join(_line(*row, length=18) + "\n" for row in ROWS)
    rows, files, _ = _stage(connection, tmp_path, old.encode(), _text().encode())
    assert sorted(rows, key=str) == sorted([*ROWS, *((*row[:3], None) for row in ROWS)], key=str)
    assert [file.num_rows for file in files] == [3, 3]


def _many(number: int = 3000, **others: bytes) -> bytes:
    lines = [others.get(f"line{place}", _line(str(place), "1.00", "Lyon").encode()) for place in range(1, number + 1)]
    return b"\n".join(lines) + b"\n"


def test_a_line_of_another_length_is_set_aside_with_its_number(connection, tmp_path: Path) -> None:
    content = _many(line2=b"short", line2999=_line("9", "1.00", "Lyon").encode() + b"x")
    rows, (file,), numbers = _stage(connection, tmp_path, content)
    assert file.rejects is not None
    found = file.rejects.to_pylist()
    assert [(row["row_no"], row["reason_code"]) for row in found] == [(2, "R_WIDTH"), (2999, "R_WIDTH")]
    assert found[0]["raw_line"] == "short"
    assert (file.num_rows, len(rows), numbers[:2], numbers[-1]) == (3000, 2998, [1, 3], 3000)
    assert dict(file.warnings) == {"W_RAW_LINES": 3000}
    # No line takes the numbers of another.
    assert [int(row[0]) for row in rows] == numbers


def test_bytes_that_are_no_text_are_set_aside_with_their_number(connection, tmp_path: Path) -> None:
    bad = _line("7", "1.00", "Lyon").encode()
    content = _many(
        line7=bad.replace(b"y", b"\xff"), line9=bad.replace(b"y", b"\x00"), line11="Köln".encode() + bad[4:]
    )
    rows, (file,), _ = _stage(connection, tmp_path, content)
    assert file.rejects is not None
    reasons = list(zip(file.rejects["row_no"].to_pylist(), file.rejects["reason_code"].to_pylist(), strict=True))
    assert reasons == [(7, "R_ENC"), (9, "R_ENC")]
    assert rows[8][0] == "Köln"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "in raw.txt, found 0 bytes"),
        (
            _many(3000, line1=b"a", line2=b"b", line3=b"c", line4=b"d"),
            "found <11 of 3,000 lines of another length: more",
        ),
        (_text().replace("\n", "  \n").encode(), "expected lines of 20 or 18 characters in raw.txt, .* of 22 char"),
        (b"\x01" * (1 << 22), "one of more than 2,097,152 bytes"),
    ],
    ids=["empty", "too many", "another version", "no line ends"],
)
def test_a_file_that_is_not_of_the_layout_fails_and_says_why(connection, tmp_path: Path, content, message) -> None:
    with pytest.raises(ClaimDataError, match=rf"(E_LAYOUT|E_EMPTY_FILE): .*{message}"):
        _stage(connection, tmp_path, content)


def test_nul_bytes_fail_where_every_byte_is_a_letter(connection, tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT.*NUL"):
        _stage(
            connection,
            tmp_path,
            _text().encode("latin-1").replace(b"N", b"\0"),
            layout=replace(LAYOUT, encoding="latin-1"),
        )


def test_blank_lines_alone_are_no_rows(connection, tmp_path: Path) -> None:
    rows, (file,), _ = _stage(connection, tmp_path, b"\n\r\n")
    assert (rows, file.num_rows, file.warnings["W_NO_ROWS"]) == ([], 0, 1)


def test_blocks_do_not_show_in_the_rows_and_bound_the_memory(tmp_path: Path, monkeypatch) -> None:
    raw, content = tmp_path / "raw", _many(20_000, line9999="é".join(("x", "x" * 18)).encode())
    raw.write_bytes(content)
    options = {"positions": LAYOUT.positions, "record_lengths": (20, 18), "kinds": LAYOUT.kinds, "encoding": "utf-8"}
    cut_file(raw, "raw", tmp_path / "whole.parquet", **options)
    monkeypatch.setattr(fixed_width, "_BLOCK", 1 << 12)
    tracemalloc.start()
    cut_file(raw, "raw", tmp_path / "parts.parquet", **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pq.read_table(tmp_path / "parts.parquet") == pq.read_table(tmp_path / "whole.parquet")
    assert peak < len(content)
