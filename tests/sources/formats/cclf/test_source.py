"""CCLF: fixed width and CSV alike, versions of claims, numbers of people, months that correct each other."""

import datetime as dt
import os
import re
import shutil
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from sources.cclf_rows import (
    LAYOUTS,
    Row,
    change,
    diagnosis,
    fill,
    header,
    part_b,
    person,
    procedure,
    revenue_center,
    write_cclf,
)

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.deliveries.consolidation import consolidate
from claim_transformers.sources.deliveries.staging_area import Staging
from claim_transformers.sources.formats.cclf import SOURCE
from claim_transformers.sources.formats.cclf.source import read_cclf
from claim_transformers.sources.pipeline.ingest import ingest

DATA = os.environ.get("CLAIMS_DATA_DIR")
ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
Tables = dict[str, list[Row]]


def _whole(claim: str, patient: str, **changes: str) -> Tables:
    """An inpatient claim in all of its files."""
    kept = {name: cell for name, cell in changes.items() if name == "CLM_TYPE_CD"}
    return {
        "cclf1": [header(claim, patient, **changes)],
        "cclf2": [revenue_center(claim, patient=patient, **kept)],
        "cclf3": [procedure(claim, patient=patient, **kept)],
        "cclf4": [diagnosis(claim, patient=patient, **kept), diagnosis(claim, 2, "E119", patient, **kept)],
    }


def _together(*worlds: Mapping[str, list[Row]]) -> Tables:
    return {
        name: [row for world in worlds for row in world.get(name, [])]
        for name in sorted({name for world in worlds for name in world})
    }


VOID, ADJUSTED = {"CLM_ADJSMT_TYPE_CD": "1"}, {"CLM_ADJSMT_TYPE_CD": "2"}
LATER = {"CLM_EFCTV_DT": "2018-08-01"}
# One patient for each story of a claim.
WORLD = _together(
    _whole("7", "1A"),
    {"cclf5": [part_b()], "cclf6": [part_b("11", kind="cclf6")], "cclf7": [fill()], "cclf8": [person()]},
    *(_whole(f"20{number}", "1T", CLM_TYPE_CD=number) for number in ("10", "20", "30", "40", "50", "61")),
    # An original, its cancellation and its adjustment, and another claim of the hospital on the same days.
    _whole("31", "1N"),
    _whole("32", "1N", **VOID, **LATER),
    _whole("33", "1N", **ADJUSTED, **LATER, CLM_PMT_AMT="900.00", BENE_PTNT_STUS_CD="30"),
    _whole("34", "1N", CLM_PMT_AMT="17.00"),
    # Nothing that it takes back is there: the payment is another.
    _whole("35", "1O", **VOID),
    _whole("36", "1O", CLM_PMT_AMT="1.00"),
    # The adjustment names the claim, and its cancellation is not there.
    _whole("37", "1S"),
    _whole("38", "1S", **ADJUSTED, **LATER, CLM_THRU_DT="2018-03-10", CLM_ORG_CNTL_NUM="CN37"),
    _whole("39", "1U", CLM_ADJSMT_TYPE_CD="7"),
    {"cclf2": [revenue_center("40", patient="1U")]},
    {
        "cclf5": [
            part_b("51", patient="1P"),
            part_b("51", 2, patient="1P", CLM_LINE_CVRD_PD_AMT="0.00", CLM_LINE_ALOWD_CHRG_AMT="0.00"),
            part_b("52", patient="1P", CLM_CNTL_NUM="CN51", **VOID, **LATER),
            part_b("52", 2, "1P", CLM_CNTL_NUM="CN51", CLM_LINE_CVRD_PD_AMT="0", CLM_LINE_ALOWD_CHRG_AMT="0", **VOID),
            part_b("53", patient="1P", CLM_CNTL_NUM="CN51", CLM_LINE_CVRD_PD_AMT="25.00", **ADJUSTED, **LATER),
            part_b("54", patient="1P", CLM_CNTL_NUM="CN54"),
            part_b("55", patient="1P", CLM_CNTL_NUM="CN54", CLM_LINE_CVRD_PD_AMT="26.00", **ADJUSTED, **LATER),
            part_b("56", patient="1P", CLM_CNTL_NUM=""),
            part_b("57", patient="1P", CLM_CNTL_NUM=""),
            part_b("58", patient="1P", CLM_CARR_PMT_DNL_CD="0"),
            part_b("59", patient="1P", **VOID),
        ],
        "cclf7": [
            fill("61", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM="77"),
            fill("62", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM="77", CLM_IDR_LD_DT="2018-07-20", CLM_LINE_RX_FILL_NUM="01"),
            fill("63", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM="78"),
            fill("64", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM="78", **VOID),
            fill("65", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM=""),
            fill("66", "1D", CLM_LINE_RX_SRVC_RFRNC_NUM=""),
        ],
    },
    # One person under three numbers, in the files of claims and of people.
    _whole("71", "1X"),
    {"cclf5": [part_b("72", patient="1Y")], "cclf7": [fill("73", "1Z")], "cclf8": [person("1Y"), person("1Z")]},
    {"cclf9": [change("1X", "1Y"), change("1Y", "1Z"), change("1Y", "1Y"), change("1Q", "1W")]},
)


class Ingested:
    """What an ingest published."""

    def __init__(self, raw: Path, out: Path, **options: Any) -> None:
        self.report = ingest("cclf", raw, out, progress=False, threads=1, **(ANY_SHARE | options)).report
        self.folder = open_folder(out)

    def rows(self, table: str) -> list[Row]:
        return [row for file in self.folder.table_files(table) for row in pq.read_table(file).to_pylist()]

    def claims(self, patient: str) -> set[str]:
        return {
            row["claim_id"]
            for table in ("claim_line", "rx_claim")
            for row in self.rows(table)
            if row["patient_id"] == patient
        }

    def counts(self, file: str) -> dict[str, int]:
        """How many rows of a file came to what, over all claim types."""
        totals: dict[str, int] = {}
        for entry in self.report["files"]:
            if entry["source_file"] == file:
                found = entry["quarantine_reasons"] | entry["drop_reasons"] | {"netted": entry["netted_out"]}
                for code, number in (found | {"out": entry["rows_out"]}).items():
                    totals[code] = totals.get(code, 0) + number
        return {code: number for code, number in totals.items() if number}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory) -> Ingested:
    folder = tmp_path_factory.mktemp("cclf")
    return Ingested(write_cclf(folder / "raw", **WORLD), folder / "out")


def _staged(raw: Path, scratch: Path) -> dict[str, list[Row]]:
    """Rows of each table as they are staged, without the file that they are from."""
    scratch.mkdir()
    connection = connect(threads=1)
    tables = read_cclf(raw, connection, scratch=scratch).tables
    found = {table.name: fetch(connection, table.rows.order_by("row_no")).to_pylist() for table in tables}
    without = ("source_file", "FILE_DATE")
    return {
        name: [{column: row[column] for column in row if column not in without} for row in rows]
        for name, rows in found.items()
    }


def test_fixed_width_and_delimited_files_give_the_same_rows(tmp_path: Path) -> None:
    fixed, delimited = (write_cclf(tmp_path / f"raw{day}", day=day, **WORLD) for day in ("181020", ""))
    found = _staged(fixed, tmp_path / "fixed")
    assert sorted(found) == [f"cclf{number}" for number in range(1, 9)]
    assert found == _staged(delimited, tmp_path / "delimited")


def test_a_claim_of_part_a_is_put_together_from_its_files(ingested: Ingested) -> None:
    lines = {row["claim_line_number"]: row for row in ingested.rows("claim_line") if row["claim_id"] == "7"}
    assert sorted(lines) == [1, 1_000_000, 2_000_001, 3_006_801, 3_006_802]
    of_claim = lines[1_000_000]
    assert {row["claim_start_date"] for row in lines.values()} == {dt.date(2018, 3, 3)}
    assert {row["discharge_date"] for row in lines.values()} == {dt.date(2018, 3, 9)}
    assert {row["paid_date"] for row in lines.values()} == {dt.date(2018, 3, 23)}
    assert (of_claim["drg_code"], of_claim["bill_type_code"], of_claim["discharge_disposition_code"]) == (
        "291",
        "111",
        "01",
    )
    assert [row["paid_amount"] for row in lines.values() if row["paid_amount"] is not None] == [Decimal("1200.50")]
    assert of_claim["admitting_diagnosis"] == {"system": "ICD10CM", "code": "R0602"}
    assert (lines[1]["revenue_center_code"], lines[1]["hcpcs_code"], lines[1]["hcpcs_modifiers"]) == (
        "0450",
        "99213",
        ["25"],
    )
    assert lines[1]["claim_line_start_date"] == dt.date(2018, 3, 4)
    assert lines[2_000_001]["procedures"] == [{"system": "ICD10PCS", "code": "0SR90J9", "date": dt.date(2018, 3, 4)}]
    ranks = [
        (entry["code"], entry["rank"], entry["poa"]) for row in lines.values() for entry in row["diagnoses"] or ()
    ]
    assert sorted(ranks, key=str) == [("E119", 3, "Y"), ("I5023", 1, "Y"), ("I5023", 1, None)]


def test_lines_of_part_b_and_fills_keep_what_they_say(ingested: Ingested) -> None:
    (line,) = [row for row in ingested.rows("claim_line") if row["claim_id"] == "8"]
    assert (line["claim_type"], line["place_of_service_code"], line["hcpcs_modifiers"]) == ("CAR", "11", ["25"])
    assert [(entry["code"], entry["rank"]) for entry in line["diagnoses"]] == [("E119", 1), ("I10", 2), ("E119", 13)]
    (equipment,) = [row for row in ingested.rows("claim_line") if row["claim_id"] == "11"]
    assert (equipment["claim_type"], equipment["hcpcs_code"], equipment["diagnoses"]) == ("DME", "E0601", None)
    (drug,) = [row for row in ingested.rows("rx_claim") if row["claim_id"] == "9"]
    assert (drug["ndc_code"], drug["quantity"], drug["days_supply"], drug["refills"]) == ("52427038290", 30.0, 30, 1)
    # Most drugs have no day of processing but a filler; that of loading stands in.
    assert drug["paid_date"] == dt.date(2018, 6, 20)


def test_the_type_of_a_claim_decides_the_claim_type(ingested: Ingested) -> None:
    found = {row["claim_id"]: row["claim_type"] for row in ingested.rows("claim_line") if row["patient_id"] == "1T"}
    assert found == {"2010": "HHA", "2020": "SNF", "2030": "SNF", "2040": "OP", "2050": "HOSP", "2061": "IP"}


def test_a_claim_leaves_with_its_cancellation_and_the_adjustment_stays(ingested: Ingested) -> None:
    assert ingested.claims("1N") == {"33", "34"}
    # Still a patient when the bill was written.
    of_adjusted = [row for row in ingested.rows("claim_line") if row["claim_id"] == "33"]
    assert {row["discharge_date"] for row in of_adjusted} == {None}
    assert len(of_adjusted) == 5


def test_a_cancellation_of_another_payment_takes_nothing_back(ingested: Ingested) -> None:
    assert ingested.claims("1O") == {"36"}


def test_an_adjustment_takes_the_place_of_the_claim_that_it_names(ingested: Ingested) -> None:
    assert ingested.claims("1S") == {"38"}


def test_every_row_of_a_claim_leaves_for_the_reason_of_its_header(ingested: Ingested) -> None:
    headers = ingested.counts("cclf1.csv")
    assert headers == {"out": 12, "netted": 2, "D_SUPERSEDED": 1, "R_ORPHAN_VOID": 1, "R_ADJUSTMENT": 1}
    assert ingested.counts("cclf2.csv") == headers | {"R_NO_HEADER": 1}
    assert ingested.counts("cclf3.csv") == headers
    assert ingested.counts("cclf4.csv") == {reason: 2 * number for reason, number in headers.items()}


def test_lines_of_part_b_are_netted_superseded_and_denied(ingested: Ingested) -> None:
    assert ingested.claims("1P") == {"53", "55", "56", "57"}
    found = ingested.counts("cclf5.csv")
    assert found == {"out": 6, "netted": 4, "D_SUPERSEDED": 1, "D_DENIED": 1, "R_ORPHAN_VOID": 1}


def test_of_versions_of_a_fill_the_latest_counts(ingested: Ingested) -> None:
    assert ingested.claims("1D") == {"62", "65", "66"}
    assert ingested.counts("cclf7.csv") == {"out": 5, "netted": 2, "D_SUPERSEDED": 1}


def test_a_person_has_one_id_whatever_number_a_row_has(ingested: Ingested) -> None:
    assert ingested.claims("1Z") == {"71", "72", "73"}
    assert not any(ingested.claims(former) for former in ("1X", "1Y"))
    assert {row["patient_id"] for row in ingested.rows("eligibility")} == {"1A", "1Z"}
    assert [row["patient_id"] for row in ingested.rows("patients")].count("1Z") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([change("1A", "1B"), change("1B", "1C"), change("1C", "1A"), change("1D", "1E")], "lead back to themselves"),
        ([change("1A", "1B"), change("1A", "1C")], "former ones with several of the same day"),
        ([change("1A", "1B"), {"PRVS_NUM": "1,2,3,4,5,6,7,8,9,10"}], "cannot be read"),
    ],
    ids=["ring", "two at once", "line"],
)
def test_numbers_that_do_not_lead_to_one_person_stop_the_run_without_naming_them(tmp_path: Path, changes, message):
    raw = write_cclf(tmp_path / "raw", cclf5=[part_b()], cclf9=changes)
    with pytest.raises(ClaimDataError, match=rf"E_XREF: .*{message}") as raised:
        ingest("cclf", raw, tmp_path / "out", progress=False)
    assert not re.search(r"\b1[A-E]\b", str(raised.value))


def test_later_months_correct_earlier_ones_and_a_long_chain_is_followed(tmp_path: Path) -> None:
    chain = [change(f"2{number:02d}", f"2{number + 1:02d}") for number in range(33)]
    first = {
        "cclf1": [header("7", "200")],
        "cclf2": [revenue_center("7", 1, "200"), revenue_center("7", 2, "200")],
        "cclf8": [person("200", BENE_SEX_CD="1"), person("1B")],
        "cclf9": [*chain[:20], change("1B", "1Q")],
    }
    second = {
        "cclf1": [header("7", "200", BENE_HIC_NUM="1"), header("8", "233", **LATER)],
        "cclf2": [revenue_center("7", 1, "200", CLM_LINE_SRVC_UNIT_QTY="3.0000"), revenue_center("7", 2, "200")],
        "cclf8": [person("233")],
        "cclf9": [*chain, change("1B", "1R", PRVS_ID_EFCTV_DT="2016-01-01", PRVS_ID_OBSLT_DT="2019-01-01")],
    }
    write_cclf(tmp_path / "raw", day="180118", **first)
    write_cclf(tmp_path / "raw", day="180215", **second)
    found = Ingested(tmp_path / "raw", tmp_path / "out")
    people = {row["patient_id"]: row for row in found.rows("eligibility")}
    assert {who: (row["gender"], row["enrollment_end_date"]) for who, row in people.items()} == {
        "233": ("female", dt.date(2018, 2, 28)),
        "1R": ("female", dt.date(2018, 1, 31)),
    }
    of_first = [row for row in found.rows("claim_line") if row["claim_id"] == "7"]
    assert [row["service_unit_quantity"] for row in of_first] == [3.0, 2.0, None]
    name = "P.A1234.ACO.ZC{}Y23.D{}.T0912345"
    assert found.counts(name.format(2, "180118")) == {"D_SUPERSEDED": 1, "out": 1}
    # A former number that is no longer sent makes no other row.
    copies = [found.counts(name.format(table, "180215")).get("D_DUPLICATE", 0) for table in (1, 2)]
    assert copies == [1, 1]


def test_a_month_in_which_nobody_changed_is_said_and_no_fault(tmp_path: Path) -> None:
    for day in ("180118", "180215"):
        write_cclf(tmp_path / "raw", day=day, cclf8=[person()], cclf9=[change("1B", "1A")])
    found = Ingested(write_cclf(tmp_path / "raw", day="180215", cclf7=[fill(patient="1B")]), tmp_path / "out")
    assert found.claims("1A") == {"9"}
    assert sum(entry["warnings"].get("W_FILE_TWICE", 0) for entry in found.report["files"]) == 1
    assert [row["enrollment_end_date"] for row in found.rows("eligibility")] == [dt.date(2018, 2, 28)]


def test_deliveries_that_are_staged_give_what_they_give_together(tmp_path: Path) -> None:
    months = {
        "180118": {"cclf7": [fill("7", "1A")], "cclf8": [person("1A")], "cclf9": [change("1A", "1B")]},
        "180215": {"cclf7": [fill("9", "1B")], "cclf8": [person("1B")]},
    }
    wrong = write_cclf(tmp_path / "wrong", day="180215", cclf7=[fill("9", "1B", CLM_LINE_DAYS_SUPLY_QTY="1")])
    with Staging(tmp_path / "staging.duckdb") as staging:
        staging.load("cclf", wrong)
        for day, tables in months.items():
            folder = write_cclf(tmp_path / day, day=day, **tables)
            staging.load("cclf", folder)
            shutil.copytree(folder, tmp_path / "raw", dirs_exist_ok=True)
        loads = [(load.table, load.is_valid) for load in staging.loads()]
        of_months = [("cclf7", True), ("cclf8", True), ("cclf9", True), ("cclf7", True), ("cclf8", True)]
        assert loads == [("cclf7", False), *of_months]
        consolidate(staging, tmp_path / "consolidated", progress=False, **ANY_SHARE)
    together = Ingested(tmp_path / "raw", tmp_path / "out")
    staged = open_folder(tmp_path / "consolidated")
    for table in ("rx_claim", "eligibility"):
        rows = [row for file in staged.table_files(table) for row in pq.read_table(file).to_pylist()]
        assert rows == together.rows(table) != []


def test_a_file_of_enrolment_says_when_people_were_enrolled(tmp_path: Path) -> None:
    raw = write_cclf(
        tmp_path / "raw",
        cclf5=[part_b()],
        cclf8=[person("1A"), person("1B", BENE_ENTLMT_BUYIN_IND="0")],
        enrollment=[{"BENE_MBI_ID": "1A", "ENROLLMENT_START_DATE": "2018-01-01", "ENROLLMENT_END_DATE": "2018-06-30"}],
    )
    found = Ingested(raw, tmp_path / "out", keep_denied=True)
    spans = [(row["patient_id"], row["enrollment_start_date"], row["gender"]) for row in found.rows("eligibility")]
    assert sorted(spans, key=str) == [
        ("1A", None, "female"),
        ("1A", dt.date(2018, 1, 1), None),
        ("1B", None, "female"),
    ]


def test_positions_of_another_version_are_another_folder(tmp_path: Path) -> None:
    shutil.copytree(str(SOURCE.layouts), tmp_path / "layouts")
    file = tmp_path / "layouts" / "cclf7.yaml"
    content = yaml.safe_load(file.read_text())
    content["positions"] = {name: [start + 5, length] for name, (start, length) in content["positions"].items()}
    content["record_length"] = [200]
    file.write_text(yaml.safe_dump(content))
    raw = write_cclf(tmp_path / "raw", day="180118", cclf7=[fill()])
    with pytest.raises(ClaimDataError, match="E_LAYOUT: expected lines of 200 characters"):
        ingest("cclf", raw, tmp_path / "out", layouts=tmp_path / "layouts", progress=False)
    (path,) = raw.iterdir()
    path.write_text("".join(f"12345{line}\n" for line in path.read_text().splitlines()))
    found = Ingested(raw, tmp_path / "out", layouts=tmp_path / "layouts")
    assert [row["claim_id"] for row in found.rows("rx_claim")] == ["9"]
    del content["columns"]["CLM_LINE_NDC_CD"], content["positions"]["CLM_LINE_NDC_CD"]
    content["required"].remove("CLM_LINE_NDC_CD")
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT_FILE: expected cclf7.yaml .* without CLM_LINE_NDC_CD"):
        ingest("cclf", raw, tmp_path / "more", layouts=tmp_path / "layouts", progress=False)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "expected CCLF files at .*, such as P.A1234"),
        ({"cclf8": [person()]}, "expected CCLF claims at .*, found cclf8 alone"),
        ({"cclf4": [diagnosis()]}, r"expected the headers of Part A claims \(CCLF1\) beside cclf4"),
    ],
    ids=["nothing", "people", "no headers"],
)
def test_a_folder_without_what_counts_is_refused(tmp_path: Path, tables, message: str) -> None:
    with pytest.raises(ClaimDataError, match=f"E_NO_FILE: {message}"):
        ingest("cclf", write_cclf(tmp_path / "raw", **tables), tmp_path / "out", progress=False)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "enrollment"])
def test_positions_fill_the_record_without_a_gap(name: str) -> None:
    layout = LAYOUTS[name]
    last = 0
    ends = []
    for start, length in sorted(layout.positions.values()):
        assert start == last + 1
        last = start + length - 1
        ends.append(last)
    assert last == layout.record_lengths[0]
    assert set(layout.record_lengths) <= set(ends)
    assert set(layout.positions) == {column for column in layout.names if not column.startswith("FILE_")}


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_published_tables_have_the_columns_of_the_layouts(tmp_path: Path) -> None:
    folder = Path(str(DATA)) / "cclf"
    for file in folder.glob("*.csv"):
        (name,) = [name for name, layout in LAYOUTS.items() if re.search(layout.files, file.name)]
        names = file.read_text().splitlines()[0].split(",")
        assert {LAYOUTS[name].aliases.get(column, column) for column in names} == set(LAYOUTS[name].names)
    assert {len(rows) for rows in _staged(folder, tmp_path / "scratch").values()} == {0}
