"""The Tuva input layer: files and warehouses, both generations of names."""

import datetime as dt
import gzip
import zipfile
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import TUVA, Row, eligibility, medical_claim, pharmacy_claim, write_rows, write_tuva

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tuva import SOURCE
from claim_transformers.sources.formats.tuva.source import read_tuva
from claim_transformers.sources.pipeline.contract import StagedTable
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.layout_files import read_layouts


@pytest.fixture(scope="module")
def connection():
    return connect(threads=2)


def _stage(connection, path, tmp_path: Path, **options) -> dict[str, StagedTable]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return {table.name: table for table in read_tuva(path, connection, scratch=scratch, **options).tables}


def _lines(connection, table: StagedTable) -> list[Row]:
    return fetch(connection, table.to_canonical(table.rows)).to_pylist()


def _lines_of(connection, tmp_path: Path, claims: Sequence[Mapping[str, str]]) -> list[Row]:
    """The line of each claim, which differs from the others by its changes."""
    rows = [medical_claim(claim=f"{number:02d}", **changes) for number, changes in enumerate(claims)]
    folder = write_tuva(tmp_path / "raw", medical=rows)
    lines = _lines(connection, _stage(connection, folder, tmp_path)["medical_claim"])
    return sorted(lines, key=lambda line: line["claim_id"])


def _line(connection, tmp_path: Path, **changes: str) -> Row:
    (line,) = _lines_of(connection, tmp_path, [changes])
    return line


def test_a_medical_claim_line_keeps_what_it_says(connection, tmp_path: Path) -> None:
    line = _line(
        connection,
        tmp_path,
        diagnosis_code_3="I10",
        diagnosis_poa_3="Y",
        procedure_code_type="icd-10-pcs",
        procedure_code_1="0SR90J9",
        procedure_date_1="2018-11-03",
        hcpcs_modifier_1="25",
        hcpcs_modifier_3="59",
        drg_code="470",
        service_unit_quantity="2",
        revenue_center_code="0943",
    )
    assert [(entry["code"], entry["rank"], entry["poa"]) for entry in line["diagnoses"]] == [
        ("E119", 1, None),
        ("I10", 3, "Y"),
    ]
    assert line["procedures"] == [{"system": "ICD10PCS", "code": "0SR90J9", "date": dt.date(2018, 11, 3)}]
    assert line["hcpcs_modifiers"] == ["25", "59"]
    assert (line["drg_code_type"], line["drg_code"], line["service_unit_quantity"]) == ("ms-drg", "470", 2.0)
    assert (line["paid_amount"], line["data_source"]) == (Decimal("29.56"), "payer")


_CLAIM_TYPES = [
    *[("professional", "", "CAR"), ("institutional", "", "OP"), ("IP", "", "IP"), ("outpatient", "", "OP")],
    *[
        ("institutional", bill, "IP")
        for bill in ("111", "0111", " 111", "0111 ", "111.0", "111\u00a0", "11", "11i", "417")
    ],
    *[("institutional", bill, "SNF") for bill in ("181", "211")],
    *[("institutional", bill, "HHA") for bill in ("329", "339", "0341")],
    *[("institutional", bill, "HOSP") for bill in ("811", "822")],
    *[("institutional", bill, "OP") for bill in ("121", "131", "141", "221", "231", "711", "831", "851")],
    *[("dental", "", None), ("undetermined", "111", None)],
]


def test_the_type_of_bill_decides_the_claim_type(connection, tmp_path: Path) -> None:
    claims = [{"claim_type": claim_type, "bill_type_code": bill_type} for claim_type, bill_type, _ in _CLAIM_TYPES]
    found = [line["claim_type"] for line in _lines_of(connection, tmp_path, claims)]
    assert found == [expected for *_, expected in _CLAIM_TYPES]


def _systems(connection, tmp_path: Path, claims: Sequence[Mapping[str, str]]) -> list[str]:
    return [line["diagnoses"][0]["system"] for line in _lines_of(connection, tmp_path, claims)]


def test_an_explicit_qualifier_wins_and_else_the_last_day_decides(connection, tmp_path: Path) -> None:
    expected = [
        ({"diagnosis_code_type": "icd-9-cm", "claim_start_date": "2018-01-01"}, "ICD9CM"),
        ({"diagnosis_code_type": "icd-10-cm", "claim_start_date": "2012-01-01"}, "ICD10CM"),
        ({"diagnosis_code_type": "", "claim_start_date": "2015-09-30", "claim_end_date": ""}, "ICD9CM"),
        ({"diagnosis_code_type": "", "claim_start_date": "2015-09-30", "claim_end_date": "2015-10-01"}, "ICD10CM"),
        (
            {"diagnosis_code_type": "", "claim_start_date": "2015-09-20", "claim_end_date": "2015-09-30"}
            | {"discharge_date": "2015-10-02"},
            "ICD10CM",
        ),
        *(
            ({"diagnosis_code_type": "", "claim_start_date": "2012-05-01", "claim_end_date": ""} | far, "ICD9CM")
            for far in (
                {"discharge_date": "9999-12-31"},
                {"discharge_date": "2061-05-01"},
                {"claim_end_date": "2099-12-31"},
            )
        ),
    ]
    found = _systems(connection, tmp_path, [changes for changes, _ in expected])
    assert found == [system for _, system in expected]


_QUALIFIERS = {
    "ICD9CM": ("9", " 09", "icd-9", "ICD-9-CM", "icd9", "9.0"),
    "ICD10CM": ("0", "10", "icd-10", "ICD-10-CM ", "icd10cm", "Icd 10 Cm", "0.0", "10.0"),
}


@pytest.mark.parametrize(("system", "day"), [("ICD9CM", "2018-01-01"), ("ICD10CM", "2012-01-01")])
def test_a_qualifier_is_read_in_each_of_its_writings_against_the_date(connection, tmp_path, system, day) -> None:
    words = _QUALIFIERS[system]
    dates = {"claim_start_date": day, "claim_end_date": day}
    claims = [{"diagnosis_code_type": word, **dates} for word in words]
    assert dict(zip(words, _systems(connection, tmp_path, claims), strict=True)) == dict.fromkeys(words, system)


def test_a_word_that_is_no_qualifier_is_counted_and_the_date_decides(tmp_path: Path) -> None:
    words = ["unknown", "ICDX", "110", "icd-100", " ", "0"]
    claims = [
        medical_claim(
            claim=f"M{number}", diagnosis_code_type=word, procedure_code_1="0SR90J9", procedure_code_type="x"
        )
        for number, word in enumerate(words)
    ]
    claims.append(medical_claim(claim="empty", diagnosis_code_type="x", diagnosis_code_1=""))
    old = {"claim_start_date": "2015-09-30", "claim_end_date": "2015-09-30", "diagnosis_code_2": "I10"}
    claims.append(medical_claim(claim="old", diagnosis_code_type="x", diagnosis_code_1="4280", **old))
    folder = write_tuva(tmp_path / "raw", medical=claims)
    report = _report(folder, tmp_path / "out")
    (entry,) = _entries(report, "medical_claim.csv").values()
    assert entry["warnings"]["W_CODE_TYPE"] == 7
    assert report["codes"]["ICD9CM"]["quarantined"] == {"R_ICDFORM": 1}
    (file,) = open_folder(tmp_path / "out").table_files("claim_line")
    found = {
        row["claim_id"]: [(entry["system"], entry["code"]) for entry in row["diagnoses"]]
        for row in pq.read_table(file).to_pylist()
    }
    assert found == {f"M{number}": [("ICD10CM", "E119")] for number in range(6)} | {
        "empty": [],
        "old": [("ICD9CM", "4280")],
    }


@pytest.mark.parametrize("rest", [[], ["4280"]])
def test_a_file_that_loses_every_diagnosis_is_refused_and_one_that_keeps_one_is_not(tmp_path: Path, rest) -> None:
    claims = [
        medical_claim(claim=f"M{number}", diagnosis_code_type="9", diagnosis_code_1=code)
        for number, code in enumerate(["I10", "J441", *rest])
    ]
    folder = write_tuva(tmp_path / "raw", medical=claims)
    if rest:
        assert _report(folder, tmp_path / "out")["codes"]["ICD9CM"]["quarantined"] == {"R_ICDFORM": 2}
    else:
        with pytest.raises(ClaimDataError, match=r"E_DIAGNOSES.*medical_claim\.csv \(<11 rows"):
            _report(folder, tmp_path / "out")


def test_both_generations_of_names_give_the_same_lines(connection, tmp_path: Path) -> None:
    new = write_tuva(tmp_path / "new", medical=[medical_claim(drg_code="470")])
    old = write_tuva(tmp_path / "old", medical=[medical_claim(drg_code="470")])
    file = old / "medical_claim.csv"
    header, rest = file.read_text().split("\n", 1)
    file.write_text(header.replace('"person_id"', '"patient_id"').replace('"drg_code"', '"ms_drg_code"') + "\n" + rest)
    lines = [_lines(connection, _stage(connection, folder, tmp_path)["medical_claim"]) for folder in (new, old)]
    assert lines[0] == lines[1]


def test_eligibility_words_are_made_uniform_and_the_end_of_time_is_open(connection, tmp_path: Path) -> None:
    people = [eligibility(gender=" F ", race="White", enrollment_end_date="9999-12-31"), eligibility("P2", gender="x")]
    folder = write_tuva(tmp_path / "raw", medical=[medical_claim()], people=people)
    first, second = sorted(
        _lines(connection, _stage(connection, folder, tmp_path)["eligibility"]), key=lambda line: line["patient_id"]
    )
    assert (first["gender"], first["race"], first["enrollment_end_date"]) == ("female", "white", None)
    assert (second["gender"], second["enrollment_end_date"]) == (None, dt.date(2018, 12, 31))


def _report(raw: Path, out: Path, **options) -> Mapping[str, Any]:
    shares = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
    return ingest("tuva", raw, out, progress=False, threads=2, **(shares | options)).report


def _entries(report: Mapping[str, Any], source_file: str) -> dict[str, Row]:
    return {entry["claim_type"]: entry for entry in report["files"] if entry["source_file"] == source_file}


_DAMAGED_BILL_TYPES = ["1.11E+02", "x", "00111", "1111", "11-1", " "]


@pytest.mark.parametrize(
    ("has_admission", "drg", "claim_type"),
    [(True, "291", "IP"), pytest.param(True, "?", "OP", marks=pytest.mark.slow), (False, "291", "OP")],
)
def test_without_a_type_of_bill_the_admission_and_the_drg_decide_and_it_is_counted(
    tmp_path: Path, has_admission: bool, drg: str, claim_type: str
) -> None:
    stay = {"admission_date": "2018-11-02", "discharge_date": "2018-11-02"} if has_admission else {}
    claims = [
        medical_claim(claim=f"M{number}", claim_type="Institutional ", bill_type_code=bill, drg_code=drg, **stay)
        for number, bill in enumerate(_DAMAGED_BILL_TYPES)
    ]
    folder = write_tuva(tmp_path / "raw", medical=claims)
    ((found, entry),) = _entries(_report(folder, tmp_path / "out"), "medical_claim.csv").items()
    assert (found, entry["rows_out"], entry["fixes"]["F_BILL_TYPE_NULL"]) == (claim_type, 6, 5)
    assert entry["warnings"]["W_BILL_TYPE"] == 6
    (file,) = open_folder(tmp_path / "out").table_files("claim_line")
    lines = pq.read_table(file).to_pylist()
    assert {(line["claim_type"], line["bill_type_code"]) for line in lines} == {(claim_type, None)}


def test_a_gender_that_tuva_does_not_document_is_null_and_counted(tmp_path: Path) -> None:
    genders = [" Female", "F\u00a0", "male", "M", "unknown", "", "1", "2", "W"]
    people = [eligibility(f"P{number}", gender=gender) for number, gender in enumerate(genders)]
    folder = write_tuva(tmp_path / "raw", medical=[medical_claim("P0")], people=people)
    (entry,) = _entries(_report(folder, tmp_path / "out"), "eligibility.csv").values()
    assert entry["fixes"] == {"F_SEX_NULL": 3, "F_TEXT_FORM": 2}
    (file,) = open_folder(tmp_path / "out").table_files("eligibility")
    found = {row["patient_id"]: row["gender"] for row in pq.read_table(file).to_pylist()}
    assert [found[f"P{number}"] for number in range(9)] == ["female", "female", "male", "male", *[None] * 5]


def test_files_are_found_in_parts_folders_and_archives(connection, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    (folder / "medical_claim").mkdir(parents=True)
    plain = write_rows(tmp_path / "plain.csv", TUVA["medical_claim"], [medical_claim(claim="M1")])
    (folder / "medical_claim_0_1_0.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pq.write_table(pa.Table.from_pylist([medical_claim(claim="M2")]), folder / "medical_claim" / "data_00000.parquet")
    other = write_rows(tmp_path / "other.csv", TUVA["medical_claim"], [medical_claim(claim="M3")])
    with zipfile.ZipFile(folder / "medical_claim-00001.zip", "w") as archive:
        archive.write(other, "medical_claim.csv")
    write_rows(folder / "medical_claim_1000p.csv", TUVA["medical_claim"], [medical_claim(claim="no")])
    table = _stage(connection, folder, tmp_path)["medical_claim"]
    assert {line["claim_id"] for line in _lines(connection, table)} == {"M1", "M2", "M3"}


def test_a_suffix_selects_another_set_of_files(connection, tmp_path: Path) -> None:
    folder = write_tuva(tmp_path / "raw", medical=[medical_claim()])
    write_rows(folder / "medical_claim_1000p.csv", TUVA["medical_claim"], [medical_claim(claim="large")])
    table = _stage(connection, folder, tmp_path, suffix="_1000p")["medical_claim"]
    assert [line["claim_id"] for line in _lines(connection, table)] == ["large"]


def test_a_declared_delimiter_is_used(connection, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    write_rows(folder / "medical_claim.csv", TUVA["medical_claim"], [medical_claim()], delimiter="|")
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT.*pipe"):
        _stage(connection, folder, tmp_path)
    assert len(_lines(connection, _stage(connection, folder, tmp_path, delimiter="|")["medical_claim"])) == 1


def test_a_warehouse_gives_the_same_lines_as_files(connection, tmp_path: Path) -> None:
    folder = write_tuva(
        tmp_path / "raw", medical=[medical_claim()], pharmacy=[pharmacy_claim()], people=[eligibility()]
    )
    warehouse = ibis.duckdb.connect()
    warehouse.raw_sql("CREATE SCHEMA claims")
    for name in ("medical_claim", "pharmacy_claim", "eligibility"):
        warehouse.raw_sql(
            f"CREATE TABLE claims.{name} AS SELECT * FROM read_csv('{folder}/{name}.csv', all_varchar = true)"
        )
    from_files = _stage(connection, folder, tmp_path)
    from_tables = _stage(connection, warehouse, tmp_path, schema="claims")
    for name, table in from_files.items():
        found, expected = (
            [{key: value for key, value in line.items() if key != "source_file"} for line in _lines(connection, one)]
            for one in (from_tables[name], table)
        )
        assert found == expected


def test_a_warehouse_with_numeric_ids_is_refused(connection, tmp_path: Path) -> None:
    warehouse = ibis.duckdb.connect()
    warehouse.raw_sql(
        "CREATE TABLE pharmacy_claim AS SELECT '1' AS claim_id, 1 AS claim_line_number, 7 AS person_id, "
        "DATE '2018-01-01' AS dispensing_date, '00093014505' AS ndc_code"
    )
    with pytest.raises(ClaimDataError, match=r"E_ID_TYPE.*person_id"):
        _stage(connection, warehouse, tmp_path)


def test_a_warehouse_with_numeric_codes_is_refused(connection, tmp_path: Path) -> None:
    warehouse = ibis.duckdb.connect()
    for kind in ("DOUBLE", "DECIMAL(38, 0)", "BIGINT", "BOOLEAN"):
        warehouse.raw_sql(
            "CREATE OR REPLACE TABLE pharmacy_claim AS SELECT '1' AS claim_id, 1 AS claim_line_number, "
            f"'7' AS person_id, DATE '2018-01-01' AS dispensing_date, 1::{kind} AS ndc_code"
        )
        with pytest.raises(ClaimDataError, match=r"E_CODE_TYPE.*ndc_code"):
            _stage(connection, warehouse, tmp_path)


def test_groups_of_two_groupers_are_two_codes(tmp_path: Path) -> None:
    types = ["MS-DRG", "", "apr_drg ", "APR-DRG", "cms-drg v24", "tricare"]
    drgs = ["194", "194", "194", "194-2", "194", "194"]
    claims = [
        medical_claim(f"P{number}", f"M{number}", drg_code=drg, drg_code_type=kind)
        for number, (kind, drg) in enumerate(zip(types, drgs, strict=True))
    ]
    report = _report(write_tuva(tmp_path / "raw", medical=claims), tmp_path / "out")
    (entry,) = _entries(report, "medical_claim.csv").values()
    assert entry["fixes"] == {"F_DRG_TYPE": 2, "F_TEXT_FORM": 1}
    assert {system: report["codes"][system]["occurrences"] for system in ("DRG", "APRDRG")} == {"DRG": 2, "APRDRG": 2}
    folder = open_folder(tmp_path / "out")
    lines = pq.read_table(folder.table_files("claim_line")[0]).to_pylist()
    found = {line["claim_id"]: (line["drg_code_type"], line["drg_code"]) for line in lines}
    assert [found[f"M{number}"] for number in range(6)] == [
        *[("ms-drg", "194")] * 2,
        ("apr-drg", "194"),
        ("apr-drg", "1942"),
        *[(None, None)] * 2,
    ]
    patients = [row for file in folder.table_files("patients") for row in pq.read_table(file).to_pylist()]
    codes = {row["patient_id"]: set(row["codes"][0]) for row in patients}
    groups = [{code for code in codes[f"P{number}"] if "DRG/" in code} for number in range(6)]
    assert groups == [{"DRG/194"}, {"DRG/194"}, {"APRDRG/194"}, {"APRDRG/1942"}, set(), set()]


def test_a_claim_with_the_group_of_another_grouper_is_inpatient_too(tmp_path: Path) -> None:
    stay = {
        "claim_type": "institutional",
        "admission_date": "2018-11-02",
        "drg_code": "194-2",
        "drg_code_type": "apr-drg",
    }
    report = _report(write_tuva(tmp_path / "raw", medical=[medical_claim(**stay)]), tmp_path / "out")
    assert set(_entries(report, "medical_claim.csv")) == {"IP"}


def _own_layouts(folder: Path) -> Path:
    """The layouts of the format with a column that says which claims were denied."""
    folder.mkdir()
    for file in SOURCE.layouts.iterdir():
        text = file.read_text()
        if file.stem == "medical_claim":
            rule = "{column: claim_status, in: [denied, D], verdict: D_DENIED, because: the claim is denied}"
            text = text.replace("columns:\n", f"rules: [{rule}]\ncolumns:\n  claim_status: text\n")
        (folder / file.name).write_text(text)
    return folder


def test_a_column_that_says_what_was_denied_can_be_mapped(tmp_path: Path) -> None:
    layouts = _own_layouts(tmp_path / "layouts")
    folder = tmp_path / "raw"
    folder.mkdir()
    statuses = ["paid", " denied\u00a0", "D", ""]
    rows = [medical_claim(claim=f"M{number}", claim_status=status) for number, status in enumerate(statuses)]
    write_rows(folder / "medical_claim.csv", read_layouts(layouts)["medical_claim"], rows)
    plain, mapped = tmp_path / "plain", tmp_path / "mapped"
    report = _report(folder, plain)
    assert (report["denials"], report["unused_columns"]) == (
        {"medical_claim": []},
        {"medical_claim.csv": ["claim_status"]},
    )
    said = "columns that hold values and are not used: 1;", "no column says which claims were denied in medical_claim"
    assert all(words in str(ingest("tuva", folder, plain, overwrite=True, progress=False)) for words in said)
    summary = ingest("tuva", folder, mapped, layouts=layouts, progress=False)
    (entry,) = _entries(summary.report, "medical_claim.csv").values()
    assert (entry["rows_in"], entry["rows_out"], entry["drop_reasons"]) == (4, 2, {"D_DENIED": 2})
    assert (summary.report["denials"], summary.report["unused_columns"]) == ({"medical_claim": ["claim_status"]}, {})
    assert not any(words in str(summary) for words in said)


def test_own_layouts_have_every_column_of_the_format(tmp_path: Path) -> None:
    layouts = _own_layouts(tmp_path / "layouts")
    file = layouts / "eligibility.yaml"
    file.write_text(file.read_text().replace("  plan: text\n", ""))
    folder = write_tuva(tmp_path / "raw", medical=[medical_claim()])
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT_FILE.*eligibility[.]yaml.*one without plan"):
        ingest("tuva", folder, tmp_path / "out", layouts=layouts, progress=False)


@pytest.mark.parametrize("content", ["nothing", "only eligibility"])
def test_a_place_without_claims_is_refused(connection, tmp_path: Path, content: str) -> None:
    folder = write_tuva(tmp_path / "raw", people=[eligibility()] if content == "only eligibility" else [])
    with pytest.raises(ClaimDataError, match="E_NO_FILE"):
        _stage(connection, folder, tmp_path)


def test_flags_and_modifiers_are_capitals_and_what_is_no_modifier_is_counted(tmp_path: Path) -> None:
    modifiers = {"hcpcs_modifier_1": "tc", "hcpcs_modifier_2": " 25", "hcpcs_modifier_3": "a|b"}
    flags = {"diagnosis_poa_1": "y", "admit_source_code": "d", "admit_type_code": " 1 "}
    claims = [medical_claim(**modifiers, **flags), medical_claim("P2", "M2", hcpcs_modifier_1="Z" * 5000)]
    report = _report(write_tuva(tmp_path / "raw", medical=claims), tmp_path / "out")
    ((_, entry),) = _entries(report, "medical_claim.csv").items()
    assert entry["fixes"] == {"F_TEXT_FORM": 5, "F_MODIFIER": 2}
    (file,) = open_folder(tmp_path / "out").table_files("claim_line")
    first, second = pq.read_table(file).to_pylist()
    assert (first["hcpcs_modifiers"], second["hcpcs_modifiers"]) == (["TC", "25"], [])
    assert (first["diagnoses"][0]["poa"], first["admit_source_code"], first["admit_type_code"]) == ("Y", "D", "1")
