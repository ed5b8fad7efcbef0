"""Raw files to staged rows: strings only, and every fault of a file named or set aside."""

import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.claims.engine import connect, fetch, store_rows
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline import contract
from claim_transformers.sources.pipeline.contract import RawFile
from claim_transformers.sources.pipeline.reading import Layout, describe_place, stage_files
from claim_transformers.sources.pipeline.records import _Records

LAYOUT = Layout(
    ("CLM_ID", "PAID", "NOTE"),
    ("CLM_ID", "PAID"),
    kinds={"CLM_ID": "id", "PAID": "amount", "NOTE": "text"},
    delimiter_advice="pass delimiter={found}",
)


@pytest.fixture(scope="module")
def connection():
    return connect(threads=2)


def _stage(connection, tmp_path: Path, *contents: bytes, name: str = "raw.csv", layout: Layout = LAYOUT):
    paths = []
    for number, content in enumerate(contents):
        folder = tmp_path / f"in{number}"
        folder.mkdir()
        (folder / name).write_bytes(content)
        paths.append((folder / name, layout))
    (tmp_path / "scratch").mkdir(exist_ok=True)
    rows, files = stage_files(connection, paths, tmp_path / "scratch", name="raw")
    return fetch(connection, rows.order_by(["source_file", "row_no"])), files


def _reasons(file: RawFile) -> list[tuple[int, str]]:
    assert file.rejects is not None
    return list(zip(file.rejects["row_no"].to_pylist(), file.rejects["reason_code"].to_pylist(), strict=True))


def test_every_column_is_a_string_and_zeros_are_kept(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n007,1.50,2009\n008,,\n")
    assert rows["CLM_ID"].to_pylist() == ["007", "008"]
    assert {rows.schema.field(name).type for name in LAYOUT.columns} == {pa.string()}
    assert rows["PAID"].to_pylist() == ["1.50", None]
    assert rows["row_no"].to_pylist() == [1, 2]
    assert (file.name, file.num_rows, dict(file.fixes), dict(file.warnings)) == ("raw.csv", 2, {}, {})


@pytest.mark.parametrize(
    ("content", "fixes"),
    [
        (b"\xef\xbb\xbfCLM_ID,PAID,NOTE\n1,2,3\n", {"F_BOM": 1}),
        (b"CLM_ID,PAID,NOTE\r\n1,2,3\r\n", {"F_EOL": 2}),
        (b"CLM_ID,PAID,NOTE\r\n1,2,3\n", {"F_EOL": 1}),
        (b"clm_id,Paid,NOTE\n1,2,3\n", {"F_HEADER": 1}),
        (b"NOTE,PAID,CLM_ID\n3,2,1\n", {"F_HEADER": 1}),
        (b'"CLM_ID","PAID","NOTE"\n"1","2","3"', {}),
        (b"CLM_ID,PAID,NOTE\r1,2,3\r", {"F_EOL": 2}),
        (b"CLM_ID,PAID,NOTE\r1,2,3", {"F_EOL": 1}),
        (b"CLM_ID,PAID,NOTE,\n1,2,3,\n", {"F_HEADER": 1}),
        (b"CLM_ID,PAID,NOTE,,\n1,2,3,,\n", {"F_HEADER": 1}),
    ],
    ids=[
        "byte-order mark",
        "windows line ends",
        "mixed line ends",
        "case",
        "order",
        "quotes, no last line end",
        "line ends of old Macs",
        "and no last one",
        "a separator behind the last column",
        "two of them",
    ],
)
def test_harmless_forms_of_a_file_are_repaired_and_counted(connection, tmp_path: Path, content, fixes) -> None:
    rows, (file,) = _stage(connection, tmp_path, content)
    assert [rows[name][0].as_py() for name in LAYOUT.columns] == ["1", "2", "3"]
    assert dict(file.fixes) == fixes


def test_a_folder_that_is_named_like_a_column_and_its_value_says_nothing(connection, tmp_path: Path) -> None:
    lake = tmp_path / "CLM_ID=9"
    lake.mkdir()
    pq.write_table(pa.table({"CLM_ID": ["1"], "PAID": ["2.50"]}), lake / "raw.parquet")
    (lake / "raw.csv").write_bytes(b"CLM_ID,PAID\n1,2.50\n")
    rows, _ = stage_files(connection, [(lake / f"raw.{of}", LAYOUT) for of in ("csv", "parquet")], lake, name="lake")
    stored = store_rows(connection, "lake_rows", rows, lake, are_few=False)
    for found in (rows, stored):
        assert fetch(connection, found)["CLM_ID"].to_pylist() == ["1", "1"]


@pytest.mark.parametrize("last", ["3", " 3", "null", "N"])
def test_few_rows_are_staged_as_the_engine_stages_many(connection, tmp_path: Path, monkeypatch, last) -> None:
    layout = Layout(
        ("CLM_ID", "PAID", "FLAG", "MODIFIER", "ABSENT"),
        ("CLM_ID",),
        kinds={"CLM_ID": "id", "PAID": "text", "FLAG": "flag", "MODIFIER": "modifier"},
        constants={"YEAR": "2016"},
    )
    contents = (
        f"CLM_ID,PAID,FLAG,MODIFIER,Extra\n1,x ,y,tc,e\n2,NULL, ,2,\nbroken\n3,{last},n\u00a0,\u3000gt,\n".encode(),
        b"MODIFIER,CLM_ID,FLAG,more,row_no\n26,4,1.0,a,b\n,5,0.0,,c\n",
        b"CLM_ID,FLAG,YEAR\n6,1.0,2017\n7,,\n8,0.0,2015\n",
    )
    staged = {}
    for number, cells in enumerate((-1, 1 << 18)):
        monkeypatch.setattr(contract, "_FEW_CELLS", cells)
        folder = tmp_path / str(number)
        folder.mkdir()
        staged[cells] = _stage(connection, folder, *contents, layout=layout)
    (many, files), (few, same_files) = staged.values()
    assert few.equals(many)
    assert [(file.fixes, file.warnings, file.filled) for file in files] == [
        (file.fixes, file.warnings, file.filled) for file in same_files
    ]
    assert set(few["FLAG"].to_pylist()) == {"Y", "N", "1", "0", None}
    assert set(few["YEAR"].to_pylist()) == {"2015", "2016", "2017", None}


def test_a_missing_optional_column_is_null_and_an_extra_one_is_kept_with_a_warning(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,SURPRISE\n1,2,3\n")
    assert rows["NOTE"].to_pylist() == [None]
    assert rows["SURPRISE"].to_pylist() == ["3"]
    assert dict(file.warnings) == {"W_EXTRA_COLUMN": 1}


def test_a_raw_column_with_a_name_of_ours_is_renamed(connection, tmp_path: Path) -> None:
    rows, _ = _stage(connection, tmp_path, b"CLM_ID,PAID,source_file,STAGE\n1,2,theirs,3\n")
    assert (rows["source_file"][0].as_py(), rows["raw_source_file"][0].as_py()) == ("raw.csv", "theirs")
    assert rows["raw_STAGE"].to_pylist() == ["3"]


def test_a_line_break_inside_quotes_is_no_new_row(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, b'CLM_ID,PAID,NOTE\n1,2,"a\nb"\n2,3,c\n')
    assert rows["NOTE"].to_pylist() == ["a\nb", "c"]
    assert file.num_rows == 2


@pytest.mark.parametrize(
    ("bad_line", "reason"),
    [(b"2,3", "R_NCOLS"), (b"2,3,4,5", "R_NCOLS"), (b'2,"3"x,4', "R_NCOLS"), (b"2,\xff\xfe,4", "R_ENC")],
    ids=["too few", "too many", "broken quote", "other encoding"],
)
def test_a_line_that_cannot_be_split_is_set_aside_with_its_number(
    connection, tmp_path: Path, bad_line, reason
) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n1,2,3\n" + bad_line + b"\n4,5,6\n7,8,9\n")
    assert _reasons(file) == [(2, reason)]
    assert rows["row_no"].to_pylist() == [1, 3, 4]
    assert rows["CLM_ID"].to_pylist() == ["1", "4", "7"]
    assert file.num_rows == 4


def test_numbers_of_rows_count_all_set_aside_lines_before_them(connection, tmp_path: Path) -> None:
    lines = [b"x" if number in (1, 2, 5, 9) else b"%d,1,1" % number for number in range(1, 11)]
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n" + b"\n".join(lines) + b"\n")
    assert [int(claim) for claim in rows["CLM_ID"].to_pylist()] == rows["row_no"].to_pylist() == [3, 4, 6, 7, 8, 10]
    assert [number for number, _ in _reasons(file)] == [1, 2, 5, 9]


_WIDE = Layout(("CLM_ID", "PAID", "NOTE", "CITY"), ("CLM_ID", "PAID"))


def _lines(number: int, **stray: bytes) -> bytes:
    """Rows 1, 2, 3 and so on, with other words in the NOTE of some."""
    rows = [b"%d,1,%s,x" % (row, stray.get(f"row{row}", b"LEE")) for row in range(1, number + 1)]
    return b"CLM_ID,PAID,NOTE,CITY\n" + b"\n".join(rows) + b"\n"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    ("content", "set_aside"),
    [
        (_lines(9, row1=b'"LEE'), [1]),
        (_lines(9, row5=b'"LEE'), [5]),
        (_lines(9, row9=b'"LEE'), [9]),
        (_lines(9, row2=b'"LEE', row8=b'"MAY'), [2, 8]),
        (_lines(9, row2=b'"LEE', row8=b'LEE"'), [2, 8]),
        (_lines(9, row3=b'"LE"E'), [3]),
        (_lines(9, row4=b'L"E,"E'), [4]),
        (_lines(9, row2=b'"LEE', row5=b'"text"', row8=b'""'), [2]),
    ],
    ids=[
        "first",
        "middle",
        "last",
        "two far apart",
        "a pair far apart",
        "closed too early",
        "letter, then open",
        "true",
    ],
)
def test_a_stray_quote_costs_its_own_record_and_no_other(connection, tmp_path, content, set_aside, line_end) -> None:
    rows, (file,) = _stage(connection, tmp_path, content.replace(b"\n", line_end), layout=_WIDE)
    assert _reasons(file) == [(row, "R_NCOLS") for row in set_aside]
    assert file.num_rows == 9
    kept = [row for row in range(1, 10) if row not in set_aside]
    assert [int(claim) for claim in rows["CLM_ID"].to_pylist()] == rows["row_no"].to_pylist() == kept


def test_the_raw_line_of_a_stray_quote_is_kept_as_it_is(connection, tmp_path: Path) -> None:
    _, (file,) = _stage(connection, tmp_path, _lines(3, row2=b'"LEE'), layout=_WIDE)
    assert file.rejects is not None
    assert file.rejects["raw_line"].to_pylist() == ['2,1,"LEE,x']


def test_quoted_line_breaks_stay_right_beside_a_stray_quote(connection, tmp_path: Path) -> None:
    content = _lines(6, row1=b'"a\n\nb, ""c"""', row3=b'"LEE', row5=b'"d\ne\nf"')
    rows, (file,) = _stage(connection, tmp_path, content, layout=_WIDE)
    assert _reasons(file) == [(3, "R_NCOLS")]
    assert rows["NOTE"].to_pylist() == ['a\n\nb, "c"', "LEE", "LEE", "d\ne\nf", "LEE"]
    assert rows["row_no"].to_pylist() == [1, 2, 4, 5, 6]


def test_a_quoted_line_break_is_no_end_of_a_stray_quote_before(connection, tmp_path: Path) -> None:
    # The first quote of row 5 stands where the stray one of row 3 would close.
    rows, (file,) = _stage(connection, tmp_path, _lines(6, row3=b'"LEE', row5=b'"\n"'), layout=_WIDE)
    assert (file.num_rows, _reasons(file)) == (6, [(3, "R_NCOLS")])
    assert rows["NOTE"].to_pylist() == ["LEE", "LEE", "LEE", "\n", "LEE"]
    assert rows["row_no"].to_pylist() == [1, 2, 4, 5, 6]


def test_quoted_text_that_may_be_records_is_refused(connection, tmp_path: Path) -> None:
    content = b'CLM_ID,PAID,NOTE,CITY\n1,2,"a\n2,3,4,5\nb",x\n'
    with pytest.raises(ClaimDataError, match=r"E_RECORDS.*quoted text of <11 lines out of which <11 look"):
        _stage(connection, tmp_path, content, layout=_WIDE)


@pytest.mark.parametrize("text", [b'"a\nb",2,"c",d', b'1,"a\n,",b,"\nc"', b'"\n",2,"\n\n",d'])
def test_quoted_line_breaks_may_stand_in_any_column(connection, tmp_path: Path, text) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE,CITY\n" + text + b"\n3,4,e,f\n", layout=_WIDE)
    assert (file.num_rows, file.rejects, rows["row_no"].to_pylist()) == (2, None, [1, 2])


def test_a_quote_is_a_letter_where_the_layout_has_none(connection, tmp_path: Path) -> None:
    layout = Layout(LAYOUT.columns, LAYOUT.required, delimiter="|", quote="")
    content = b'CLM_ID|PAID|NOTE\n1|2|"LEE\n2|3|"MAY"\n3|4|O"K\n'
    rows, (file,) = _stage(connection, tmp_path, content, layout=layout)
    assert rows["NOTE"].to_pylist() == ['"LEE', '"MAY"', 'O"K']
    assert (file.num_rows, file.rejects) == (3, None)


@pytest.mark.parametrize("name", ["raw.csv.gz", "raw.zip"])
def test_records_of_an_archive_are_counted_too(connection, tmp_path: Path, name) -> None:
    content, sink = _lines(9, row5=b'"LEE'), io.BytesIO()
    if name.endswith("zip"):
        with zipfile.ZipFile(sink, "w") as archive:
            archive.writestr("raw.csv", content)
    packed = sink.getvalue() or gzip.compress(content)
    _, (file,) = _stage(connection, tmp_path, packed, name=name, layout=_WIDE)
    assert (_reasons(file), file.num_rows) == ([(5, "R_NCOLS")], 9)


def test_records_that_the_parser_does_not_give_back_fail_the_file(connection, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(
        "claim_transformers.sources.pipeline.reading.find_records", lambda *_args, **_kwargs: _Records(3, {})
    )
    with pytest.raises(ClaimDataError, match=r"E_RECORDS: expected <11 records in raw.csv.*found <11 rows and 0"):
        _stage(connection, tmp_path, _lines(2), layout=_WIDE)


def test_line_ends_of_three_kinds_in_one_file_are_read(connection, tmp_path: Path) -> None:
    content = b"CLM_ID,PAID,NOTE,CITY\r1,1,a,x\r2,1,b,y\n3,1,c,x\r\n4,1,d,x\r5,1,e,x\n"
    rows, (file,) = _stage(connection, tmp_path, content, layout=_WIDE)
    assert rows["NOTE"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert (rows["row_no"].to_pylist(), file.rejects) == ([1, 2, 3, 4, 5], None)


def test_a_carriage_return_within_a_field_costs_its_own_record(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, _lines(3, row2=b"LE\rE"), layout=_WIDE)
    assert (_reasons(file), rows["row_no"].to_pylist()) == ([(2, "R_NCOLS")], [1, 3])


def test_nul_bytes_are_an_encoding_fault(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n1,2,3\n2,\x00,4\n")
    assert _reasons(file) == [(2, "R_ENC")]
    assert rows["row_no"].to_pylist() == [1]


def test_latin_1_is_read_where_the_layout_says_so(connection, tmp_path: Path) -> None:
    layout = Layout(LAYOUT.columns, LAYOUT.required, encoding="latin-1")
    rows, _ = _stage(connection, tmp_path, "CLM_ID,PAID,NOTE\n1,2,é\n".encode("latin-1"), layout=layout)
    assert rows["NOTE"].to_pylist() == ["é"]


def test_a_header_without_rows_is_a_warning(connection, tmp_path: Path) -> None:
    rows, (file,) = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n")
    assert (rows.num_rows, file.num_rows, dict(file.warnings)) == (0, 0, {"W_NO_ROWS": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "E_EMPTY_FILE.*raw.csv"),
        (b"CLM_ID,NOTE\n1,2\n", r"E_COLUMN.*expected the columns \['PAID'\]"),
        (b"CLM_ID,PAYD\n1,2\n", r"E_COLUMN.*, did you mean 'PAYD'\? Check"),
        (b"CLM-IDS,PAYD\n1,2\n", r"E_COLUMN.* 2 other columns\. Check"),
        (b"CLM_ID,PAID,PAID\n1,2,3\n", "E_COLUMN.*twice"),
        (b"CLM_ID|PAID|NOTE\n1|2|3\n", r"E_LAYOUT.*separated by a comma.*found a pipe.*delimiter='\|'"),
        (b"\x00\x01\x02\n", "E_LAYOUT.*binary"),
        (b"CLM_ID,PAID,\xff\n1,2,3\n", "E_LAYOUT.*utf-8"),
        (b"CLM_ID,PAID,NOTE,\n1,2,3,\n2,3,4,5\n", r"E_COLUMN.*found none for 1 of them, with values in <11 rows"),
        (b'CLM_ID,PAID,"NOTE\n1,2,3\n', "E_LAYOUT.*whole quotes or in none"),
    ],
    ids=[
        "empty",
        "missing column",
        "misspelt column",
        "perhaps no header",
        "column twice",
        "other delimiter",
        "binary",
        "header in another encoding",
        "values in a column without a name",
        "quote in the header that does not close",
    ],
)
def test_a_file_that_cannot_be_used_says_why(connection, tmp_path: Path, content, message) -> None:
    with pytest.raises(ClaimDataError, match=message):
        _stage(connection, tmp_path, content)


def test_a_source_without_a_choice_of_delimiters_advises_none(connection, tmp_path: Path) -> None:
    layout = Layout(LAYOUT.columns, LAYOUT.required)
    with pytest.raises(ClaimDataError, match=r"found a pipe$"):
        _stage(connection, tmp_path, b"CLM_ID|PAID|NOTE\n1|2|3\n", layout=layout)


def test_what_is_at_a_path_without_files_of_the_source_is_said(tmp_path: Path) -> None:
    (tmp_path / "2018").mkdir()
    (tmp_path / "notes.txt").touch()
    assert describe_place(tmp_path / "none", 0) == "no such file or folder"
    assert describe_place(tmp_path, 1).startswith(
        "1 file of other names and 1 folder: folders inside are not searched"
    )
    assert describe_place(tmp_path / "2018", 0) == "0 files of other names"


def test_the_same_content_under_two_names_is_refused(connection, tmp_path: Path) -> None:
    content = b"CLM_ID,PAID,NOTE\n1,2,3\n"
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        _stage(connection, tmp_path, content, content)


def test_two_files_of_one_name_are_told_apart(connection, tmp_path: Path) -> None:
    rows, files = _stage(connection, tmp_path, b"CLM_ID,PAID,NOTE\n1,2,3\n", b"CLM_ID,PAID,NOTE\n2,2,3\n")
    assert len({file.name for file in files}) == 2
    assert set(rows["source_file"].to_pylist()) == {file.name for file in files}


def _parquet(**columns: pa.Array) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def test_typed_parquet_columns_become_text(connection, tmp_path: Path) -> None:
    content = _parquet(CLM_ID=pa.array(["07"]), PAID=pa.array(["1.5"]).cast(pa.decimal128(6, 2)), NOTE=pa.array([""]))
    rows, _ = _stage(connection, tmp_path, content, name="raw.parquet")
    assert (rows["CLM_ID"][0].as_py(), rows["PAID"][0].as_py(), rows["NOTE"][0].as_py()) == ("07", "1.50", None)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"CLM_ID": pa.array([7]), "PAID": pa.array(["1"])}, "E_ID_TYPE.*CLM_ID.*int64"),
        ({"CLM_ID": pa.array(["7"]), "PAID": pa.array([0], pa.timestamp("us"))}, "E_TIMESTAMP.*PAID"),
        ({"CLM_ID": pa.array(["7"]), "PAID": pa.array([["1"]])}, "E_SCHEMA.*PAID"),
        ({"CLM_ID": pa.array(["7"])}, "E_COLUMN.*PAID"),
        ({"CLM_ID": pa.array(["7"]), "PAID": pa.array(["1"]), "": pa.array(["x"])}, "E_COLUMN.*found one without"),
    ],
    ids=["numeric id", "timestamp", "list", "missing", "no name"],
)
def test_parquet_types_that_lose_something_are_refused(connection, tmp_path: Path, columns, message) -> None:
    with pytest.raises(ClaimDataError, match=message):
        _stage(connection, tmp_path, _parquet(**columns), name="raw.parquet")


def test_bytes_that_are_no_text_in_parquet_are_refused_without_the_cell(connection, tmp_path: Path) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"CLM_ID": ["1"], "PAID": ["2"], "NOTE": pa.array([b"P17\xff"], pa.binary())}), sink)
    with pytest.raises(ClaimDataError, match="E_PARQUET") as raised:
        _stage(connection, tmp_path, sink.getvalue(), name="raw.parquet")
    assert "P17" not in str(raised.value)


@pytest.mark.parametrize(("content", "code"), [(b"", "E_EMPTY_FILE"), (b"PAR1 but cut off", "E_PARQUET")])
def test_a_broken_parquet_file_says_so(connection, tmp_path: Path, content, code) -> None:
    with pytest.raises(ClaimDataError, match=code):
        _stage(connection, tmp_path, content, name="raw.parquet")
