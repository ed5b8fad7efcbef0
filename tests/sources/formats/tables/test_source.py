"""A site's own tables: what each key of a mapping makes of rows that a test wrote."""

import datetime as dt
import gzip
import os
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.raw_claims import eligibility, medical_claim, pharmacy_claim, write_tuva

from claim_transformers.claims.engine import connect
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.simulation import simulate
from claim_transformers.sources.formats.tables import inputs
from claim_transformers.sources.formats.tables.inputs import list_inputs
from claim_transformers.sources.formats.tables.mapping import Place
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest
from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.sources.pipeline.reading import Layout

DATA = os.environ.get("CLAIMS_DATA_DIR")
OWN_TABLES = Path(__file__).parents[4] / "examples" / "own_tables"
write_tables = runpy.run_path(str(OWN_TABLES / "write_tables.py"))["write_tables"]

# One of each: months as rows and as columns, headers beside lines, a status that takes claims back, versions, a
# database.
MAPPING = """
name: site
database: duckdb://site.duckdb
tables:
  months:
    rows: eligibility
    files: months.csv
    fields:
      patient_id: MEMBER
      gender: {column: SEX, values: {1: male, 2: female}}
      birth_date: {column: BORN, day: 07-01}
    enrollment: {month: YM, format: YYYYMM}
  years:
    rows: eligibility
    files: years.csv
    fields: {patient_id: member, gender: sex}
    enrollment: {year: year, months: m01..m12, in: [Y]}
  facility:
    rows: claim_line
    files: "lines_*.csv"
    dates: DD.MM.YYYY
    header: {files: headers.tsv.gz, on: {CLAIM: NUMBER}}
    fields:
      patient_id: header.MEMBER
      claim_id: {column: CLAIM, prefix: F-}
      claim_line_number: LINE
      claim_type: {column: header.FORM, values: {I: by_bill_type, P: CAR}}
      bill_type_code: header.TOB
      claim_start_date: header.FROM
      claim_end_date: header.THRU
      admission_date: header.ADMITTED
      discharge_date: header.DISCHARGED
      paid_date: header.PAID_ON
      drg_code: header.DRG
      hcpcs_code: {column: CODE, where: {column: KIND, in: [H]}}
      revenue_center_code: {column: CODE, where: {column: KIND, in: [R]}}
      hcpcs_modifiers: MOD1..MOD2
      paid_amount: PAID
      diagnoses:
        columns: header.DX1..DX3
        system: {column: header.DXV1..DXV3, values: {A: icd9, B: icd10}}
      admitting_diagnosis: {columns: header.ADM, system: icd10}
      procedures: {columns: header.OP1, system: by_date, dates: header.OP1ON}
    rules:
      - {column: header.STATUS, in: [D], verdict: D_DENIED, because: the claim is denied}
    versions: {latest: header.ADJ, of: claim}
    reversals: {column: header.STATUS, in: [V]}
  fills:
    rows: rx_claim
    table: main.fills
    fields:
      patient_id: {column: member_key, is_number: true}
      claim_id: {columns: [member_key, filled]}
      dispensing_date: filled
      ndc_code: ndc
      days_supply: days
    reversals: none
"""
DIAGNOSES = "DX1 DX2 DX3 DXV1 DXV2 DXV3 ADM OP1 OP1ON"
HEADERS_ALONE = """
name: site
tables:
  visits:
    rows: claim_line
    files: lines.csv
    dates: YYYY-MM-DD
    header: {files: headers.csv, on: {CLAIM: NUMBER}}
    fields:
      patient_id: header.MEMBER
      claim_id: CLAIM
      claim_type: {constant: OP}
      claim_start_date: header.FROM
      hcpcs_code: CODE
      paid_amount: header.PAID
    versions: {latest: header.ADJ, of: claim}
    reversals: {column: header.STATUS, in: [V]}
"""
HEADER = f"NUMBER MEMBER FORM TOB FROM THRU ADMITTED DISCHARGED PAID_ON DRG {DIAGNOSES} STATUS ADJ"
STAY = (
    "{n} 101 I 0111 03.02.2016 09.02.2016 03.02.2016 09.02.2016 01.03.2016 291 I5023 4019 E119 B A x R0602 0SRC0J9 "
    "04.02.2016 {s} {a}"
)
VISIT = "{n} 102 P - 15.09.2015 15.09.2015 - - - - 4019 - - - - - - - - {s} {a}"
LINES = "CLAIM LINE KIND CODE MOD1 MOD2 PAID"


def _write(path: Path, header: str, *rows: str, sign: str = ",") -> None:
    text = "\n".join(sign.join("" if cell == "-" else cell for cell in row.split()) for row in (header, *rows)) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def write_site(folder: Path) -> Path:
    """The raw tables and their mapping."""
    folder.mkdir()
    _write(folder / "months.csv", "MEMBER SEX BORN YM", "101 2 1950 201601", "101 2 1950 201602", "103 9 1980 201607")
    _write(folder / "years.csv", "member sex year " + " ".join(f"m{n:02d}" for n in range(1, 13)),
           "102 F 2015 " + "Y " * 10 + "N N", "104 M 2015 " + "N " * 12)  # fmt: skip
    _write(
        folder / "headers.tsv.gz",
        HEADER,
        STAY.format(n="1", s="P", a="0"),
        STAY.format(n="2", s="D", a="0"),
        VISIT.format(n="3", s="P", a="0"),
        VISIT.format(n="4", s="P", a="0"),
        VISIT.format(n="4", s="P", a="1").replace("4019", "25000"),
        VISIT.format(n="6", s="P", a="0"),
        VISIT.format(n="7", s="P", a="0"),
        VISIT.format(n="8", s="V", a="0"),
        VISIT.format(n="9", s="V", a="0").replace("102", "101"),
        VISIT.format(n="10", s="P", a="0").replace("15.09.2015", "31.09.2015"),
        VISIT.format(n="11", s="P", a="0"),
        VISIT.format(n="11", s="P", a="0").replace("4019", "25000"),
        sign="\t",
    )
    _write(folder / "lines_1.csv", LINES, "1 1 R 0120 - - 900.00", "1 2 H 99223 25 TC 100.00", "2 1 R 0120 - - 5",
           "3 1 H 99213 - - 40.00", "4 1 H 99214 - - 50", "5 1 H 99213 - - 1")  # fmt: skip
    _write(folder / "lines_2.csv", LINES, "7 1 H 36415 - - 12.50", "8 1 H 36415 - - 12.50", "9 1 H 36415 - - 7",
           "10 1 H 36415 - - 7", "3 1 H 99213 - - 40.0", "11 1 H 99213 - - 3")  # fmt: skip
    with duckdb.connect(str(folder / "site.duckdb")) as database:
        database.execute(
            "CREATE TABLE fills AS SELECT * FROM (VALUES (101, DATE '2016-02-20', '00093014505', 30), "
            "(101, DATE '2016-02-20', '00093014505', 30), (102, DATE '2016-03-01', '00093-0145-05', 60)) "
            "AS rows(member_key, filled, ndc, days)"
        )
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return folder / "mapping.yaml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[IngestSummary, dict[str, list[dict[str, Any]]], Path]:
    mapping = write_site(tmp_path_factory.mktemp("tables") / "site")
    shares = {"max_quarantine_share": 1, "max_reason_share": 1, "progress": False, "threads": 1}
    summary = ingest("tables", mapping, mapping.parent / "out", **shares)
    return summary, read_tables(summary.out), mapping


def read_tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: pq.read_table(out / name).to_pylist() for name in ("claim_line", "rx_claim", "eligibility")}


def test_every_row_of_lines_headers_and_the_database_is_counted_once(site) -> None:
    summary, _, _ = site
    rows: dict[str, int] = {}
    for entry in summary.report["files"]:
        out = sum(entry[kind] for kind in ("rows_out", "quarantined", "dropped", "netted_out"))
        assert entry["rows_in"] == out
        rows[entry["source_file"]] = rows.get(entry["source_file"], 0) + entry["rows_in"]
    assert rows == {
        "months.csv": 3, "years.csv": 2, "headers.tsv": 12, "lines_1.csv": 6, "lines_2.csv": 6, "fills.parquet": 3
    }  # fmt: skip


def reasons(site, kind: str, *files: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in site[0].report["files"]:
        if entry["source_file"] in files:
            for code, number in entry[kind].items():
                found[code] = found.get(code, 0) + number
    return found


def test_headers_stand_on_their_lines_and_alone_where_there_is_none(site) -> None:
    lines = {(line["claim_id"], line["claim_line_number"]): line for line in site[1]["claim_line"]}
    assert set(lines) == {("F-1", 1), ("F-1", 2), ("F-3", 1), ("F-4", 1), ("F-6", 1)}
    dropped = reasons(site, "drop_reasons", "headers.tsv")
    assert dropped == {"D_HEADER": 10, "D_SUPERSEDED": 1}
    assert reasons(site, "warnings", "headers.tsv")["W_HEADER_ALONE"] == 1
    assert lines["F-6", 1]["diagnoses"][0]["code"] == "4019"
    stay = lines["F-1", 2]
    assert (stay["claim_type"], stay["bill_type_code"], stay["drg_code"], stay["patient_id"]) == (
        "IP",
        "0111",
        "291",
        "101",
    )
    assert (stay["admission_date"], stay["discharge_date"]) == (dt.date(2016, 2, 3), dt.date(2016, 2, 9))
    assert (stay["hcpcs_code"], stay["revenue_center_code"], stay["hcpcs_modifiers"]) == ("99223", None, ["25", "TC"])
    assert lines["F-1", 1]["revenue_center_code"] == "0120"


@pytest.mark.parametrize("on", ["{CLAIM: NUMBER}", "{CLAIM: NUMBER, ADJ: ADJ}"])
def test_a_header_without_lines_is_superseded_and_taken_back_as_lines_are(tmp_path: Path, on: str) -> None:
    text = HEADERS_ALONE.replace("{CLAIM: NUMBER}", on)
    latest = "ADJ" if "ADJ:" in on else "header.ADJ"
    (tmp_path / "mapping.yaml").write_text(text.replace("header.ADJ", latest), encoding="utf-8")
    _write(tmp_path / "lines.csv", "CLAIM ADJ CODE", "1 2 99213", "7 1 99213")
    _write(
        tmp_path / "headers.csv",
        "NUMBER MEMBER FROM PAID ADJ STATUS",
        "1 101 2016-01-01 10 1 P",  # Of a claim with lines, which are of the later version.
        "1 101 2016-01-01 11 2 P",
        # Two versions that differ behind the digits that a float keeps.
        "2 101 2016-02-01 10 20160101123045121 P",
        "2 101 2016-02-01 20 20160101123045122 P",
        "3 101 2016-03-01 30 1 P",
        "4 101 2016-03-01 30 1 V",  # Takes the claim before it back.
        "5 102 2016-04-01 30 1 V",
        "6 102 2016-05-01 30 1 P",
        "7 102 2016-06-01 40 1 P",
        "8 102 2016-06-01 40 1 V",  # Would take back a claim with lines, which stay.
    )
    shares = {"max_quarantine_share": 1, "max_reason_share": 1, "progress": False, "threads": 1}
    summary = ingest("tables", tmp_path / "mapping.yaml", tmp_path / "out", **shares)
    lines = pq.read_table(summary.out / "claim_line").to_pylist()
    paid = {line["claim_id"]: float(line["paid_amount"]) for line in lines}
    assert paid == {"1": 11, "2": 20, "6": 30, "7": 40}
    assert len(lines) == 4
    headers = next(entry for entry in summary.report["files"] if entry["source_file"] == "headers.csv")
    assert headers["drop_reasons"] == {"D_HEADER": 2, "D_SUPERSEDED": 2}
    assert headers["netted_out"] == 2
    assert headers["quarantine_reasons"] == {"R_ORPHAN_VOID": 2}
    assert headers["warnings"]["W_HEADER_ALONE"] == 2


def test_each_code_has_the_system_that_its_own_qualifier_says_and_else_the_date(site) -> None:
    lines = {(line["claim_id"], line["claim_line_number"]): line for line in site[1]["claim_line"]}
    stay = lines["F-1", 1]
    found = {(one["system"], one["code"], one["rank"]) for one in stay["diagnoses"]}
    assert found == {("ICD10CM", "I5023", 1), ("ICD9CM", "4019", 2), ("ICD10CM", "E119", 3)}
    assert stay["admitting_diagnosis"] == {"system": "ICD10CM", "code": "R0602"}
    assert stay["procedures"] == [{"system": "ICD10PCS", "code": "0SRC0J9", "date": dt.date(2016, 2, 4)}]
    assert lines["F-3", 1]["diagnoses"][0]["system"] == "ICD9CM"
    # The third qualifier of the stay is a word that the mapping does not list.
    assert reasons(site, "warnings", "lines_1.csv")["W_CODE_TYPE"] == 2


def test_versions_denials_reversals_and_lines_without_header_leave_with_their_reasons(site) -> None:
    files = ("lines_1.csv", "lines_2.csv")
    assert reasons(site, "drop_reasons", *files) == {"D_DENIED": 1, "D_DUPLICATE": 1}
    # One reversal takes its charge with it, the other finds none; the claim of a day that no September has.
    assert sum(entry["netted_out"] for entry in site[0].report["files"]) == 2
    assert reasons(site, "quarantine_reasons", *files) == {"R_HEADER": 2, "R_ORPHAN_VOID": 1, "R_DATE": 1}
    line = next(line for line in site[1]["claim_line"] if line["claim_id"] == "F-4")
    assert [one["code"] for one in line["diagnoses"]] == ["25000"]
    assert site[0].report["denials"]["facility"] == ["header.STATUS"]


def test_months_become_enrolment_whether_they_are_rows_or_columns(site) -> None:
    spans = [
        (row["patient_id"], row["enrollment_start_date"], row["enrollment_end_date"]) for row in site[1]["eligibility"]
    ]
    assert ("101", dt.date(2016, 2, 1), dt.date(2016, 2, 29)) in spans
    assert sum(patient == "102" for patient, _, _ in spans) == 10
    assert ("102", dt.date(2015, 10, 1), dt.date(2015, 10, 31)) in spans
    assert ("104", None, None) in spans
    people = {row["patient_id"]: (row["gender"], row["birth_date"]) for row in site[1]["eligibility"]}
    assert people["101"] == ("female", dt.date(1950, 7, 1))
    assert people["103"] == (None, dt.date(1980, 7, 1))
    assert reasons(site, "fixes", "months.csv") == {"F_SEX_NULL": 1}


def test_fills_of_a_database_are_read_and_lines_without_numbers_are_counted(site) -> None:
    fills = {(row["patient_id"], row["claim_id"]): row for row in site[1]["rx_claim"]}
    assert set(fills) == {("101", "101-2016-02-20"), ("102", "102-2016-03-01")}
    assert {(row["ndc_code"], row["claim_line_number"]) for row in fills.values()} == {("00093014505", 1)}
    assert fills["102", "102-2016-03-01"]["days_supply"] == 60
    assert reasons(site, "drop_reasons", "fills.parquet") == {"D_DUPLICATE": 1}


def test_quarantine_holds_the_raw_row_with_what_the_mapping_made_of_it(site) -> None:
    rows = pq.read_table(site[0].out / "quarantine" / "lines_1.parquet").to_pylist()
    assert [(row["CLAIM"], row["CODE"], row["reason_code"], row["mapped.claim_id"]) for row in rows] == [
        ("5", "99213", "R_HEADER", "F-5")
    ]


def test_no_cache_takes_a_database_for_files_and_a_wrong_url_is_not_quoted(site, tmp_path: Path) -> None:
    mapping = site[2]
    with pytest.raises(ValueError, match="database has no files"):
        load_claims("tables", mapping, cache_dir=tmp_path)
    with pytest.raises(ClaimDataError, match="E_WAREHOUSE") as caught:
        ingest("tables", mapping, tmp_path / "out", database="nowhere://user:secret@host/db", progress=False)
    assert "secret" not in str(caught.value)


def test_a_cache_knows_own_tables_by_the_mapping_and_every_file_that_it_names(tmp_path: Path) -> None:
    names = [
        "enrolment_detail.csv",
        "inpatient_services.csv.gz",
        "outpatient_drugs.parquet",
        "outpatient_services.tsv",
    ]
    for name in (*names, "notes.csv"):
        (tmp_path / name).touch()
    shutil.copy(OWN_TABLES / "mapping.yaml", tmp_path)
    assert [path.name for path in list_inputs(tmp_path / "mapping.yaml")] == ["mapping.yaml", *names]


@pytest.mark.parametrize(("kind", "times"), [("postgres", 1), ("duckdb", 2)])
def test_a_server_is_opened_once_for_all_tables_and_a_file_closed_after_each(tmp_path, monkeypatch, kind, times):
    pq.write_table(pa.table({"MEMBER": ["1"]}), tmp_path / "a.parquet")
    closed = []
    database = SimpleNamespace(name=kind, disconnect=lambda: closed.append(kind))
    opened = mock.Mock(return_value=database)
    monkeypatch.setattr(inputs, "connect_database", opened)
    monkeypatch.setattr(
        inputs, "fetch_to_parquet", lambda _, tables, *__, **___: {tables[0]: [tmp_path / "a.parquet"]}
    )
    given = inputs.Inputs(tmp_path, "$DATABASE", tmp_path)
    for table in ("a", "b"):
        given.stage(connect(threads=1), Place((), table, None, "utf-8", '"'), Layout(("MEMBER",), ("MEMBER",)), table)
    assert (opened.call_count, len(closed)) == (times, times if kind == "duckdb" else 0)


# ---- The same rows as another source ----


def test_amounts_as_accounts_write_them_and_timestamps_without_a_zone_are_read(tmp_path: Path) -> None:
    """One net of a charge and its reversal in parentheses; what could be another amount is null, and counted."""
    plain = {"12.5": "12.50", "$1,234.50": "1234.50", "$5": "5.00", "-$5.25": "-5.25", "($1,000)": "-1000.00"}
    plain |= {"$(4.00)": "-4.00", "12.00-": "-12.00", ".5": "0.50", "-.25": "-0.25"}
    other = ["1,23", "1.234,50", "0,125", "(5", "5)", "1E3", "-12.00-", "(12-", "$", ".", "$-"]
    written = [*plain, *other, "$70.10", "(70.10)"]
    days = [dt.datetime(2016, 3, 1, 23, 59)] * len(written)
    claims = [f"C{number}" for number in range(len(written) - 1)]
    columns = {"Member Number": ["007"] * len(written), "CLM": [*claims, claims[-1]], "FROM": days, "PAID": written}
    pq.write_table(pa.table({**columns, "DX": ["E11.9"] * len(written)}), tmp_path / "claims.parquet")
    fields = "patient_id: Member Number, claim_id: CLM, claim_type: {constant: CAR}, claim_start_date: FROM"
    codes = "diagnoses: {columns: DX, system: icd10}"
    mapping = (
        "name: own\ntables:\n  c:\n    rows: claim_line\n    files: claims.parquet\n    dates: YYYY-MM-DD hh:mm:ss\n"
    )
    (tmp_path / "m.yaml").write_text(f"{mapping}    fields: {{{fields}, paid_amount: PAID, {codes}}}\n")
    (counted,) = counts_of(ingest("tables", tmp_path / "m.yaml", tmp_path / "out"))
    rows = {row["claim_id"]: row for row in pq.read_table(tmp_path / "out" / "claim_line").to_pylist()}
    assert [str(rows[claim]["paid_amount"]) for claim in claims[: len(plain)]] == [*plain.values()]
    assert {rows[claim]["paid_amount"] for claim in claims[len(plain) : -1]} == {None}
    assert counted["netted_out"] == 2
    assert counted["fixes"] == {"F_AMOUNT_FORM": 8, "F_AMOUNT_NULL": len(other)}
    assert {row["claim_start_date"] for row in rows.values()} == {dt.date(2016, 3, 1)}


def simulated(folder: Path) -> Path:
    simulate(folder / "raw", patients=40, seed=11)
    return folder / "raw"


def test_a_simulated_population_as_wide_tables_gives_the_same_rows(tmp_path: Path) -> None:
    write_tables(simulated(tmp_path), tmp_path / "wide")
    text = (OWN_TABLES / "mapping.yaml").read_text(encoding="utf-8").replace("name: simulated", "name: simulated-a")
    (tmp_path / "wide" / "mapping.yaml").write_text(text, encoding="utf-8")
    options = {"progress": False, "threads": 1}
    # The wide tables bring no table of drugs, so neither may name them.
    theirs = ingest("simulated", tmp_path / "raw", tmp_path / "theirs", ndc_directory="none", **options)
    ours = ingest("tables", tmp_path / "wide" / "mapping.yaml", tmp_path / "ours", **options)
    before, after = read_tables(theirs.out), read_tables(ours.out)
    assert before["claim_line"]
    for name, rows in before.items():
        assert in_order(rows) == in_order(after[name])
    assert patients_of(theirs.out) == patients_of(ours.out)


def tuva_rows(folder: Path) -> Path:
    """Rows of the Tuva layout with a fault of each kind."""
    stay = {
        "claim_type": "institutional",
        "bill_type_code": "111",
        "admission_date": "2018-11-02",
        "discharge_date": "2018-11-09",
        "claim_end_date": "2018-11-09",
        "drg_code": "194",
        "procedure_code_type": "icd-10-pcs",
        "procedure_code_1": "0SRC0J9",
    }
    medical = [
        medical_claim(claim="M1", **stay, revenue_center_code="0120", diagnosis_poa_1="y", hcpcs_modifier_1="tc"),
        medical_claim(claim="M1", line=2, **stay, diagnosis_code_2="I10", drg_code_type="apr-drg"),
        medical_claim(claim="M1", line=2, **stay, diagnosis_code_2="I10", drg_code_type="apr-drg"),
        medical_claim(claim="M2", claim_type="institutional", bill_type_code="0131"),
        medical_claim(claim="M3", claim_type="institutional", diagnosis_code_1="4019", diagnosis_code_type="9"),
        medical_claim(claim="M4", paid_date="2018-12-01", paid_amount="5.00"),
        medical_claim(claim="M4", paid_date="2019-01-01", paid_amount="6.00"),
        medical_claim(claim="M5", paid_amount="-29.56"),
        medical_claim(claim="M5", line=2),
        medical_claim(claim="M6", claim_type="dental"),
        medical_claim(claim="M7", claim_start_date="2018-02-30"),
        medical_claim(claim="M8", hcpcs_code="99213TC", diagnosis_code_type="neither", rendering_npi="1234567893"),
        medical_claim("P2", claim="M9", claim_start_date="2019-03-01", claim_end_date="2019-02-01"),
        medical_claim(" ", claim="M10"),
    ]
    people = [eligibility(), eligibility("P2", gender="7", enrollment_end_date="9999-12-31", data_source="payer")]
    fills = [pharmacy_claim(), pharmacy_claim("P2", claim="R2", quantity="-30", ndc_code="1")]
    return write_tuva(folder, medical=medical, pharmacy=fills, people=people)


@pytest.mark.parametrize(
    "is_demo", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.skipif(not DATA, reason="no data")])]
)
def test_the_layout_of_tuva_as_a_mapping_gives_the_same_rows(is_demo: bool, tmp_path: Path) -> None:
    text = (Path(__file__).parent / "tuva.yaml").read_text(encoding="utf-8")
    raw = Path(DATA, "tuva") if is_demo else tuva_rows(tmp_path / "raw")
    if is_demo:
        text = text.replace(" person_id", " patient_id").replace("drg_code: drg_code", "drg_code: ms_drg_code")
    else:
        # No more are filled, and each costs the engine its planning.
        text = re.sub(r"_(25|5)$", "_3", text, flags=re.MULTILINE)
    text = re.sub(r"files: (\w+[.]csv)", lambda match: f"files: {raw / match[1]}", text)
    (tmp_path / "mapping.yaml").write_text(text, encoding="utf-8")
    options = {"max_quarantine_share": 1, "max_reason_share": 1, "progress": False, "threads": 1}
    theirs = ingest("tuva", raw, tmp_path / "theirs", **options)
    ours = ingest("tables", tmp_path / "mapping.yaml", tmp_path / "ours", **options)
    before, after = read_tables(theirs.out), read_tables(ours.out)
    assert before["claim_line"]
    for name, rows in before.items():
        assert in_order(rows) == in_order(after[name])
    assert counts_of(theirs) == counts_of(ours)
    assert patients_of(theirs.out) == patients_of(ours.out)


def counts_of(summary: IngestSummary) -> list[dict[str, Any]]:
    """What became of the rows of each file and claim type."""
    names = ("source_file", "claim_type", "rows_in", "rows_out", "netted_out", "quarantine_reasons", "drop_reasons")
    kept = [{name: entry[name] for name in names} | {"fixes": entry["fixes"]} for entry in summary.report["files"]]
    for entry in kept:
        entry["fixes"] = {code: number for code, number in entry["fixes"].items() if code != "F_HEADER"}
    return kept


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as texts; a list that no column feeds is as empty as one without entries."""
    return sorted(
        repr({name: value or None if isinstance(value, list) else value for name, value in row.items()})
        for row in rows
    )


def patients_of(out: Path) -> list[str]:
    return sorted(
        repr(row) for file in (out / "patients").glob("*.parquet") for row in pq.read_table(file).to_pylist()
    )
