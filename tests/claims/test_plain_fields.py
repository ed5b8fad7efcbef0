"""Fields read in memory are what the expressions of the engine read."""

from typing import Any

import ibis
import pytest

from claim_transformers.claims.fields import (
    FILLER_DATES,
    clean_id,
    clean_number,
    clean_word,
    is_filler,
    parse_amount,
    parse_date,
    parse_number,
)
from claim_transformers.claims.plain_fields import (
    is_filler_date,
    read_amount,
    read_date,
    read_number,
    read_whole,
    tidy_id,
    tidy_number,
    tidy_word,
)

_TEXTS: list[str | None] = [
    None,
    "",
    " ",
    "\u00a0",
    "x",
    "NULL",
    "n/a",
    "unknown",
    "000",
    "0",
    "7",
    "007",
    " 7 ",
    "7\u200b",
]
_TEXTS += ["9999999", "999999999", "-", "./_", "P17", "  P17\t", "ada lovelace", "Nan", "12345678901234", "?", "'7'"]
_TEXTS += [
    "1",
    "1.0",
    "1.50",
    "1.005",
    "-1.005",
    "1e3",
    "1,000",
    "$1",
    "(12.00)",
    "inf",
    "nan",
    "-0",
    "+1",
    ".5",
    "5.",
    '="007"',
    '="007',
]
_TEXTS += ["32767", "32768", "-32768", "2147483647", "2147483648", "9999999999", "9999999999.99", "9999999999.995"]
_TEXTS += [
    "2024-02-29",
    "2023-02-29",
    "2024-2-9",
    "20240229",
    "2024-W01-1",
    "2024-02-29T00:00",
    " 2024-02-29",
    "1849-12-31",
]
_TEXTS += ["1850-01-01", "2200-12-31", "2201-01-01", "2024-13-01", "2024-00-10", *FILLER_DATES]


@pytest.fixture(scope="module")
def engine() -> dict[str, list[Any]]:
    rows = ibis.memtable({"text": _TEXTS}, schema={"text": "string"})
    found = rows.select(
        date=parse_date(rows.text, "YYYY-MM-DD"),
        filler=is_filler(rows.text, "YYYY-MM-DD").fill_null(False),
        amount=parse_amount(rows.text),
        number=parse_number(rows.text, "float32"),
        small=parse_number(rows.text, "int16"),
        large=parse_number(rows.text, "int32"),
        word=clean_word(rows.text),
        person=clean_id(rows.text),
        claim=clean_number(rows.text),
    )
    return found.to_pyarrow().to_pydict()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("date", read_date),
        ("filler", is_filler_date),
        ("amount", read_amount),
        ("small", lambda text: read_whole(text, 16)),
        ("large", lambda text: read_whole(text, 32)),
        ("word", tidy_word),
        ("person", tidy_id),
        ("claim", tidy_number),
    ],
)
def test_a_field_in_memory_is_read_as_the_engine_reads_it(engine: dict[str, list[Any]], name: str, read: Any) -> None:
    found = [read(text) for text in _TEXTS]
    assert [(text, one) for text, one in zip(_TEXTS, found, strict=True)] == list(
        zip(_TEXTS, engine[name], strict=True)
    )


def test_a_quantity_in_memory_is_that_of_the_engine_but_for_its_width(engine: dict[str, list[Any]]) -> None:
    found, expected = [read_number(text) for text in _TEXTS], engine["number"]
    assert [one is None for one in found] == [one is None for one in expected]
    filled = [one for one in expected if one is not None]
    assert [one for one in found if one is not None] == pytest.approx(filled, rel=1e-6)
