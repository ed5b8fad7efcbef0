"""Mappings are read strictly: what is not understood is refused with the place, and what is to be decided too."""

import re
from pathlib import Path

import ibis
import pytest

from claim_transformers.claims.engine import connect
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.dates import compact_date, is_format, version_order
from claim_transformers.sources.formats.tables.keys import _KEYS, _describe_keys
from claim_transformers.sources.formats.tables.mapping import read_mapping
from claim_transformers.sources.formats.tables.source import read_tables

ROOT = Path(__file__).parents[4]
SMALL = """
name: site
tables:
  visits:
    rows: claim_line
    files: visits.csv
    fields:
      patient_id: MEMBER
      claim_id: CLAIM
      claim_type: {constant: OP}
      claim_start_date: DAY
      diagnoses: {columns: dx01..dx12, system: icd10}
"""
PEOPLE = "  people:\n    rows: eligibility\n    files: people.csv\n    fields: {patient_id: MEMBER}\n"


def read(folder: Path, text: str):
    path = folder / "mapping.yaml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


def test_a_range_keeps_its_zeros_and_every_value_is_as_it_was_written(tmp_path: Path) -> None:
    text = SMALL.replace("DAY\n", "DAY\n      place_of_service_code: {column: PLACE, values: {010: no, NO: 0x1}}\n")
    (table,) = read(tmp_path, text).tables
    assert table.codes["diagnoses"][0].columns == tuple(f"dx{number:02d}" for number in range(1, 13))
    assert table.fields["place_of_service_code"].values == {"010": "no", "NO": "0x1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rows: claim_line", "row: claim_line"), "at tables.visits, found 'row', did you mean 'rows'"),
        (("patient_id:", "patient:"), "at tables.visits.fields, found 'patient', did you mean 'patient_id'"),
        (("      claim_id: CLAIM\n", ""), "at tables.visits.fields, found none for claim_id"),
        (("dx01..dx12", "dx01..px12"), "columns that differ in one number, such as dx1..dx25"),
        (("system: icd10", "system: icd11"), "one of icd9, icd10, by_date at tables.visits.fields.diagnoses.system"),
        (("system: icd10", "system: icd10, dates: d1..d12"), "dates of procedures and flags of diagnoses only"),
        (("system: icd10", "system: {column: v1..v3}"), "as many columns as codes, 12"),
        (("{constant: OP}", "{constant: XX}"), "meanings out of IP, OP, CAR"),
        (("{constant: OP}", "{}"), "one of column, columns and constant at tables.visits.fields.claim_type"),
        (("files: visits.csv", "files: visits.csv\n    dates: MM/DD/YY"), "a format of YYYY, MM, M or MON"),
        (("files: visits.csv", "table: visits"), "its URL, because a table is named at database"),
        (("files: visits.csv", "files: visits.csv\n    enrollment: none"), "only eligibility tells of enrolment"),
        (("patient_id: MEMBER", "patient_id: {column: MEMBER, day: 07-01}"), "nothing, because the field is no date"),
        (("claim_line", "eligibility"), "a known key at tables.visits.fields, found 'claim_id'"),
        (("  visits:", "  visits_header:\n    rows: eligibility\n  visits:"), "another name than visits_header"),
        (("tables:", PEOPLE.replace("  people", "tables:\n  people", 1)), "one of: the fields enrollment_start_date"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(change, message: str, tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=message) as caught:
        read(tmp_path, SMALL.replace(change[0], change[1], 1))
    assert caught.value.reason_code == "E_MAPPING"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("    rules: [{column: S, in: [D], verdict: X_DENIED, because: denied}]\n", "D_..., R_... or W_..."),
        ("    rules: [{column: S, in: [D], not_in: [P], verdict: D_DENIED, because: x}]\n", "either in or not_in"),
        ("    versions: {latest: ADJ, of: bill}\n", "one of claim, line"),
        ("    reversals: positive\n", "one of negative, none"),
        ("    delimiter: '||'\n", "one sign at tables.visits.delimiter"),
        ("    header: {files: h.csv, on: header.X}\n", "columns that both tables have"),
        ("    optional: [NOWHERE]\n", "names elsewhere as optional, found NOWHERE"),
        ("    rules: [{column: member, in: [D], verdict: D_DENIED, because: x}]\n", "one spelling of each column"),
        (
            "    rules: [{column: header.S, in: [D], verdict: D_DENIED, because: x}]\n",
            "a section header of tables.visits",
        ),
    ],
)
def test_keys_of_a_table_are_held_against_each_other(extra: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(SMALL + extra, encoding="utf-8")
    with pytest.raises(ClaimDataError, match=re.escape(message)) as caught:
        read_tables(tmp_path / "mapping.yaml", connect(threads=1), scratch=tmp_path)
    assert caught.value.reason_code == "E_MAPPING"


def test_what_a_person_has_to_decide_is_refused_until_it_is(tmp_path: Path) -> None:
    text = SMALL.replace("name: site", "name: DECIDE").replace("{constant: OP}", "{column: T, values: {A: DECIDE}}")
    with pytest.raises(
        ClaimDataError, match=r"E_DECIDE: .* at name, tables.visits.fields.claim_type.values.A"
    ) as caught:
        read(tmp_path, text)
    assert "2 places" in str(caught.value)


def test_files_that_are_not_there_are_said_with_their_table(tmp_path: Path) -> None:
    (tmp_path / "mapping.yaml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE: expected files 'visits.csv' of tables.visits"):
        read_tables(tmp_path / "mapping.yaml", connect(threads=1), scratch=tmp_path)
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE: expected a mapping at .*, found a folder"):
        read_tables(tmp_path, connect(threads=1), scratch=tmp_path)


def test_dates_are_read_in_their_format_alone() -> None:
    cases = [
        ("MM/DD/YYYY", "02/03/2016", "20160203"),
        ("DD/MM/YYYY", "02/03/2016", "20160302"),
        ("M/D/YYYY", "2/3/2016", "20160203"),
        ("DDMONYYYY", "03feb2016", "20160203"),
        ("DD-MON-YYYY", "03-XYZ-2016", "2016unreadable03"),
        ("DD.MM.YYYY", "03x02x2016", "unreadable"),
        ("YYYY-MM-DD hh:mm:ss", "2016-02-03 23:59:00", "20160203"),
        ("M/D/YYYY hh:mm:ss", "2/3/2016 12:00:00 AM", "20160203"),
        ("YYYY-MM-DD", "2016-2-3", "unreadable"),
        ("YYYYMM", "201602", "20160201"),
        ("YYYY-MM-DD", None, None),
    ]
    # One row for each, so that the engine plans once.
    columns = {f"c{place}": [text] for place, (_, text, _) in enumerate(cases)}
    rows = ibis.memtable(columns, schema=dict.fromkeys(columns, "string"))
    found = rows.select(**{f"c{n}": compact_date(rows[f"c{n}"], form) for n, (form, _, _) in enumerate(cases)})
    assert list(connect(threads=1).to_pyarrow(found).to_pylist()[0].values()) == [wanted for _, _, wanted in cases]


def test_of_versions_of_one_day_the_time_tells_which_is_later_and_what_is_no_date_is_no_version() -> None:
    in_order = {
        "M/D/YYYY hh:mm:ss": [
            "12/31/2015 11:59 PM",
            "1/2/2016 12:30:00 AM",
            "1/2/2016 1:00:00 AM",
            "1/2/2016 12:30 PM",
        ],
        "YYYY-MM-DD hh:mm:ss": [
            "2016-01-02 09:59:59",
            "2016-01-02 10:00:00",
            "2016-01-02T10:00:00.5",
            "2016-01-03 00:00:00",
        ],
        "MM/DD/YYYY": ["12/31/2015", "01/02/2016", "01/03/2016", "02/01/2016"],
        "": ["-1", "2", "10", "10.5"],
    }
    for date_format, texts in in_order.items():
        rows = ibis.memtable(
            {"at": range(6), "text": [*texts, "unreadable", None]}, schema={"at": "int8", "text": "string"}
        )
        order = rows.select("at", order=version_order(rows.text, date_format))
        found = {row["at"]: row["order"] for row in connect(threads=1).to_pyarrow(order).to_pylist()}
        assert [*found.values()][:4] == sorted({found[at] for at in range(4)})
        assert found[4] is found[5] is None


def test_formats_that_leave_something_open_are_none() -> None:
    assert [
        text for text in ("MM/DD/YY", "YYYY", "DD/MM", "YYYYMM", "YYYYDDMMDD", "yyyy-mm-dd") if is_format(text)
    ] == []
    assert is_format("YYYYMM", of_month=True)


def test_the_reference_of_keys_is_what_the_code_knows() -> None:
    page = (ROOT / "docs" / "sources" / "tables.md").read_text(encoding="utf-8")
    written = page.split("<!-- keys: begin -->")[1].split("<!-- keys: end -->")[0]
    assert written.strip() == _describe_keys(), (
        "run: python -m claim_transformers.sources.formats.tables.keys docs/sources/tables.md"
    )
    assert all(f"`{key}`" in written for keys in _KEYS.values() for key in keys)
