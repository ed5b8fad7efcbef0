"""CMS RIF: lines and claims told apart, codes by version, versions of claims, months of enrolment, layout files."""

import datetime as dt
import os
import random
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from ibis.backends.duckdb import Backend
from sources.rif_rows import LAYOUTS, Row, beneficiary, claim, drug, write_rif

from claim_transformers.claims import plan_files, planning
from claim_transformers.claims.engine import connect, fetch
from claim_transformers.claims.ledger import Ledger
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.cms_rif import SOURCE
from claim_transformers.sources.formats.cms_rif.claims import _derive_rif_rows
from claim_transformers.sources.formats.cms_rif.eligibility import _derive_rif_months
from claim_transformers.sources.formats.cms_rif.source import read_cms_rif
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.layout_files import ROWS, UNUSED, read_layouts
from claim_transformers.sources.pipeline.lineage import _trace_columns
from claim_transformers.sources.pipeline.screening import screen_table

DATA = os.environ.get("CLAIMS_DATA_DIR")
ANY_SHARE = {"max_quarantine_share": 1.0, "max_reason_share": 1.0}


@pytest.fixture(scope="module")
def connection():
    return connect(threads=2)


def _screen(connection, tmp_path: Path, ledger: Ledger | None = None, layouts=None, files=None, **tables):
    """Canonical lines of one kind of file, after the checks."""
    folder = write_rif(tmp_path / "raw", layouts=files, **{name: rows for name, rows in tables.items() if rows})
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    options = {} if layouts is None else {"layouts": layouts}
    (table,) = read_cms_rif(folder, connection, scratch=scratch, **options).tables
    screened = screen_table(connection, table, Ledger() if ledger is None else ledger)
    return fetch(connection, table.to_canonical(screened.rows)).to_pylist()


def _line(connection, tmp_path: Path, kind: str = "inpatient", **changes: str) -> Row:
    (line,) = _screen(connection, tmp_path, **{kind: [claim(kind, **changes)]})
    return line


def test_a_quote_is_a_letter_in_every_kind_of_file(connection, tmp_path: Path) -> None:
    assert {layout.quote for layout in LAYOUTS.values()} == {""}
    rows = [claim("carrier", str(number), patient=f"P{number}") for number in range(1, 6)]
    rows[1]["CARR_CLM_CNTL_NUM"] = '"7'
    rows[3]["CARR_CLM_CNTL_NUM"] = '7"'
    lines = _screen(connection, tmp_path, carrier=rows)
    assert sorted(line["patient_id"] for line in lines) == ["P1", "P2", "P3", "P4", "P5"]


def test_a_claim_is_told_apart_from_its_lines_and_its_amounts_stand_on_the_first(connection, tmp_path: Path) -> None:
    rows = [claim("inpatient", line=line, ORG_NPI_NUM="1234567893") for line in (2, 1)]
    second, first = _screen(connection, tmp_path, inpatient=rows)
    if first["claim_line_number"] != 1:
        first, second = second, first
    assert (first["claim_id"], first["claim_type"], first["bill_type_code"]) == ("7-IP", "IP", "111")
    assert (first["admission_date"], first["discharge_date"]) == (dt.date(2018, 3, 3), dt.date(2018, 3, 9))
    assert (first["paid_date"], first["discharge_disposition_code"]) == (dt.date(2018, 3, 16), "01")
    assert (first["drg_code"], first["drg_code_type"], first["facility_npi"]) == ("470", "ms-drg", "1234567893")
    assert (first["revenue_center_code"], first["service_unit_quantity"]) == ("0450", 2.0)
    assert (first["paid_amount"], first["charge_amount"]) == (Decimal("1200.50"), Decimal("9000.00"))
    assert (second["paid_amount"], second["charge_amount"]) == (None, None)


def test_lines_of_carrier_claims_have_amounts_modifiers_and_a_diagnosis_of_their_own(
    connection, tmp_path: Path
) -> None:
    own = {"LINE_ICD_DGNS_CD": "4019", "LINE_ICD_DGNS_VRSN_CD": "9", "LINE_PLACE_OF_SRVC_CD": "11"}
    dates = {"LINE_1ST_EXPNS_DT": "04-Mar-2018", "LINE_LAST_EXPNS_DT": "05-Mar-2018"}
    npis = {"PRF_PHYSN_NPI": "0000000000", "CARR_CLM_BLG_NPI_NUM": " ", "ORG_NPI_NUM": "1234567893"}
    line = _line(connection, tmp_path, "carrier", HCPCS_CD="9921325", HCPCS_1ST_MDFR_CD="lt", **own, **dates, **npis)
    amounts = [line[name] for name in ("paid_amount", "allowed_amount", "charge_amount")]
    assert amounts == [Decimal("30.00"), Decimal("40.00"), Decimal("50.00")]
    assert (line["hcpcs_code"], line["hcpcs_modifiers"]) == ("99213", ["25", "LT"])
    assert line["diagnoses"][0] == {"system": "ICD9CM", "code": "4019", "poa": None, "rank": 14}
    assert [line["claim_line_start_date"], line["claim_line_end_date"]] == [dt.date(2018, 3, 4), dt.date(2018, 3, 5)]
    assert (line["rendering_npi"], line["billing_npi"], line["place_of_service_code"]) == (None, "1234567893", "11")


def test_each_code_is_of_the_version_beside_it_and_else_the_day_of_discharge_decides(connection, tmp_path) -> None:
    mixed = {"ICD_DGNS_CD2": "25000", "ICD_DGNS_VRSN_CD2": "9", "ICD_DGNS_CD3": "J441", "ICD_DGNS_VRSN_CD3": ""}
    procedures = {"ICD_PRCDR_CD1": "0SR90J9", "ICD_PRCDR_VRSN_CD1": "0", "PRCDR_DT1": "04-Mar-2018"}
    procedures |= {"ICD_PRCDR_CD2": "8154", "ICD_PRCDR_VRSN_CD2": "9"}
    line = _line(connection, tmp_path, **mixed, **procedures)
    assert {entry["code"]: entry["system"] for entry in line["diagnoses"]} == {
        "I5023": "ICD10CM",
        "25000": "ICD9CM",
        "J441": "ICD10CM",
    }
    assert sorted(line["procedures"], key=lambda entry: entry["code"]) == [
        {"system": "ICD10PCS", "code": "0SR90J9", "date": dt.date(2018, 3, 4)},
        {"system": "ICD9PCS", "code": "8154", "date": None},
    ]


def test_the_principal_diagnosis_has_rank_1_once_with_the_flag_of_its_copy(connection, tmp_path: Path) -> None:
    rows = [
        claim("inpatient", claim="same", CLM_POA_IND_SW1="Y", CLM_POA_IND_SW2="N"),
        claim("inpatient", claim="other", PRNCPAL_DGNS_CD="J441", CLM_POA_IND_SW1="Y"),
        claim("inpatient", claim="bare", PRNCPAL_DGNS_CD="", PRNCPAL_DGNS_VRSN_CD="", CLM_POA_IND_SW1="Y"),
        claim("inpatient", claim="cause", ICD_DGNS_E_CD1="W19XXXA", ICD_DGNS_E_VRSN_CD1="0"),
    ]
    lines = _screen(connection, tmp_path, inpatient=rows)
    found = {
        line["claim_id"]: sorted((entry["rank"], entry["code"], entry["poa"]) for entry in line["diagnoses"])
        for line in lines
    }
    assert found == {
        "same-IP": [(1, "I5023", "Y"), (3, "E119", "N")],
        "other-IP": [(1, "J441", None), (2, "I5023", "Y"), (3, "E119", None)],
        "bare-IP": [(1, "I5023", "Y"), (3, "E119", None)],
        "cause-IP": [(1, "I5023", None), (3, "E119", None), (27, "W19XXXA", None)],
    }


@pytest.mark.parametrize(
    ("code", "version", "expected"),
    [
        ("R0602", "0", {"system": "ICD10CM", "code": "R0602"}),
        ("786.05", "9", {"system": "ICD9CM", "code": "78605"}),
        ("R0602", "", {"system": "ICD10CM", "code": "R0602"}),
        ("", "0", None),
        ("?", "0", None),
    ],
)
def test_the_admitting_diagnosis_is_judged_like_the_others_and_is_none_of_them(
    connection, tmp_path: Path, code: str, version: str, expected: dict | None
) -> None:
    line = _line(connection, tmp_path, ADMTG_DGNS_CD=code, ADMTG_DGNS_VRSN_CD=version)
    assert line["admitting_diagnosis"] == expected
    assert [entry["code"] for entry in line["diagnoses"]] == ["I5023", "E119"]


def test_of_several_versions_of_a_claim_the_last_stays_unless_it_is_taken_back(connection, tmp_path: Path) -> None:
    later = {"NCH_WKLY_PROC_DT": "23-Mar-2018"}
    rows = [
        claim("hospice", claim="a", CLM_PMT_AMT="1.00"),
        claim("hospice", claim="a", line=2, CLM_PMT_AMT="1.00"),
        claim("hospice", claim="a", CLM_PMT_AMT="2.00", **later),
        claim("hospice", claim="b", CLM_PMT_AMT="3.00"),
        claim("hospice", claim="b", CLM_PMT_AMT="4.00", DML_IND="UPDATE"),
        claim("hospice", claim="c"),
        claim("hospice", claim="c", DML_IND="DELETE", **later),
        claim("hospice", claim="d", FINAL_ACTION="N"),
        claim("hospice", claim="e", CLM_FREQ_CD="8"),
        claim("hospice", claim="f", CLAIM_QUERY_CODE="0"),
        claim("hospice", claim="g", CLM_MDCR_NON_PMT_RSN_CD="E"),
    ]
    ledger = Ledger()
    lines = _screen(connection, tmp_path, ledger, hospice=rows)
    kept = sorted((line["claim_id"], str(line["paid_amount"])) for line in lines)
    assert kept == [("a-HOSP", "2.00"), ("b-HOSP", "4.00"), ("g-HOSP", "1200.50")]
    entry = ledger.entry("hospice.csv", "HOSP")
    assert dict(entry.dropped) == {"D_SUPERSEDED": 8}
    assert entry.warnings["W_NOT_PAID"] == 1


def test_denied_claims_and_lines_leave_unless_they_are_asked_for(connection, tmp_path: Path) -> None:
    rows = [
        claim("dme", claim="a", CARR_CLM_PMT_DNL_CD="0"),
        claim("dme", claim="b", LINE_PRCSG_IND_CD="N"),
        claim("dme", claim="c"),
    ]
    folder = write_rif(tmp_path / "raw", dme=rows)
    kept = {}
    for keep_denied in (False, True):
        scratch = tmp_path / f"scratch-{keep_denied}"
        scratch.mkdir()
        (table,) = read_cms_rif(folder, connection, scratch=scratch, keep_denied=keep_denied).tables
        ledger = Ledger()
        kept[keep_denied] = (
            screen_table(connection, table, ledger).num_flagged,
            dict(ledger.entry("dme.csv", "DME").dropped),
        )
    assert kept == {False: (2, {"D_DENIED": 2}), True: (0, {})}


def test_a_line_has_one_date_and_a_bad_date_of_its_claim_leaves(connection, tmp_path: Path) -> None:
    rows = [
        claim("outpatient", claim="b", REV_CNTR_DT="05-Mar-2018"),
        claim("outpatient", claim="c", CLM_FROM_DT="20180303"),
        claim("outpatient", claim="d", CLM_FROM_DT="30-Feb-2018"),
        claim("outpatient", claim="e", CLM_THRU_DT="01-Mar-2018"),
        claim("outpatient", claim="f", NCH_CLM_TYPE_CD="60"),
        claim("outpatient", claim="g", CLM_LINE_NUM="one"),
        claim("outpatient", claim=" "),
    ]
    ledger = Ledger()
    lines = _screen(connection, tmp_path, ledger, outpatient=rows)
    dates = {line["claim_id"]: (line["claim_line_start_date"], line["claim_line_end_date"]) for line in lines}
    assert dates == {"b-OP": (dt.date(2018, 3, 5), dt.date(2018, 3, 5))}
    entry = ledger.entry("outpatient.csv", "OP")
    reasons = {"R_DATE": 2, "R_DATE_ORDER": 1, "R_CLAIM_TYPE": 1, "R_LINE_NUMBER": 1, "R_NO_ID": 1}
    assert dict(entry.quarantined) == reasons


def test_a_version_of_a_code_that_says_nothing_is_counted_and_the_date_decides(connection, tmp_path: Path) -> None:
    second = {"ICD_DGNS_CD2": "25000"}
    rows = [
        claim("inpatient", claim=name, ICD_DGNS_VRSN_CD2=version, **second)
        for name, version in (("a", "09"), ("b", "9"), ("c", "ICD-9"), ("d", "X"), ("e", ""))
    ]
    ledger = Ledger()
    lines = _screen(connection, tmp_path, ledger, inpatient=rows)
    found = {
        line["claim_id"][0]
        for line in lines
        if ("ICD9CM", "25000") in {(e["system"], e["code"]) for e in line["diagnoses"]}
    }
    assert found == {"a", "b", "c"}
    assert ledger.entry("inpatient.csv", "IP").warnings["W_CODE_TYPE"] == 1


@pytest.mark.parametrize("far", ["31-Dec-9999", "05-Sep-2061", "01-Jan-1900"])
@pytest.mark.parametrize("column", ["NCH_BENE_DSCHRG_DT", "CLM_THRU_DT"])
def test_an_end_that_can_be_none_decides_on_no_system(connection, tmp_path: Path, column: str, far: str) -> None:
    versions = dict.fromkeys(("PRNCPAL_DGNS_VRSN_CD", "ICD_DGNS_VRSN_CD1", "ICD_DGNS_VRSN_CD2"), "")
    days = dict.fromkeys(("CLM_FROM_DT", "CLM_THRU_DT", "CLM_ADMSN_DT"), "01-Sep-2007") | {"NCH_BENE_DSCHRG_DT": ""}
    rows = [claim("inpatient", **versions | days | {column: far})]
    for line in _screen(connection, tmp_path, inpatient=rows):
        assert {entry["system"] for entry in line["diagnoses"]} <= {"ICD9CM"}
        assert line["drg_code"] is None


def test_a_drg_of_another_grouper_is_no_code(connection, tmp_path: Path) -> None:
    old = {"CLM_FROM_DT": "01-Sep-2007", "CLM_THRU_DT": "05-Sep-2007", "CLM_ADMSN_DT": "01-Sep-2007"}
    line = _line(connection, tmp_path, NCH_BENE_DSCHRG_DT="05-Sep-2007", **old)
    assert (line["drg_code"], line["drg_code_type"]) == (None, None)


def test_a_drug_event_is_paid_what_the_patient_does_not_pay(connection, tmp_path: Path) -> None:
    ledger = Ledger()
    event, other = _screen(connection, tmp_path, ledger, part_d=[drug(), drug("D2", PTNT_PAY_AMT="20.01")])
    assert (other["paid_amount"], ledger.entry("pde.csv", "RX").warnings) == (Decimal("-0.01"), {"W_AMOUNT": 1})
    assert (event["claim_id"], event["dispensing_date"]) == ("D1-RX", dt.date(2018, 3, 5))
    assert (event["paid_amount"], event["allowed_amount"]) == (Decimal("15.00"), Decimal("20.00"))
    assert (event["ndc_code"], event["days_supply"], event["refills"]) == ("52427038290", 30, 1)
    assert event["paid_date"] == dt.date(2018, 3, 7)


def _spans(lines: list[Row]) -> list[tuple[str, ...]]:
    dated = [line for line in lines if line["enrollment_start_date"] is not None]
    dates = [tuple(str(line[f"enrollment_{end}_date"])[5:] for end in ("start", "end")) for line in dated]
    return sorted(dates)


def test_months_of_entitlement_become_spans_without_months_that_cms_does_not_see(connection, tmp_path) -> None:
    row = beneficiary(months="33 AAC 13333", HMO_10_IND="C", HMO_11_IND="1", DEATH_DT="20-Dec-2018")
    lines = _screen(connection, tmp_path, beneficiary=[row])
    assert _spans(lines) == [("01-01", "02-28"), ("04-01", "06-30"), ("08-01", "09-30"), ("11-01", "12-31")]
    assert sum(line["is_first_line"] for line in lines) == 1
    one = lines[0]
    assert (one["gender"], one["race"], one["payer"]) == ("female", "hispanic", "medicare")
    assert (one["birth_date"], one["death_date"]) == (dt.date(1942, 1, 17), dt.date(2018, 12, 20))
    assert (one["original_reason_entitlement_code"], one["medicare_status_code"]) == ("1", "20")


def test_a_span_ends_where_dual_status_or_county_changes(connection, tmp_path: Path) -> None:
    moves = {
        "META_DUAL_ELGBL_STUS_JAN_CD": "2",
        "META_DUAL_ELGBL_STUS_FEB_CD": "NA",
        "FIPS_STATE_CNTY_DEC_CD": "25017",
    }
    lines = _screen(connection, tmp_path, beneficiary=[beneficiary(**moves)])
    assert _spans(lines) == [("01-01", "01-31"), ("02-01", "02-28"), ("03-01", "11-30"), ("12-01", "12-31")]
    of_start = {line["enrollment_start_date"].month: line for line in lines}
    assert [of_start[month]["dual_status_code"] for month in (1, 2, 3)] == ["02", "NA", None]
    assert [of_start[month]["county_fips"] for month in (1, 12)] == [None, "25017"]


def test_a_year_without_coverage_keeps_one_line_for_the_demographics(connection, tmp_path: Path) -> None:
    (line,) = _screen(connection, tmp_path, beneficiary=[beneficiary(months=" " * 12)])
    assert (line["enrollment_start_date"], line["enrollment_end_date"], line["is_first_line"]) == (None, None, True)
    assert line["gender"] == "female"


def test_a_county_of_social_security_needs_the_crosswalk(connection, tmp_path: Path) -> None:
    crosswalk = tmp_path / "crosswalk.csv"
    crosswalk.write_text("fipscounty,ssacounty,county,state\n25017,22090,MIDDLESEX,MA\n", encoding="utf-8")
    rows = [beneficiary(), beneficiary("P2", BENE_COUNTY_CD="22090"), beneficiary("P3", BENE_COUNTY_CD="999")]
    folder = write_rif(tmp_path / "raw", beneficiary=rows)
    found = {}
    for name, options in (("without", {}), ("with", {"county_crosswalk": crosswalk})):
        (tmp_path / name).mkdir()
        (table,) = read_cms_rif(folder, connection, scratch=tmp_path / name, **options).tables
        assert table.derive is not None
        lines = fetch(connection, table.to_canonical(table.derive(table.rows))).to_pylist()
        found[name] = [line["county_fips"] for line in sorted(lines, key=lambda line: line["patient_id"])]
    assert found == {"without": [None] * 3, "with": ["25017", "25017", None]}


def test_a_sex_that_the_codebook_lacks_is_counted_and_null(connection, tmp_path: Path) -> None:
    ledger = Ledger()
    sexes = ["Z", "0", "", "1", " 2"]
    people = [beneficiary(f"P{number}", BENE_SEX_IDENT_CD=sex) for number, sex in enumerate(sexes)]
    lines = _screen(connection, tmp_path, ledger, beneficiary=people)
    assert [line["gender"] for line in sorted(lines, key=lambda line: line["patient_id"])] == [
        None,
        None,
        None,
        "male",
        "female",
    ]
    assert dict(ledger.entry("beneficiary_2018.csv", "NONE").fixes) == {"F_SEX_NULL": 1, "F_TEXT_FORM": 1}


def test_another_version_of_the_layout_is_a_file(connection, tmp_path: Path) -> None:
    folder = tmp_path / "layouts"
    folder.mkdir()
    content = yaml.safe_load((SOURCE.layouts / "hospice.yaml").read_text(encoding="utf-8"))
    content |= {"delimiter": ",", "date_format": "YYYYMMDD"}
    content["columns"]["PROC"] = content["columns"].pop("HCPCS_CD")
    content["columns"]["BRAND_NEW"] = ["code", "unused", "nobody knows yet"]
    content["required"] = ["PROC" if name == "HCPCS_CD" else name for name in content["required"]]
    (folder / "hospice.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    row = claim("hospice") | {"PROC": "G0299", "BRAND_NEW": "x"}
    days = ("CLM_FROM_DT", "CLM_THRU_DT", "CLM_HOSPC_START_DT_ID", "NCH_BENE_DSCHRG_DT", "NCH_WKLY_PROC_DT")
    row |= {name: dt.datetime.strptime(row[name], "%d-%b-%Y").strftime("%Y%m%d") for name in days}
    (line,) = _screen(connection, tmp_path, layouts=folder, files=read_layouts(folder), hospice=[row])
    assert (line["hcpcs_code"], line["claim_start_date"]) == ("G0299", dt.date(2018, 3, 3))


@pytest.mark.parametrize("kind", [name for name, layout in LAYOUTS.items() if layout.target != "none"])
def test_a_column_is_used_if_and_only_if_its_layout_says_so(connection, tmp_path: Path, kind: str) -> None:
    layout = LAYOUTS[kind]
    # Numbered columns that nothing fills are left out.
    filled = {name: "1" for column in layout.columns if column.is_numbered for name in column.names}
    folder = write_rif(tmp_path / "raw", **{kind: [filled]})
    (table,) = read_cms_rif(folder, connection, scratch=tmp_path).tables
    # Without the file between them, so that derived columns are traced to raw ones.
    derive = _derive_rif_months if kind == "beneficiary" else _derive_rif_rows
    traced = _trace_columns(replace(table, derive=lambda rows: derive(rows, layout)))
    made_of = {name: set(raw) & set(layout.names) for name, raw in traced.items()}
    said = {column.field for column in layout.columns if column.feeds not in (ROWS, UNUSED)} - {"enrollment"}
    assert said <= set(traced)
    mapped = {name for column in layout.columns if column.feeds not in (ROWS, UNUSED) for name in column.names}
    # Codes of counties wait for a crosswalk; a line of drugs has no claim to add up to.
    waiting = {*layout.find("county_fips.ssa_state"), *layout.find("county_fips.ssa_county")}
    assert set().union(*made_of.values()) == mapped - waiting


def _tables() -> dict[str, list[Row]]:
    tables = {kind: [claim(kind), claim(kind, line=2), claim(kind, "8", patient="P2")] for kind in ("dme", "hospice")}
    tables["hospice"] += [claim("hospice", "9", FINAL_ACTION="N"), claim("hospice", "x", CLM_FROM_DT="?")]
    tables["hospice"] += [claim("hospice"), claim("hospice", "8", patient="P2", CLM_PMT_AMT="-1200.50")]
    return tables | {"part_d": [drug(), drug("D2", "P2")], "beneficiary": [beneficiary(), beneficiary("P2")]}


def test_no_row_is_lost_and_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    tables = _tables()
    summary = ingest("cms-rif", write_rif(tmp_path / "a", **tables), tmp_path / "out", progress=False, **ANY_SHARE)
    totals = summary.report["totals"]
    counts = [totals[name] for name in ("rows_in", "rows_out", "quarantined", "dropped", "netted_out")]
    assert counts == [14, 9, 1, 2, 2]
    assert set(pq.read_table(tmp_path / "out" / "claim_line")["claim_id"].to_pylist()) == {"7-DME", "8-DME", "7-HOSP"}
    shuffled = {name: random.Random(0).sample(rows, len(rows)) for name, rows in tables.items()}
    ingest("cms-rif", write_rif(tmp_path / "b", **shuffled), tmp_path / "again", progress=False, **ANY_SHARE)
    for name in ("claim_line", "rx_claim", "eligibility", "patients"):
        found, expected = (open_folder(tmp_path / out).table_files(name) for out in ("again", "out"))
        assert [file.read_bytes() for file in found] == [file.read_bytes() for file in expected]


def test_a_year_that_comes_twice_is_dropped_and_claims_that_come_twice_are_refused(connection, tmp_path) -> None:
    folder = write_rif(tmp_path / "raw", beneficiary_2018=[beneficiary()], beneficiary_2019=[beneficiary()])
    (table,) = read_cms_rif(folder, connection, scratch=tmp_path).tables
    ledger = Ledger()
    assert screen_table(connection, table, ledger).num_flagged == 1
    entry = ledger.entry("beneficiary_2019.csv", "NONE")
    assert (dict(entry.dropped), entry.warnings["W_FILE_TWICE"]) == ({"D_DUPLICATE": 1}, 1)
    write_rif(folder, snf=[claim("snf")])
    (folder / "snf_again.csv").write_bytes((folder / "snf.csv").read_bytes())
    with pytest.raises(ClaimDataError, match="E_FILE_TWICE"):
        read_cms_rif(folder, connection, scratch=tmp_path)


def test_another_delimiter_is_said_with_what_can_be_done_about_it(connection, tmp_path: Path) -> None:
    path = tmp_path / "inpatient.csv"
    path.write_text("BENE_ID,CLM_ID,CLM_FROM_DT\nP1,7,03-Mar-2018\n")
    said = r"found a comma: copy the layout files, write delimiter: ',' into inpatient\.yaml .*--layouts"
    with pytest.raises(ClaimDataError, match=f"E_LAYOUT.*{said}"):
        read_cms_rif(path, connection, scratch=tmp_path)


def test_files_that_no_layout_or_two_layouts_know_are_said(connection, tmp_path: Path) -> None:
    (tmp_path / "export_summary.csv").write_text("BENE_ID\n", encoding="utf-8")
    (tmp_path / "beneficiary_history.csv").write_text("BENE_ID\n", encoding="utf-8")
    with pytest.raises(ClaimDataError, match="E_NO_FILE"):
        read_cms_rif(tmp_path, connection, scratch=tmp_path)
    (tmp_path / "snf_and_dme.csv").write_text("BENE_ID\n", encoding="utf-8")
    with pytest.raises(ClaimDataError, match=re.escape("E_LAYOUT_FILE: expected one layout for snf_and_dme.csv")):
        read_cms_rif(tmp_path, connection, scratch=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_synthetic_files_of_cms_are_read_whole(tmp_path: Path) -> None:
    folder = Path(str(DATA)) / "cms_rif" / "rif-synthea"
    summary = ingest("cms-rif", folder, tmp_path / "out", progress=False)
    rows = {entry["source_file"]: (entry["rows_in"], entry["rows_out"]) for entry in summary.report["files"]}
    claims = {
        "carrier": 221,
        "dme": 1,
        "hha": 15,
        "hospice": 8,
        "inpatient": 16,
        "outpatient": 19,
        "pde": 18,
        "snf": 67,
    }
    assert {name: rows[f"{name}.csv"] for name in claims} == {
        name: (number, number) for name, number in claims.items()
    }
    assert rows["beneficiary_2019.csv"] == (3, 0)
    assert sum(rows_out for _, rows_out in rows.values()) == 365 + 30
    lines = pq.read_table(tmp_path / "out" / "claim_line").to_pydict()
    of_type = {kind: set() for kind in set(lines["claim_type"])}
    for kind, claim_id in zip(lines["claim_type"], lines["claim_id"], strict=True):
        of_type[kind].add(claim_id)
    # The sums over patients in export_summary.csv.
    expected = {"CAR": 37, "DME": 1, "HHA": 14, "HOSP": 1, "IP": 16, "OP": 19, "SNF": 1}
    assert {kind: len(ids) for kind, ids in of_type.items()} == expected
    people = pq.read_table(tmp_path / "out" / "eligibility")
    assert set(people["county_fips"].to_pylist()) == {"25017", "25001", None}
    assert summary.patients is not None
    assert summary.patients.patients == 3


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
def test_the_template_files_of_cms_have_the_same_layout(tmp_path: Path) -> None:
    folder = Path(str(DATA)) / "cms_rif" / "samhsa"
    summary = ingest("cms-rif", folder, tmp_path / "out", progress=False)
    rows = {entry["claim_type"]: (entry["rows_in"], entry["rows_out"]) for entry in summary.report["files"]}
    kinds = {"CAR": 606, "DME": 606, "HHA": 606, "HOSP": 606, "IP": 680, "OP": 677, "SNF": 680}
    assert rows == {kind: (number, number) for kind, number in kinds.items()}


@pytest.mark.parametrize(
    ("stated", "warnings"),
    [("60", {}), (" 60 ", {}), ("60\u00a0", {}), ("", {"W_CLAIM_TYPE": 1}), ("  ", {"W_CLAIM_TYPE": 1})],
)
def test_the_type_that_a_claim_states_is_trimmed_and_its_absence_counted(tmp_path: Path, stated, warnings) -> None:
    folder = write_rif(tmp_path / "raw", inpatient=[claim("inpatient", NCH_CLM_TYPE_CD=stated)])
    (entry,) = ingest("cms-rif", folder, tmp_path / "out", progress=False).report["files"]
    assert (entry["rows_out"], entry["warnings"]) == (1, warnings)


def test_a_code_with_glued_modifiers_changes_no_other_row(tmp_path: Path) -> None:
    """Inpatient files have no columns of modifiers, so that they are null."""
    lines = [claim("inpatient"), claim("inpatient", line=2, HCPCS_CD="")]
    found = []
    for name, code in (("without", "99213"), ("with", "9921325")):
        rows = [*lines, claim("inpatient", "8", patient="P2", HCPCS_CD=code)]
        ingest("cms-rif", write_rif(tmp_path / name, inpatient=rows), tmp_path / f"{name}-out", progress=False)
        (file,) = open_folder(tmp_path / f"{name}-out").table_files("claim_line")
        found.append([row["hcpcs_modifiers"] for row in pq.read_table(file).sort_by("patient_id").to_pylist()])
    assert found == [[None, None, None], [None, None, ["25"]]]


def test_flags_and_modifiers_in_small_letters_are_those_in_capitals(tmp_path: Path) -> None:
    def rows(write) -> dict[str, list[Row]]:
        stay = claim("inpatient", CLM_POA_IND_SW1=write("Y"), CLM_SRC_IP_ADMSN_CD=write("D"), CLM_FREQ_CD=write("A"))
        old = claim("inpatient", "8", FINAL_ACTION=write("N"))
        visit = claim("carrier", HCPCS_1ST_MDFR_CD=write("TC"), HCPCS_2ND_MDFR_CD="[MASK]")
        denied = claim("carrier", "9", LINE_PRCSG_IND_CD=write("C"))
        return {
            "inpatient": [stay, old],
            "carrier": [visit, denied],
            "beneficiary": [beneficiary(months=write("C") * 12)],
        }

    out = {}
    for write in (str.upper, str.lower):
        folder = tmp_path / write.__name__
        report = ingest(
            "cms-rif", write_rif(folder / "raw", **rows(write)), folder / "out", progress=False, **ANY_SHARE
        ).report
        fixes = {entry["source_file"]: entry["fixes"] for entry in report["files"]}
        names = ("claim_line", "eligibility", "patients")
        out[write] = [
            pq.read_table(file).to_pylist() for name in names for file in open_folder(folder / "out").table_files(name)
        ]
        assert fixes["carrier.csv"]["F_MODIFIER"] == 1
        assert (fixes["inpatient.csv"], fixes["beneficiary_2018.csv"]) == (
            ({}, {}) if write is str.upper else ({"F_TEXT_FORM": 3}, {"F_TEXT_FORM": 12})
        )
    assert out[str.upper] == out[str.lower]
    assert [line["hcpcs_modifiers"] for line in out[str.lower][0]] == [["TC"], None]


def test_values_of_an_own_layout_may_be_written_in_small_letters(connection, tmp_path: Path) -> None:
    own = tmp_path / "layouts"
    own.mkdir()
    content = yaml.safe_load((SOURCE.layouts / "beneficiary.yaml").read_text(encoding="utf-8"))
    content["enrollment"]["entitled"], content["values"]["BENE_RACE_CD"] = ["y"], {"w": "white"}
    (own / "beneficiary.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    people = [beneficiary(months="y" * 12, BENE_RACE_CD="w"), beneficiary("P2", months="n" * 12, BENE_RACE_CD="W")]
    lines = sorted(_screen(connection, tmp_path, layouts=own, beneficiary=people), key=lambda line: line["patient_id"])
    assert [(line["enrollment_start_date"], line["race"]) for line in lines] == [
        (dt.date(2018, 1, 1), "white"),
        (None, "white"),
    ]


def test_ranks_count_the_numbered_columns_that_no_row_fills(connection, tmp_path: Path) -> None:
    line = _line(connection, tmp_path, ICD_DGNS_E_CD1="W19XXXA", ICD_DGNS_E_VRSN_CD1="0")
    ranks = {entry["code"]: entry["rank"] for entry in line["diagnoses"]}
    (listed,) = (column.names for column in LAYOUTS["inpatient"].columns if column.feeds == "diagnoses.listed.code")
    assert ranks == {"I5023": 1, "E119": 3, "W19XXXA": 2 + len(listed)}


def test_a_second_process_plans_next_to_nothing_and_its_plans_hold_nothing_of_rows(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CLAIM_TRANSFORMERS_PLANS", str(tmp_path / "plans"))
    rows = [claim("inpatient", "777", patient="PATIENT7"), claim("inpatient", "778", 2, patient="PATIENT8")]
    years = [beneficiary(patient) for patient in ("PATIENT7", "PATIENT8")]
    raw = write_rif(tmp_path / "raw", inpatient=rows, beneficiary=years)
    (raw / "inpatient.csv").rename(raw / "inpatient-of-PATIENT7.csv")
    compiled, compile_one = [0, 0], Backend.compile
    for process in (0, 1):
        plan_files._folder.cache_clear()
        for kept in ("_steps", "_sql", "_tables", "_written"):
            monkeypatch.setattr(planning, kept, {})

        def count(self, *args, process=process, **kwargs):
            compiled[process] += 1
            return compile_one(self, *args, **kwargs)

        monkeypatch.setattr(Backend, "compile", count)
        ingest("cms-rif", raw, tmp_path / f"out{process}", threads=1, progress=False)
    plan_files._folder.cache_clear()
    assert compiled[0] >= 30
    assert compiled[1] == 0
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*.*")}
        for out in (tmp_path / "out0", tmp_path / "out1")
    )
    assert first == second
    told = ("PATIENT7", "777", "inpatient-of", "2018", "Mar", "I5023", "E119", "99213", "1200.50")
    plans = [path.read_text(encoding="utf-8").partition("\n")[2] for path in (tmp_path / "plans").glob("*/*")]
    assert len(plans) >= 29
    assert not [word for word in told for plan in plans if word in plan]
