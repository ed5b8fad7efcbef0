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
