"""Codes and ids that came as numbers are refused in every raw table; what loses nothing is read."""

import datetime as dt
import decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.numeric_codes import are_floats
from claim_transformers.sources.pipeline.reading import Layout, stage_files
from claim_transformers.sources.registry import sources

REFUSALS = {"id": "E_ID_TYPE", "code": "E_CODE_TYPE", "icd": "E_CODE_TYPE"}
LAYOUTS = {
    f"{source.name} {name}": layout
    for source in sources().values()
    if source.read is not None
    for name, layout in source.read_layouts().items()
    if layout.target != "none"
}
# The first and the last column of each kind of each raw table.
COLUMNS = [
    (table, kind, name)
    for table, layout in LAYOUTS.items()
    for kind in REFUSALS
    if (names := [name for name, of_column in layout.to_layout().kinds.items() if of_column == kind])
    for name in dict.fromkeys((names[0], names[-1]))
]
LAYOUT = Layout(
    ("CLAIM", "DX", "DRG", "SEX"), ("CLAIM",), kinds={"CLAIM": "id", "DX": "icd", "DRG": "code", "SEX": "flag"}
)
ICD9_FLOATS = ["389.0", "25000.0", "4019.0"]
NUMBERS = {
    "whole numbers": pa.array([7, 8]),
    "floats": pa.array([7.0, None]),
    "decimals": pa.array([decimal.Decimal(7)] * 2, pa.decimal128(38, 0)),
    "booleans": pa.array([True, False]),
    "dates": pa.array([dt.date(2018, 1, 1)] * 2),
}


@pytest.fixture(scope="module")
def connection():
    return connect(threads=1)


def _stage(
    connection, tmp_path: Path, columns: dict[str, pa.Array], layout: Layout = LAYOUT, *, as_text: bool = False
):
    """Rows of one file, parquet or text."""
    table = pa.table(columns)
    path = tmp_path / ("raw.csv" if as_text else "raw.parquet")
    if as_text:
        lines = [",".join(table.column_names)]
        lines += [",".join(value or "" for value in row.values()) for row in table.to_pylist()]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(table, path)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    rows, (file,) = stage_files(connection, [(path, layout)], scratch, name="raw")
    return fetch(connection, rows.order_by("row_no")), file


@pytest.mark.parametrize(("table", "kind", "name"), COLUMNS)
def test_every_raw_table_refuses_numbers_where_zeros_count(connection, tmp_path: Path, table, kind, name) -> None:
    layout = LAYOUTS[table].to_layout()
    columns = dict.fromkeys(layout.columns, pa.array(["x", None])) | {name: pa.array([389.0, 4019.0])}
    with pytest.raises(
        ClaimDataError, match=f"{REFUSALS[kind]}: expected text in {name} of raw.parquet, found double"
    ):
        _stage(connection, tmp_path, columns, layout)


@pytest.mark.parametrize("column", ["CLAIM", "DX", "DRG"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_no_type_but_text_holds_a_code(connection, tmp_path: Path, column: str, kind: str) -> None:
    with pytest.raises(ClaimDataError, match=f"expected text in {column} of raw.parquet.*export it as text") as caught:
        _stage(connection, tmp_path, {"CLAIM": pa.array(["1", "2"]), column: NUMBERS[kind]})
    assert caught.value.reason_code == ("E_ID_TYPE" if column == "CLAIM" else "E_CODE_TYPE")


@pytest.mark.parametrize(
    "text",
    [
        pa.array(["0389", None]),
        pa.array(["0389", None], pa.large_string()),
        pa.array(["0389", None], pa.string_view()),
        pa.array(["0389", None]).dictionary_encode(),
        pa.array([b"0389", None]),
        pa.array([b"0389", None], pa.large_binary()),
        pa.array([b"0389", None], pa.binary(4)),
    ],
    ids=lambda array: str(array.type),
)
def test_text_of_any_type_keeps_its_zeros(connection, tmp_path: Path, text: pa.Array) -> None:
    rows, _ = _stage(connection, tmp_path, {"CLAIM": text, "DX": text, "DRG": text})
    assert [rows[name].to_pylist() for name in ("CLAIM", "DX", "DRG")] == [["0389", None]] * 3


@pytest.mark.parametrize("nothing", [pa.nulls(2), pa.nulls(2, pa.int64()), pa.array([float("nan"), None])], ids=str)
def test_an_empty_column_of_numbers_loses_nothing(connection, tmp_path: Path, nothing: pa.Array) -> None:
    rows, file = _stage(connection, tmp_path, {"CLAIM": pa.array(["1", "2"]), "DX": nothing, "EXTRA": nothing})
    assert rows["DX"].to_pylist() == [None, None]
    assert file.unused == ()


@pytest.mark.parametrize(
    "number", [pa.array([1, 2]), pa.array([1.0, 2.0]), pa.array(["1", "2"])], ids=lambda x: str(x.type)
)
def test_a_flag_may_be_a_number(connection, tmp_path: Path, number: pa.Array) -> None:
    rows, file = _stage(connection, tmp_path, {"CLAIM": pa.array(["1", "2"]), "SEX": number})
    assert (rows["SEX"].to_pylist(), file.fixes) == (["1", "2"], {})


def test_flags_that_were_floats_lose_the_point_and_are_counted(connection, tmp_path: Path) -> None:
    flags = {"CLAIM": pa.array(["a", "b", "c"]), "SEX": pa.array(["1.0", None, "10.0 "])}
    rows, file = _stage(connection, tmp_path, flags, as_text=True)
    assert (rows["SEX"].to_pylist(), file.fixes) == (["1", None, "10"], {"F_CODE_FORM": 2, "F_TEXT_FORM": 1})


@pytest.mark.parametrize("as_text", [True, False], ids=["delimited", "parquet"])
@pytest.mark.parametrize(
    ("column", "texts"),
    [
        ("DX", ICD9_FLOATS),
        ("DX", ["389.0 ", "25000.0 ", None]),
        ("DX", ["38.9", "401.9", "250.0"]),
        ("DX", [f"{number}.0" for number in range(240, 250)]),
        ("DRG", ["194.0", None, "64.0"]),
        ("CLAIM", ["7.0", "12.0", "13.0"]),
    ],
    ids=["without dots", "padded", "with dots", "many whole", "drg", "id"],
)
def test_text_that_a_float_was_written_to_is_refused(connection, tmp_path: Path, as_text, column, texts) -> None:
    columns = {"CLAIM": pa.array([f"c{number}" for number in range(len(texts))]), column: pa.array(texts)}
    with pytest.raises(ClaimDataError, match=f"expected text in {column} of .*a float was written") as caught:
        _stage(connection, tmp_path, columns, as_text=as_text)
    assert not any(str(text).strip() in str(caught.value) for text in texts if text)


@pytest.mark.parametrize(
    "texts",
    [
        ["250.0", "278.0"],
        ["401.9", "250.0", "486.1"],
        ["81.54", "45.0"],
        [*ICD9_FLOATS, "V58.61"],
        [*ICD9_FLOATS, "250.00"],
        [*ICD9_FLOATS, "486"],
        [*ICD9_FLOATS, "038.9"],
        ["E11.9", "I50.0"],
    ],
    ids=["whole", "one place", "procedures", "letters", "zero behind", "no dot", "zero in front", "icd-10"],
)
def test_a_column_that_can_hold_codes_with_dots_is_read(connection, tmp_path: Path, texts: list[str]) -> None:
    columns = {"CLAIM": pa.array([f"c{number}" for number in range(len(texts))]), "DX": pa.array(texts)}
    assert _stage(connection, tmp_path, columns, as_text=True)[0]["DX"].to_pylist() == texts


@pytest.mark.parametrize(("number", "expected"), [(9, False), (10, True)])
def test_ten_different_whole_codes_are_no_chance(number: int, expected: bool) -> None:
    assert are_floats(pa.array([f"{240 + place}.0" for place in range(number)]), may_have_dot=True) is expected


def test_footers_without_statistics_are_no_way_around(connection, tmp_path: Path) -> None:
    path, scratch = tmp_path / "raw.parquet", tmp_path / "scratch"
    pq.write_table(pa.table({"CLAIM": ["a", "b", "c"], "DX": ICD9_FLOATS}), path, write_statistics=False)
    scratch.mkdir()
    with pytest.raises(ClaimDataError, match="E_CODE_TYPE"):
        stage_files(connection, [(path, LAYOUT)], scratch, name="raw")


def test_columns_that_nothing_reads_are_named_and_not_judged(connection, tmp_path: Path) -> None:
    layout = Layout(("CLAIM", "PHONE"), ("CLAIM",), kinds={"CLAIM": "id"})
    columns = {"claim": pa.array(["a", "b"]), "PHONE": pa.array([1, 2]), "status": pa.array(["paid", None])}
    rows, file = _stage(connection, tmp_path, {**columns, "empty": pa.nulls(2, pa.string())}, layout)
    assert file.unused == ("PHONE", "status")
    assert rows["PHONE"].to_pylist() == ["1", "2"]
