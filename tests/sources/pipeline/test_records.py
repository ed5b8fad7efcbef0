"""Records counted on bytes: blocks, blank lines and quotes."""

from pathlib import Path

import pytest

from claim_transformers.sources.pipeline import records
from claim_transformers.sources.pipeline.records import find_records


def _count(tmp_path: Path, content: bytes, *, has_quotes: bool = True) -> int:
    path = tmp_path / "raw.csv"
    path.write_bytes(content)
    found = find_records(path, delimiter=",", has_quotes=has_quotes, num_columns=3, has_lone_cr=False)
    return found.number


@pytest.mark.parametrize("block", [1, 7, 16, 1 << 24])
@pytest.mark.parametrize(
    ("rows", "number"),
    [
        (b"1,2,3\n4,5,6\n", 2),
        (b"1,2,3\n4,5,6", 2),
        (b"\n\n\n1,2,3\n\n\n4,5,6\n\n", 2),
        (b"1,2,3\r\n\r\n4,5,6\r\n", 2),
        (b'1,2,"a\n\nb"\n4,"a\nb",6\n', 2),
        (b'1,2,"a""\n""b"\n4,"",""\n', 2),
        (b'1,"x,3\n4,5,6\n7,8,9\n', 3),
        (b"", 0),
    ],
)
def test_records_are_counted_whatever_the_blocks(tmp_path: Path, monkeypatch, block, rows, number) -> None:
    monkeypatch.setattr(records, "_BLOCK", block)
    assert _count(tmp_path, b"a,b,c\n" + rows) == number


def test_without_quotes_every_line_is_a_record(tmp_path: Path) -> None:
    assert _count(tmp_path, b'a,b,c\n1,2,"a\nb"\n', has_quotes=False) == 2


@pytest.mark.parametrize("block", [1, 16, 1 << 24])
@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        (b"1,2,3\n4,$1,234,\n5,6,7\n", 1),
        (b"1,2,3\n4,5,,,,\n", 1),
        (b"1,2,3\r\n4,5,6,\r\n5,6,7\r\n", 1),
        (b'1,2,3\n4,$1,234,""\n', 1),
        (b'1,2,"a,b,c"\n"4,","5,,",""\n6,"7,8,",\n', 0),
        (b"1,2,\n4,5,\n6,,\n", 0),
    ],
)
def test_a_separator_too_many_shifts_no_value(tmp_path: Path, monkeypatch, block, rows, broken) -> None:
    monkeypatch.setattr(records, "_BLOCK", block)
    path = tmp_path / "raw.csv"
    path.write_bytes(b"a,b,c\n" + rows)
    found = find_records(path, delimiter=",", has_quotes=True, num_columns=3, has_lone_cr=False)
    assert [kind for _, kind in found.spans.values()] == ["broken"] * broken
    assert found.number == rows.count(b"\n")


@pytest.mark.parametrize("rows", [b"1,2,3,\n4,5,6,\n7,8,9,\n", b"1,2,3,,\n4,5,,,\n"])
def test_separators_behind_every_row_are_no_columns_and_a_row_without_stands_out(tmp_path: Path, rows) -> None:
    path = tmp_path / "raw.csv"
    kinds = []
    for added in (b"", b"1,3,\n"):
        path.write_bytes(b"a,b,c\n" + rows + added)
        found = find_records(path, delimiter=",", has_quotes=True, num_columns=3, has_lone_cr=False)
        kinds.append([kind for _, kind in found.spans.values()])
    assert kinds == [[], ["broken"]]
