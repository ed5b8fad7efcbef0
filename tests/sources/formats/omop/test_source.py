"""A made-up CDM: what each table becomes, in every form that it can have."""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sources.formats.omop.cdm_rows import ANN, BOB, make_cdm, write_csv, write_database
from typer.testing import CliRunner

from claim_transformers.cli import app
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.ingest import IngestSummary, ingest
from claim_transformers.sources.pipeline.loading import load_claims

Row = dict[str, Any]
Done = tuple[Path, IngestSummary]
SHARES = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "threads": 1, "progress": False}


def read(out: Path, name: str) -> list[Row]:
    return pa.concat_tables(pq.read_table(path) for path in sorted((out / name).glob("*"))).to_pylist()


def entry_sums(summary: IngestSummary, table: str, kind: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for entry in summary.report["files"]:
        if entry["source_file"].lower().startswith(f"{table}."):
            for code, number in entry[kind].items():
                counts[code] = counts.get(code, 0) + number
    return counts


def day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("omop")
    raw = write_csv(folder / "raw", make_cdm())
    return folder / "out", ingest("omop", raw, folder / "out", condition_system="ICD10CM", **SHARES)


@pytest.fixture(scope="module")
def lines(done: Done) -> list[Row]:
    return read(done[0], "claim_line")


def test_a_stay_holds_its_wards_and_a_detail_of_another_type_is_a_claim(done: Done) -> None:
    patients = {row["patient_id"]: row for row in read(done[0], "patients")}
    ann, bob = patients[ANN], patients[BOB]
    assert list(zip(ann["visit_day"], ann["visit_type"], ann["codes"], strict=True)) == [
        (day("2016-03-01"), "IP", ["DRG/291", "HCPCS/99213", "ICD10CM/E119"]),
        (day("2016-03-04"), "IP", ["ICD10PCS/0SRC0J9"]),
        (day("2016-03-05"), "RX", ["RXNORM/308182"]),
        (day("2016-03-06"), "IP", ["HCPCS/J1885"]),
        (day("2016-04-01"), "RX", ["NDC/00093014505"]),
        (day("2016-04-02"), "RX", ["NDC/00093014505"]),
    ]
    assert (ann["principal_codes"][0], ann["admitting_codes"][0]) == (["ICD10CM/E119"], ["ICD10CM/I509"])
    assert ann["visit_end_day"][0] == day("2016-03-08")
    assert list(zip(bob["visit_day"], bob["visit_type"], bob["codes"], strict=True)) == [
        (day("2017-04-02"), "OP", ["HCPCS/99213"]),
        (day("2017-05-03"), "CAR", ["SNOMED/44054006"]),
        (day("2017-06-05"), "OP", ["ICD10CM/E119"]),
        (day("2017-06-06"), "OP", ["ICD9CM/2749"]),
        (day("2017-09-09"), "OP", ["SNOMED/22298006"]),
    ]


def test_who_a_person_is_and_when_insured(done: Done) -> None:
    patients = {row["patient_id"]: row for row in read(done[0], "patients")}
    ann, bob = patients[ANN], patients[BOB]
    assert (ann["sex"], ann["birth_day"], bob["sex"]) == ("F", day("1950-02-03"), "M")
    # Of a birth the year alone is known; payer plan periods come before observation periods.
    assert (bob["birth_day"], bob["death_day"]) == (day("1960-01-01"), day("2018-05-05"))
    assert (ann["enrollment_start_day"], ann["enrollment_end_day"]) == ([day("2015-01-01")], [day("2018-12-31")])
    person = entry_sums(done[1], "person", "warnings") | entry_sums(done[1], "person", "fixes")
    assert (person["W_BIRTH_YEAR"], person.get("F_SEX_NULL")) == (1, None)


def test_rows_that_cannot_be_used_are_in_quarantine_with_their_reason(done: Done) -> None:
    reasons = entry_sums(done[1], "condition_occurrence", "quarantine_reasons")
    assert reasons == {"R_NO_ID": 1, "R_DATE": 1, "R_NO_CODE": 1, "R_ICDFORM": 1}
    assert entry_sums(done[1], "cost", "quarantine_reasons") == {"R_CURRENCY": 1}
    assert entry_sums(done[1], "cost", "drop_reasons") == {"D_NO_EVENT": 1}
    for entry in done[1].report["files"]:
        kept = sum(entry[kind] for kind in ("rows_out", "quarantined", "dropped", "netted_out"))
        assert kept == entry["rows_in"]
    # A table that becomes two canonical ones is still counted once.
    assert sum(one["rows_in"] for one in done[1].report["files"] if one["source_file"] == "DRUG_EXPOSURE.csv") == 4


def test_what_was_repaired_of_codes_is_counted(done: Done) -> None:
    conditions = entry_sums(done[1], "condition_occurrence", "fixes")
    assert (conditions["F_CODE_FLOAT"], conditions["F_SOURCE_VALUE"]) == (1, 1)
    warnings = entry_sums(done[1], "condition_occurrence", "warnings")
    assert (warnings["W_STANDARD_CODE"], warnings["W_CLAIM_TYPE"]) == (1, 2)
    assert entry_sums(done[1], "procedure_occurrence", "fixes")["F_CODE_FLOAT"] == 1
    assert entry_sums(done[1], "visit_occurrence", "warnings") == {"W_CLAIM_TYPE": 1}
    drugs = entry_sums(done[1], "drug_exposure", "fixes")
    assert (drugs["F_NDC"], drugs["F_CODE_FLOAT"], drugs["F_SOURCE_VALUE"]) == (1, 1, 1)


def test_a_visit_says_how_the_patient_came_and_went(lines: list[Row]) -> None:
    (header,) = [line for line in lines if line["claim_line_number"] == 1 and line["claim_id"] == "501"]
    assert (header["discharge_disposition_code"], header["admit_source_code"]) == ("03", "7")
    assert (header["admission_date"], header["discharge_date"]) == (dt.date(2016, 3, 1), dt.date(2016, 3, 8))


def test_costs_are_lines_of_the_claim_of_their_row(lines: list[Row]) -> None:
    costs = [line for line in lines if line["charge_amount"] is not None]
    found = {line["claim_id"]: [f"{line[name]}" for name in ("paid_amount", "allowed_amount")] for line in costs}
    assert found == {"502": ["80.00", "100.00"], "501": ["7000.00", "None"]}
    assert [line["revenue_center_code"] for line in costs if line["claim_id"] == "501"] == ["0450"]


def test_lines_have_numbers_and_fills_have_quantities(done: Done, lines: list[Row]) -> None:
    keys = [(line["claim_id"], line["claim_line_number"]) for line in lines]
    assert len(set(keys)) == len(keys)
    (service,) = [line for line in lines if line["hcpcs_code"] == "99213" and line["patient_id"] == BOB]
    assert (service["hcpcs_modifiers"], service["service_unit_quantity"]) == (["25"], 1.0)
    fills = read(done[0], "rx_claim")
    assert [(fill["ndc_code"], fill["quantity"], fill["days_supply"]) for fill in fills] == [
        ("00093014505", 30.0, 30),
        ("00093014505", 10.0, 10),
    ]


def test_a_database_of_the_newer_version_gives_the_same_tables(done: Done, tmp_path: Path) -> None:
    file = write_database(tmp_path / "cdm.duckdb", make_cdm())
    out = tmp_path / "out"
    summary = ingest("omop", f"duckdb://{file}", out, condition_system="ICD10CM", **SHARES)
    for name in ("claim_line", "rx_claim", "eligibility", "patients"):
        assert read(out, name) == read(done[0], name)
    assert summary.report["totals"] == done[1].report["totals"]
    manifest = (out / "manifest.json").read_text()
    assert '"cdm_version": "5.4"' in manifest
    assert '"enrollment": "payer_plan_period"' in manifest


def test_eras_stand_in_where_there_are_no_rows_and_a_period_can_be_chosen(tmp_path: Path) -> None:
    tables = make_cdm()
    names = ("condition_era_id", "person_id", "condition_concept_id", "condition_era_start_date")
    concepts = enumerate(("9002", "0", "777"))
    eras = [dict(zip(names, (f"{at}", ANN, concept, "2016-02-02"), strict=True)) for at, concept in concepts]
    few = {name: tables[name] for name in ("person", "payer_plan_period", "observation_period", "concept")}
    raw = write_csv(tmp_path / "raw", few | {"condition_era": eras})
    options = {**SHARES, "cache_dir": tmp_path / "cache", "enrollment": "observation_period"}
    patients = load_claims("omop", raw, **options)
    (ann,) = [row for split in patients.values() for row in split]
    assert (ann["visit_day"], ann["codes"]) == ([day("2016-02-02")], [["SNOMED/44054006"]])
    assert ann["enrollment_start_day"] == [day("2001-01-01")]


@pytest.mark.parametrize(
    ("leave_out", "options", "message"),
    [
        (("person",), {}, "E_NO_FILE: expected the table person"),
        (("condition_occurrence", "procedure_occurrence", "drug_exposure"), {}, "E_NO_FILE: expected condition_occ"),
        (("concept",), {}, "E_CODE_SYSTEM: expected the table concept.*--condition-system"),
        ((), {"enrollment": "person"}, "expected enrollment out of payer_plan_period, observation_period"),
        (("observation_period",), {"enrollment": "observation_period"}, "E_NO_FILE: expected the table observation_p"),
        ((), {"condition_system": "ICD11"}, "expected a code system out of ICD9CM"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, leave_out: tuple[str, ...], options: dict[str, str], message: str
) -> None:
    tables = {name: rows for name, rows in make_cdm().items() if name not in leave_out}
    with pytest.raises(ValueError, match=message):
        ingest("omop", write_csv(tmp_path / "raw", tables), tmp_path / "out", **SHARES | options)


def test_a_database_that_does_not_open_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match="E_NO_FILE: expected a DuckDB file"):
        ingest("omop", "duckdb://nowhere.duckdb", tmp_path / "out", **SHARES)
    (tmp_path / "no.duckdb").write_text("no database")
    with pytest.raises(ClaimDataError, match="E_WAREHOUSE") as error:
        ingest("omop", tmp_path / "no.duckdb", tmp_path / "out", **SHARES)
    assert "no database" not in str(error.value)
    with pytest.raises(ValueError, match="expected out"):
        load_claims("omop", "duckdb://nowhere.duckdb", cache_dir=tmp_path / "cache")
    # The command line passes a URL on as it is.
    result = CliRunner().invoke(app, ["ingest", "omop", "duckdb://nowhere.duckdb", str(tmp_path / "out")])
    assert "expected a DuckDB file at nowhere.duckdb" in str(result.exception)
    with pytest.raises(ClaimDataError, match="E_WAREHOUSE") as error:
        ingest("omop", "nosuch://somebody:secret@host/cdm", tmp_path / "out", **SHARES)
    assert "secret" not in str(error.value)


def test_an_open_connection_is_a_database(tmp_path: Path) -> None:
    connection = ibis.duckdb.connect(str(write_database(tmp_path / "cdm.db", {"person": make_cdm()["person"]})))
    with pytest.raises(ClaimDataError, match="E_NO_FILE: expected condition_occurrence"):
        ingest("omop", connection, tmp_path / "out", **SHARES)


# ---- With public files ----

DATA = os.environ.get("CLAIMS_DATA_DIR")


@pytest.mark.skipif(DATA is None, reason="CLAIMS_DATA_DIR is unset")
def test_timelines_of_gibleed_are_those_of_its_meds_export(tmp_path: Path) -> None:
    """Person by person: MEDS has the eras of conditions and drugs; the CDM has procedures too."""
    folder = Path(str(DATA))
    ingest("omop", folder / "omop_gibleed", tmp_path / "omop", progress=False)
    ingest("meds", folder / "meds_gibleed", tmp_path / "meds", progress=False)
    omop, meds = ({row["patient_id"]: row for row in read(tmp_path / name, "patients")} for name in ("omop", "meds"))
    assert len(omop) == 2147
    assert omop.keys() == meds.keys()
    assert all(omop[who][name] == meds[who][name] for who in meds for name in ("sex", "birth_day", "death_day"))
    procedures = {
        (line["patient_id"], entry["code"])
        for line in read(tmp_path / "omop", "claim_line")
        if line["claim_type"] != "RX"
        for entry in line["procedures"] or []
    }
    for who, row in meds.items():
        expected = {(at, code) for at, codes in zip(row["visit_day"], row["codes"], strict=True) for code in codes}
        timeline = zip(omop[who]["visit_day"], omop[who]["codes"], strict=True)
        found = {(at, code) for at, codes in timeline for code in codes}
        assert expected <= found
        assert all((who, code.partition("/")[2]) in procedures for _, code in found - expected)


@pytest.mark.skipif(DATA is None, reason="CLAIMS_DATA_DIR is unset")
def test_codes_of_a_real_database_that_went_through_a_float_are_whole_again(tmp_path: Path) -> None:
    rows = {"condition_occurrence": 326, "procedure_occurrence": 1159, "drug_exposure": 591}
    (tmp_path / "raw").mkdir()
    for name in ("person", "concept", *rows):
        (tmp_path / "raw" / f"{name}.parquet").symlink_to(Path(str(DATA)) / "omop_synthea27" / f"{name}.parquet")
    summary = ingest("omop", tmp_path / "raw", tmp_path / "out", progress=False, threads=1)
    assert {name: entry_sums(summary, name, "fixes")["F_CODE_FLOAT"] for name in rows} == rows
    assert summary.report["totals"]["quarantined"] == 0
