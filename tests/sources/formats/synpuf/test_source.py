"""DE-SynPUF: what each raw column and each peculiarity of the files becomes."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sources.raw_claims import (
    CARRIER_FILE,
    INPATIENT_FILE,
    SYNPUF,
    Row,
    beneficiary,
    carrier,
    inpatient,
    outpatient,
    prescription,
    write_rows,
    write_synpuf,
    zip_file,
)

from claim_transformers.claims.engine import connect, fetch
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.synpuf.source import read_synpuf
from claim_transformers.sources.pipeline.contract import StagedTable
from claim_transformers.sources.pipeline.ingest import ingest


@pytest.fixture(scope="module")
def connection():
    return connect(threads=2)


def _stage(connection, folder: Path, **options) -> dict[str, StagedTable]:
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    return {table.name: table for table in read_synpuf(folder, connection, scratch=scratch, **options).tables}


def _lines(connection, table: StagedTable) -> list[Row]:
    rows = table.rows if table.derive is None else table.derive(table.rows)
    lines = table.to_canonical(rows)
    order = [
        name
        for name in ("patient_id", "enrollment_start_date", "claim_id", "claim_line_number")
        if name in lines.columns
    ]
    return fetch(connection, lines.order_by(order)).to_pylist()


def test_an_inpatient_claim_becomes_one_line_with_its_stay(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", inpatients=[inpatient(ICD9_PRCDR_CD_1="8154", AT_PHYSN_NPI="6476809087")])
    (line,) = _lines(connection, _stage(connection, folder)["inpatient"])
    assert (line["patient_id"], line["claim_id"], line["claim_line_number"]) == ("P1", "C1", 1)
    assert (line["admission_date"], line["discharge_date"]) == (dt.date(2009, 4, 12), dt.date(2009, 4, 18))
    assert (line["claim_type"], line["drg_code_type"], line["drg_code"]) == ("IP", "ms-drg", "201")
    assert [(entry["system"], entry["code"], entry["rank"]) for entry in line["diagnoses"]] == [
        ("ICD9CM", "4280", 1),
        ("ICD9CM", "25000", 2),
    ]
    assert line["procedures"] == [{"system": "ICD9PCS", "code": "8154", "date": None}]
    assert (line["paid_amount"], line["rendering_npi"]) == (Decimal("2600.00"), "6476809087")


def test_the_admitting_diagnosis_stands_alone_on_every_line_of_the_claim(connection, tmp_path: Path) -> None:
    folder = write_synpuf(
        tmp_path / "raw",
        inpatients=[inpatient(ADMTNG_ICD9_DGNS_CD="78605", HCPCS_CD_1="A0425", HCPCS_CD_2="99213")],
        outpatients=[outpatient(ADMTNG_ICD9_DGNS_CD=None)],
    )
    staged = _stage(connection, folder)
    stay, visit = (_lines(connection, staged[name]) for name in ("inpatient", "outpatient"))
    assert [line["admitting_diagnosis"] for line in stay] == [{"system": "ICD9CM", "code": "78605"}] * 2
    assert [line["admitting_diagnosis"] for line in visit] == [None, None]
    assert "78605" not in [entry["code"] for entry in stay[0]["diagnoses"]]


def test_each_hcpcs_code_is_a_line_numbered_by_its_column(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", outpatients=[outpatient()])
    lines = _lines(connection, _stage(connection, folder)["outpatient"])
    assert [(line["claim_line_number"], line["hcpcs_code"]) for line in lines] == [(2, "99214"), (45, "36415")]
    assert [line["paid_amount"] for line in lines] == [Decimal("10.00"), None]
    assert [line["is_first_line"] for line in lines] == [True, False]
    assert all(line["admission_date"] is None for line in lines if "admission_date" in line)


def test_the_second_segment_continues_the_claim(connection, tmp_path: Path) -> None:
    second = {"DESYNPUF_ID": "P1", "CLM_ID": "C1", "SEGMENT": "2", "CLM_ADMSN_DT": "20090301"} | {
        "CLM_DRG_CD": "OTH",
        "CLM_PMT_AMT": "5.00",
        "HCPCS_CD_3": "A0425",
    }
    folder = write_synpuf(tmp_path / "raw", inpatients=[second, inpatient(), inpatient("P2", "C2")])
    lines = _lines(connection, _stage(connection, folder)["inpatient"])
    assert [(line["claim_id"], line["claim_line_number"]) for line in lines] == [("C1", 1), ("C1", 48), ("C2", 1)]
    dates = ("claim_start_date", "claim_end_date", "admission_date", "discharge_date", "drg_code")
    assert [lines[1][name] for name in dates] == [lines[0][name] for name in dates]
    assert [line["paid_amount"] for line in lines[:2]] == [Decimal("2600.00"), Decimal("5.00")]


def test_carrier_lines_have_their_own_diagnosis_and_amounts(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", carriers=[carrier()])
    first, third = _lines(connection, _stage(connection, folder)["carrier"])
    assert (first["claim_line_number"], third["claim_line_number"]) == (1, 3)
    assert (first["hcpcs_code"], third["hcpcs_code"]) == ("99213", "G0008")
    assert (first["paid_amount"], first["allowed_amount"]) == (Decimal("30.00"), Decimal("40.00"))
    assert [(entry["code"], entry["rank"]) for entry in third["diagnoses"]] == [("25000", 1), ("V0481", 9)]
    assert third["rendering_npi"] == "1234567893"


def test_both_halves_of_the_carrier_claims_are_one_table(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", carriers=[carrier()])
    write_rows(folder / CARRIER_FILE.replace("1A", "1B"), SYNPUF["carrier"], [carrier("P2", "K2")])
    table = _stage(connection, folder)["carrier"]
    assert len(table.files) == 2
    assert {line["claim_id"] for line in _lines(connection, table)} == {"K1", "K2"}


def test_a_drug_event_becomes_one_line(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", prescriptions=[prescription()])
    (line,) = _lines(connection, _stage(connection, folder)["prescription"])
    assert (line["ndc_code"], line["quantity"], line["days_supply"]) == ("59591025068", 120.0, 30)
    assert (line["paid_amount"], line["allowed_amount"]) == (Decimal("430.00"), Decimal("440.00"))
    assert line["dispensing_date"] == dt.date(2009, 1, 7)


def _spans(connection, tmp_path: Path, months: dict[str, int], **changes: str) -> list[tuple[str, str]]:
    rows = {
        # Equal content under two names would be the same file twice.
        year: [
            beneficiary(BENE_HI_CVRAGE_TOT_MONS=str(count), BENE_SMI_CVRAGE_TOT_MONS="0", MEDREIMB_IP=year, **changes)
        ]
        for year, count in months.items()
    }
    folder = write_synpuf(tmp_path / "raw", beneficiaries=rows, inpatients=[inpatient()])
    lines = _lines(connection, _stage(connection, folder)["beneficiary"])
    starts_and_ends = [(line["enrollment_start_date"], line["enrollment_end_date"]) for line in lines]
    return sorted((str(start), str(end)) for start, end in starts_and_ends if start is not None)


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        ({"2008": 12, "2009": 12}, [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-12-31")]),
        ({"2008": 5, "2009": 12}, [("2008-08-01", "2008-12-31"), ("2009-01-01", "2009-12-31")]),
        ({"2008": 5, "2009": 0}, [("2008-01-01", "2008-05-31")]),
        ({"2008": 12, "2009": 2}, [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-02-28")]),
        ({"2008": 0, "2009": 1, "2010": 12}, [("2009-12-01", "2009-12-31"), ("2010-01-01", "2010-12-31")]),
        ({"2008": 0, "2009": 0}, []),
    ],
    ids=["whole years", "joins", "leaves in the first year", "leaves", "joins later", "never covered"],
)
def test_months_of_coverage_become_spans(connection, tmp_path: Path, months, expected) -> None:
    assert _spans(connection, tmp_path, months) == expected


def test_a_span_ends_with_the_month_of_death(connection, tmp_path: Path) -> None:
    spans = _spans(connection, tmp_path, {"2008": 12, "2009": 12}, BENE_DEATH_DT="20090401")
    assert spans == [("2008-01-01", "2008-12-31"), ("2009-01-01", "2009-04-30")]


def test_the_larger_of_part_a_and_part_b_counts(connection, tmp_path: Path) -> None:
    assert _spans(connection, tmp_path, {"2008": 3}, BENE_HMO_CVRAGE_TOT_MONS="12") == [("2008-01-01", "2008-03-31")]


@pytest.mark.parametrize(("sex", "gender"), [("1", "male"), (" 2 ", "female"), ("0", None), ("", None)])
def test_sex_is_spelt_out_or_unknown(connection, tmp_path: Path, sex: str, gender: str | None) -> None:
    rows = {"2008": [beneficiary(BENE_SEX_IDENT_CD=sex)]}
    folder = write_synpuf(tmp_path / "raw", beneficiaries=rows, inpatients=[inpatient()])
    (line,) = _lines(connection, _stage(connection, folder)["beneficiary"])
    assert line["gender"] == gender
    assert line["birth_date"] == dt.date(1940, 5, 1)


def test_a_crosswalk_turns_ssa_counties_into_fips(connection, tmp_path: Path) -> None:
    rows = {"2008": [beneficiary(), beneficiary("P2", SP_STATE_CODE="1", BENE_COUNTY_CD="10")]}
    folder = write_synpuf(tmp_path / "raw", beneficiaries=rows, inpatients=[inpatient()])
    crosswalk = tmp_path / "crosswalk.csv"
    crosswalk.write_text("fipscounty,ssacounty\n42029,39230\n01003,01010\n")
    lines = _lines(connection, _stage(connection, folder, county_crosswalk=crosswalk)["beneficiary"])
    assert [line["county_fips"] for line in lines] == ["42029", "01003"]


def test_zipped_files_and_a_year_column_are_read_too(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", inpatients=[inpatient()])
    zip_file(folder / INPATIENT_FILE, "DE1_0_2008_to_2010_Inpatient_Claims_Sample_1 - Copy.csv")
    years = [beneficiary(YEAR="2008"), beneficiary(YEAR="2009")]
    write_rows(folder / "beneficiary_summary.csv", SYNPUF["beneficiary"], years)
    tables = _stage(connection, folder)
    assert len(_lines(connection, tables["beneficiary"])) == 2
    assert len(_lines(connection, tables["inpatient"])) == 1


def test_a_beneficiary_file_without_a_year_anywhere_is_refused(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", inpatients=[inpatient()])
    dated = write_rows(folder / "beneficiary_2008.csv", SYNPUF["beneficiary"], [beneficiary()])
    dated.rename(folder / "beneficiary_summary.csv")
    with pytest.raises(ClaimDataError, match=r"E_COLUMN.*YEAR"):
        _stage(connection, folder)


def test_a_folder_without_claims_is_refused(connection, tmp_path: Path) -> None:
    folder = write_synpuf(tmp_path / "raw", beneficiaries={"2008": [beneficiary()]})
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE.*found beneficiary files without claims"):
        _stage(connection, folder)
    with pytest.raises(
        ClaimDataError, match=r"E_NO_FILE.*found 0 files of other names and 2 folders: .* not searched"
    ):
        _stage(connection, folder.parent)
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE.*found no such file or folder"):
        _stage(connection, folder / "none")


def test_a_single_file_can_be_the_path(connection, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "inpatient.csv", SYNPUF["inpatient"], [inpatient()])
    assert set(_stage(connection, path)) == {"inpatient"}


def test_denied_lines_leave_a_carrier_claim_and_a_claim_of_denied_lines_is_dropped(tmp_path: Path) -> None:
    lines = {
        "HCPCS_CD_2": "80053",
        "LINE_PRCSG_IND_CD_1": "A",
        "LINE_PRCSG_IND_CD_2": "D ",
        "LINE_PRCSG_IND_CD_3": "S",
    }
    claims = [
        carrier(claim="K1", **lines),
        carrier(claim="K2", LINE_PRCSG_IND_CD_1="N", LINE_PRCSG_IND_CD_3="O"),
        # The status of a line that is not there says nothing.
        carrier(claim="K3", LINE_PRCSG_IND_CD_2="D"),
    ]
    folder = write_synpuf(tmp_path / "raw", carriers=claims)
    found = {}
    for name, options in (("out", {}), ("kept", {"keep_denied": True})):
        summary = ingest("synpuf", folder, tmp_path / name, progress=False, **options)
        (entry,) = summary.report["files"]
        (file,) = open_folder(tmp_path / name).table_files("claim_line")
        rows = sorted((line["claim_id"], line["claim_line_number"]) for line in pq.read_table(file).to_pylist())
        found[name] = (entry["rows_out"], entry["drop_reasons"], entry["fixes"], rows)
    paid = [("K1", 1), ("K1", 3), ("K3", 1), ("K3", 3)]
    assert found["out"] == (2, {"D_DENIED": 1}, {"F_DENIED_LINE": 1, "F_TEXT_FORM": 1}, paid)
    assert found["kept"] == (3, {}, {"F_TEXT_FORM": 1}, sorted([*paid, ("K1", 2), ("K2", 1), ("K2", 3)]))
    assert summary.report["denials"] == {"carrier": [f"LINE_PRCSG_IND_CD_{number}" for number in range(1, 14)]}


def test_the_amounts_of_every_line_of_a_carrier_claim_are_looked_at(tmp_path: Path) -> None:
    claims = [
        carrier(claim="K1"),
        carrier(claim="K2", LINE_NCH_PMT_AMT_3="90.00", LINE_ALOWD_CHRG_AMT_3="80.00"),
        carrier(claim="K3", LINE_NCH_PMT_AMT_1="-1.00", LINE_NCH_PMT_AMT_3="?"),
    ]
    summary = ingest("synpuf", write_synpuf(tmp_path / "raw", carriers=claims), tmp_path / "out", progress=False)
    (entry,) = summary.report["files"]
    assert (entry["rows_out"], entry["warnings"], entry["fixes"]) == (3, {"W_AMOUNT": 2}, {"F_AMOUNT_NULL": 1})


def _report(raw: Path, out: Path, table: str) -> Row:
    shares = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}
    entries = ingest("synpuf", raw, out, progress=False, threads=1, **shares).report["files"]
    (entry,) = [entry for entry in entries if table in entry["source_file"].lower()]
    return entry


def test_a_segment_that_is_none_costs_its_row_and_never_the_load(tmp_path: Path) -> None:
    segments = ["1", "01", " 1 ", "99", "0", "-1", "1.5", "100", "x", "", "0093014505", "99999999999"]
    rows = [outpatient(f"P{n}", f"O{n}", SEGMENT=segment) for n, segment in enumerate(segments)]
    raw = write_synpuf(tmp_path / "raw", outpatients=rows)
    entry = _report(raw, tmp_path / "out", "outpatient")
    assert (entry["rows_out"], entry["quarantine_reasons"]) == (4, {"R_LINE_NUMBER": 8})
    lines = [
        row
        for file in open_folder(tmp_path / "out").table_files("claim_line")
        for row in pq.read_table(file).to_pylist()
    ]
    numbers = sorted((line["claim_id"], line["claim_line_number"]) for line in lines)
    assert numbers == [(f"O{n}", first + code) for n, first in enumerate((0, 0, 0, 98 * 45)) for code in (2, 45)]


def test_a_segment_in_another_writing_continues_its_claim(connection, tmp_path: Path) -> None:
    second = {"DESYNPUF_ID": "P1", "CLM_ID": "C1", "SEGMENT": "02", "HCPCS_CD_3": "A0425"}
    folder = write_synpuf(tmp_path / "raw", inpatients=[second, inpatient(SEGMENT="01")])
    first, last = _lines(connection, _stage(connection, folder)["inpatient"])
    assert (first["claim_line_number"], last["claim_line_number"]) == (1, 48)
    assert last["discharge_date"] == first["discharge_date"] == dt.date(2009, 4, 18)


def test_a_year_or_months_that_no_year_has_cost_their_row_and_no_other(tmp_path: Path) -> None:
    years = ["2008", "2008.0", " 2009 ", "-1", "0", "1.5", "1e2", "x", "", "20081"]
    months = ["0", "12", "07", "12.0", "", "13", "100", "-1", "5.5", "x", "99999999999"]
    rows = [beneficiary(f"Y{n}", YEAR=year) for n, year in enumerate(years)]
    rows += [beneficiary(f"M{n}", YEAR="2008", BENE_HI_CVRAGE_TOT_MONS=count) for n, count in enumerate(months)]
    raw = write_synpuf(tmp_path / "raw", inpatients=[inpatient("Y0")])
    write_rows(raw / "beneficiary_summary.csv", SYNPUF["beneficiary"], rows)
    entry = _report(raw, tmp_path / "out", "beneficiary")
    assert (entry["rows_out"], entry["quarantine_reasons"]) == (8, {"R_DATE": 7, "R_SPAN": 6})
    people = [
        row
        for file in open_folder(tmp_path / "out").table_files("eligibility")
        for row in pq.read_table(file).to_pylist()
    ]
    assert {row["enrollment_end_date"].year for row in people} == {2008, 2009}
    assert {row["patient_id"] for row in people} == {"Y0", "Y1", "Y2", *(f"M{n}" for n in range(5))}


def test_amounts_at_the_edge_do_not_end_the_load(tmp_path: Path) -> None:
    drug = prescription(TOT_RX_CST_AMT="-9999999999.99", PTNT_PAY_AMT="9999999999.99")
    entry = _report(write_synpuf(tmp_path / "raw", prescriptions=[drug]), tmp_path / "out", "prescription")
    assert entry["rows_out"] == 1
