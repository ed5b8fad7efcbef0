"""Dates, amounts, numbers and ids: strictly or not at all."""

import datetime as dt

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claim_transformers.claims.engine import connect, fetch, load
from claim_transformers.claims.fields import (
    FILLER_DATES,
    add_each,
    any_of,
    clean_id,
    clean_number,
    is_filler,
    parse_amount,
    parse_date,
    parse_number,
)


@pytest.fixture(scope="module")
def connection() -> ibis.BaseBackend:
    return connect(threads=1)


def _apply(connection: ibis.BaseBackend, texts: list[str | None], function) -> list:
    rows = load(connection, "texts", pa.table({"text": pa.array(texts, pa.string())}))
    return fetch(connection, rows.select(value=function(rows.text)))["value"].to_pylist()


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "00000000", "20090230", "99991231", "19000101", "2009011", " 2009011", "2009 101", "2009-1-1"),
        *("20091301", "-2009010", "20090101 ", "2009010a", "18491231", "22010101"),
    ],
)
def test_what_is_no_date_in_the_declared_format_is_null(connection, text) -> None:
    assert _apply(connection, [text], lambda column: parse_date(column, "YYYYMMDD")) == [None]


@pytest.mark.parametrize("date_format", ["YYYYMMDD", "YYYY-MM-DD"])
def test_fillers_are_no_dates_and_their_neighbours_are(connection, date_format) -> None:
    def write(date: str) -> str:
        return date if date_format == "YYYY-MM-DD" else date.replace("-", "")

    fillers = [write(date) for date in FILLER_DATES]
    assert {"9999-12-31", "2199-12-31", "2099-12-31", "2050-12-31", "1900-01-01", "0000-00-00"} < set(FILLER_DATES)
    assert _apply(connection, fillers, lambda column: parse_date(column, date_format)) == [None] * len(fillers)
    assert all(_apply(connection, fillers, lambda column: is_filler(column, date_format)))
    real = ["1900-01-02", "2050-12-30", "2051-01-01", "2099-12-30", "2199-12-30"]
    texts = [write(date) for date in real]
    found = _apply(connection, texts, lambda column: parse_date(column, date_format))
    assert [date.isoformat() for date in found] == real
    assert not any(_apply(connection, texts, lambda column: is_filler(column, date_format)))


@pytest.mark.parametrize(
    "text", ["2009-02-30", "2009-1-01", "20090101", "2009/01/01", "2009-01-01 00:00:00", "9999-12-31"]
)
def test_iso_dates_are_as_strict(connection, text) -> None:
    assert _apply(connection, [text], lambda column: parse_date(column, "YYYY-MM-DD")) == [None]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dates(dt.date(1900, 1, 2), dt.date(2199, 12, 31)), min_size=1, max_size=20))
def test_every_real_date_is_read_in_both_formats(dates: list[dt.date]) -> None:
    connection = _SHARED
    dates = [date for date in dates if date.isoformat() not in FILLER_DATES]
    for date_format, pattern in (("YYYYMMDD", "%Y%m%d"), ("YYYY-MM-DD", "%Y-%m-%d")):
        texts = [date.strftime(pattern) for date in dates]
        assert _apply(connection, texts, lambda column, known=date_format: parse_date(column, known)) == dates


@pytest.mark.parametrize(
    "text", ["$1,234.50", "(12.00)", "1E3", "NaN", "inf", "1_000", "0x10", "1e400", " 7", "12345678901", "--5"]
)
def test_an_amount_that_is_no_plain_decimal_is_null(connection, text) -> None:
    assert _apply(connection, [text], parse_amount) == [None]


def test_cents_survive_where_a_float_loses_them(connection) -> None:
    assert [str(x) for x in _apply(connection, ["9999999.99", "-0.01"], parse_amount)] == ["9999999.99", "-0.01"]


def test_numbers_beyond_their_type_and_parts_of_whole_ones_are_null(connection) -> None:
    texts = ["32767", "32768", "30.0", "1.5", "-0.4", "1e2"]
    assert _apply(connection, texts, lambda column: parse_number(column, "int16")) == [32767, None, 30, *[None] * 3]
    assert _apply(connection, ["1.5"], lambda column: parse_number(column, "float32")) == [1.5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("007", "007"), ("a b", "a b"), ("Ünal", "Ünal"), ("10", "10"), ("99999", "99999"), ("na1", "na1")],
        *[(f"{before}P1{after}", "P1") for before, after in ((" ", ""), ("", "\u00a0"), ("\u3000", "\t"))],
        *[("\ufeffP1", "P1"), ("P\u200b1", "P1"), ("PATIENT-0001\r", "PATIENT-0001"), ("0009 ", "0009")],
        *[('="007"', "007"), (' =" 7"\t', "7"), ('="0"', None), ('="007', '="007'), ("=A7", "=A7")],
        *[(text, None) for text in (None, "", " ", "\u00a0\u200b", "-", ".", "--", "?", "0", "0000", "0.0")],
        *[(text, None) for text in ("000-00-0000", "999-99-9999", "9999999", " NULL", "N/A", "na", "None", "nan")],
        *[(text, None) for text in ("Unknown", "<NA>", "unknown\u3000", "0000000000-", "9999999999-9")],
        *[(text, None) for text in ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "+", "()", "0:0")],
    ],
)
def test_ids_lose_blanks_and_what_stands_for_none_and_keep_their_zeros(connection, text, expected) -> None:
    assert _apply(connection, [text], clean_id) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        (" 000 ", "000"),
        ("9999999", "9999999"),
        ("-", None),
        ('""', None),
        ("null", None),
        ("\u00a0", None),
    ],
)
def test_the_number_of_a_claim_can_be_nothing_but_zeros(connection, text, expected) -> None:
    assert _apply(connection, [text], clean_number) == [expected]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=14), min_size=1, max_size=30))
def test_a_cleaned_id_is_clean(texts: list[str]) -> None:
    once = _apply(_SHARED, [text.replace("\x00", "") for text in texts], clean_id)
    assert _apply(_SHARED, once, clean_id) == once
    assert not any(text is not None and text != text.strip() for text in once)


_SHARED = connect(threads=1)


@pytest.mark.parametrize("number", [2, 5, 8])
def test_many_values_of_a_row_are_read_as_few_are(connection, number) -> None:
    texts = {f"t{place}": ["1", None, "x" if place == 1 else "2"] for place in range(number)}
    rows = load(connection, "values_of_rows", pa.table({n: pa.array(v, pa.string()) for n, v in texts.items()}))
    made = add_each(rows, {f"m{name}": rows[name] for name in texts}, parse_amount)
    made = made.mutate(any=any_of([rows[name] for name in texts], lambda text: text.notnull() & (text == "x")))
    assert made.columns == (*texts, *(f"m{name}" for name in texts), "any")
    found = fetch(connection, made).to_pylist()
    assert [row["any"] for row in found] == [False, False, True]
    assert [row["mt0"] for row in found] == [1, None, 2]
    assert [row["mt1"] for row in found] == [1, None, None]
